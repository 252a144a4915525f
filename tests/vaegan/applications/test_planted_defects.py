"""Planted defects lie in their masks, are visible, and belong to an image's index."""

from collections import Counter

import pytest
import torch
from torch import Tensor

from vaegan.applications.anomaly_scores import compute_anomaly_maps
from vaegan.applications.planted_defects import DEFECTS, plant_defects

from .test_anomaly_scores import Copy


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_an_image_changes_in_the_mask_alone(photos: Tensor, channels: int) -> None:
    pixels = photos[:, :1].repeat(1, channels, 1, 1)
    before = pixels.clone()
    planted = plant_defects(pixels, seed=0)
    changed = (planted.images != pixels).any(1)
    assert torch.equal(pixels, before) and planted.images.dtype == torch.uint8
    assert not (changed & ~planted.masks).any()
    areas = planted.masks.flatten(1).sum(1)
    assert (areas >= 4).all() and (areas <= 12 * 12).all()
    assert (changed.flatten(1).sum(1) > 0.5 * areas).double().mean() > 0.95


def test_kinds_are_equally_frequent(photos: Tensor) -> None:
    kinds = Counter(plant_defects(photos.repeat(5, 1, 1, 1), seed=0).kinds)
    assert kinds.keys() == DEFECTS.keys() and all(160 <= count <= 240 for count in kinds.values()), kinds


def test_a_defect_is_a_function_of_image_seed_and_index(photos: Tensor) -> None:
    whole, part = plant_defects(photos[:9], seed=3), plant_defects(photos[4:9], seed=3, start=4)
    assert torch.equal(whole.images[4:], part.images) and torch.equal(whole.masks[4:], part.masks)
    assert whole.kinds[4:] == part.kinds
    assert not torch.equal(whole.masks, plant_defects(photos[:9], seed=4).masks)
    assert plant_defects(photos[:0], seed=0).masks.shape == (0, 32, 32)


def test_a_patch_is_a_part_of_the_image_and_a_box_has_one_colour(photos: Tensor) -> None:
    planted = plant_defects(photos, seed=0)
    for pixels, image, mask, kind in zip(photos, planted.images, planted.masks, planted.kinds, strict=True):
        inside = image[:, mask]
        if kind == "patch":
            height, width = (int(mask.any(axis).sum()) for axis in (1, 0))
            windows = pixels.unfold(1, height, 1).unfold(2, width, 1).permute(1, 2, 0, 3, 4).flatten(3)
            assert (windows == inside).all(-1).all(-1).any()
        else:
            assert inside.unique().tolist() in ([0], [255])


def test_a_blank_image_shows_its_box_and_scratch() -> None:
    for value in (0, 255):
        planted = plant_defects(torch.full((40, 1, 8, 8), value, dtype=torch.uint8), seed=0)
        for image, mask, kind in zip(planted.images, planted.masks, planted.kinds, strict=True):
            assert torch.equal(image[0] != value, mask) or kind == "patch"


def test_a_model_that_knows_the_image_finds_the_defect(photos: Tensor) -> None:
    """The heat map is largest inside the mask, where the image is not the one that the model gives back."""
    planted = plant_defects(photos[:30], seed=1)
    for pixels, image, mask in zip(photos, planted.images, planted.masks, strict=False):
        (found,) = compute_anomaly_maps("pixels", Copy(pixels[None]), image[None])
        assert mask.flatten()[found.argmax()] and (found[~mask] == 0).all()
