"""Sheets of images."""

import numpy as np
import torch

from vaegan.data import Images
from vaegan.evaluate.negative_controls import DistortedImages
from vaegan.evaluate.report.image_sheets import (
    build_closest_pairs,
    build_reconstructions,
    choose_amplification,
    get_fine_detail,
)
from vaegan.images import to_uint8
from vaegan.models.autoencoder import Sampler

from .reports import read_pixels


def test_small_differences_and_soft_detail_are_amplified_by_what_is_said() -> None:
    real = torch.randint(60, 70, (4, 1, 8, 8), generator=torch.Generator().manual_seed(0)).byte()
    darker = DistortedImages(lambda images: images - 8 / 127.5, (1, 8, 8), Images(real, torch.arange(4), None, ()), 4)
    sheets = build_reconstructions({"darker": darker}, real, {"darker": None})
    assert (sheets.difference, sheets.detail) == (16, 16)
    shown = sheets.sheet.columns[2].tiles[1]
    assert shown is not None
    assert np.array_equal(read_pixels(shown.views["difference"]), np.full((8, 8), 16 * 8))
    grain = 128 + 16 * get_fine_detail(real - 8)[2, 0]
    assert np.array_equal(read_pixels(shown.views["detail"]), grain.round().clamp(0, 255).byte().numpy())


def test_the_closest_pairs_are_the_nearest_samples_above_their_images() -> None:
    draw = torch.Generator().manual_seed(1)
    training = torch.randint(0, 256, (9, 1, 8, 8), generator=draw).byte()
    model = DistortedImages(lambda images: images, (1, 8, 8), Images(training.flip(0), torch.arange(9), None, ()), 9)
    nearest = {"pixels": torch.tensor([[3.0, 4], [1.0, 2], [2.0, 8], [9.0, 0]], dtype=torch.float64)}
    (sheet,) = build_closest_pairs(
        {"model": Sampler(model)}, {"model": nearest}, Images(training, torch.arange(9), None, ()), 2
    )
    assert sheet.rows == ["model", ""]
    assert [column.title for column in sheet.columns] == ["1. in pixels, distance 1", "2. in pixels, distance 2"]
    for column, sample, image in zip(sheet.columns, (1, 2), (2, 8), strict=True):
        shown = [read_pixels(tile.views["image"]) for tile in column.tiles if tile is not None]
        assert np.array_equal(shown[0], to_uint8(Sampler(model).draw(sample, sample + 1))[0, 0].numpy())
        assert np.array_equal(shown[1], training[image, 0].numpy())


def test_amplification_clips_almost_nothing() -> None:
    values = torch.linspace(0, 30, 1000)
    assert choose_amplification(values, 255) == 8
    assert choose_amplification(-values, 255) == 8
    assert choose_amplification(torch.cat([values, torch.full((5,), 255.0)]), 255) == 8, "half a per cent"
    assert choose_amplification(torch.cat([values, torch.full((50,), 255.0)]), 255) == 1
    assert choose_amplification(torch.zeros(4), 255) == 32
