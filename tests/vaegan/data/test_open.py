"""The embedded sets, the splits, and what opening a set promises."""

import itertools

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from vaegan.config.load import find_config, load_config, merge, read_tree, validate_config
from vaegan.config.schema import Config, DataConfig
from vaegan.data import Data, Images, open_data
from vaegan.data.embedded import CropReader
from vaegan.data.shapes import SHAPE_CLASSES, ShapeReader
from vaegan.data.splits import count_images_per_split, draw_splits
from vaegan.errors import UserError

EMBEDDED = ("digits", "photos", "shapes")


def config(source: str, **settings: object) -> DataConfig:
    if source in ("photos", "shapes"):
        settings = {"count": 60, **settings}
    return DataConfig.model_validate({"source": source, "image_size": 16, **settings})


def pixels(images: Images) -> torch.Tensor:
    return images[torch.arange(len(images))]


def splits(data: Data) -> list[Images]:
    return [data.train, data.validation, data.test]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [8, 24, 64])
@pytest.mark.parametrize("source", EMBEDDED)
def test_images_are_uint8_of_the_size_asked_for(source: str, size: int, channels: int) -> None:
    data = open_data(config(source, image_size=size, channels=channels))
    for images in splits(data):
        batch = images[torch.tensor([3, 0, 3])]
        assert batch.shape == (3, channels, size, size) and batch.dtype == torch.uint8 and batch.device.type == "cpu"
        assert torch.equal(batch[0], batch[2]) and not torch.equal(batch[0], batch[1])
        assert images.labels is not None and images.labels.shape == (len(images),)
        assert images.label(0) == data.classes[int(images.labels[0])]


@pytest.mark.parametrize("source", EMBEDDED)
def test_decoding_when_asked_gives_the_bits_of_decoding_at_the_start(source: str) -> None:
    kept, decoded = (open_data(config(source, cache=cache)) for cache in ("memory", "none"))
    assert kept.fingerprint == decoded.fingerprint
    for one, other in zip(splits(kept), splits(decoded), strict=True):
        assert one.in_memory and not other.in_memory
        assert torch.equal(pixels(one), pixels(other))


def test_digits_at_their_own_size_are_the_scaled_originals_with_their_labels() -> None:
    data = open_data(config("digits", image_size=8, channels=1))
    images, labels = load_digits(return_X_y=True)
    original = torch.from_numpy(np.rint(images * 255 / 16).astype(np.uint8)).reshape(-1, 1, 8, 8)
    for split in splits(data):
        assert torch.equal(pixels(split), original[split.part])
        assert split.labels is not None and torch.equal(split.labels, torch.from_numpy(labels)[split.part])


def test_splits_are_a_partition_and_do_not_depend_on_who_asks() -> None:
    one, other = draw_splits(1797, 0.1, 0.2), draw_splits(1797, 0.1, 0.2)
    parts = [one.train, one.validation, one.test]
    assert torch.equal(torch.cat(parts).sort().values, torch.arange(1797))
    assert [len(part) for part in parts] == [1258, 180, 359]
    assert all(torch.equal(a, b) for a, b in zip(parts, [other.train, other.validation, other.test], strict=True))


def test_an_official_test_split_is_kept_whole_and_validation_comes_from_the_rest() -> None:
    held_out = torch.arange(80, 100)
    parts = draw_splits(100, 0.25, 0.5, held_out)
    assert torch.equal(parts.test, held_out) and len(parts.validation) == 20
    assert torch.equal(torch.cat([parts.train, parts.validation]).sort().values, torch.arange(80))


def test_a_share_above_zero_is_never_empty_and_a_set_that_is_too_small_is_a_mistake() -> None:
    assert count_images_per_split(3, 0.01, 0.01) == (1, 1, 1)
    assert count_images_per_split(1, 0, 0) == (1, 0, 0)
    with pytest.raises(UserError, match="2 images cannot be split"):
        count_images_per_split(2, 0.1, 0.1)


def test_photo_crops_of_different_splits_share_no_pixel() -> None:
    data = open_data(config("photos", count=3000, cache="none", validation=0.3, test=0.3))
    crops = data.train.store
    assert isinstance(crops, CropReader)
    for photograph in range(2):
        covered = []
        for split in splits(data):
            cover = np.zeros(crops.photographs[photograph].shape[:2], dtype=bool)
            for index in split.part[split.part % 2 == photograph].tolist():
                left, top, side = crops.box(index)
                assert 0 <= left <= cover.shape[1] - side and 0 <= top <= cover.shape[0] - side
                cover[top : top + side, left : left + side] = True
            covered.append(cover)
            assert cover.sum() > 0.9 * 96 * cover.shape[0]
        for one, other in itertools.combinations(covered, 2):
            assert not (one & other).any()


def test_photos_without_held_out_splits_use_the_whole_photographs() -> None:
    crops = open_data(config("photos", count=3000, cache="none", validation=0, test=0)).train.store
    assert isinstance(crops, CropReader)
    middles = {left + side // 2 for left, _, side in map(crops.box, range(3000))}
    assert all(any(middle in middles for middle in range(*columns)) for columns in ((128, 224), (384, 480)))


def test_a_shape_is_a_function_of_its_number_alone() -> None:
    few, many = ShapeReader(32, 3, 10), ShapeReader(32, 3, 1000)
    assert all(np.array_equal(few(index), many(index)) for index in range(10))
    assert len({many(index).tobytes() for index in range(1000)}) == 1000


def test_a_shape_is_the_same_picture_at_every_size() -> None:
    for index in range(12):
        small = ShapeReader(32, 1, 12)(index).astype(float)
        large = ShapeReader(128, 1, 12)(index).astype(float).reshape(1, 32, 4, 32, 4).mean((2, 4))
        assert np.abs(small - large).mean() < 1.5
        assert np.abs(small - large).max() < 64


def test_shapes_are_of_every_kind_in_every_split_and_stand_out() -> None:
    data = open_data(config("shapes", count=600, channels=1))
    assert data.classes == SHAPE_CLASSES
    for split in splits(data):
        assert split.labels is not None and set(split.labels.tolist()) == set(range(len(SHAPE_CLASSES)))
        contrast = pixels(split).flatten(1).float()
        assert ((contrast.amax(1) - contrast.amin(1)) > 50).all()


def test_a_set_is_opened_once() -> None:
    first = open_data(config("shapes"))
    assert open_data(config("shapes")) is first
    assert open_data(config("shapes", count=61)) is not first


def test_the_fingerprint_tells_sets_apart() -> None:
    settings = [{}, {"count": 61}, {"image_size": 8}, {"channels": 1}, {"validation": 0.2}, {"test": 0.2}]
    prints = [open_data(config("shapes", **setting)).fingerprint for setting in settings]
    assert len(set(prints)) == len(prints)
    assert prints[0] == open_data(config("shapes", cache="none", workers=1)).fingerprint


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"source": "digits", "root": "x"}, "data.root: digits is embedded"),
        ({"source": "photos", "root": "x"}, "data.root: photos is embedded"),
        ({"source": "shapes", "root": "x"}, "data.root: shapes is embedded"),
        ({"source": "shapes", "strict": True}, "data.strict: only folder"),
        ({"source": "cifar10", "strict": True}, "data.strict: only folder"),
        ({"source": "digits", "download": True}, "data.download: only mnist"),
        ({"source": "folder", "root": "x", "download": True}, "data.download: only mnist"),
    ],
)
def test_settings_that_a_source_has_no_use_for_are_mistakes(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        validate_config(Config, merge(read_tree(find_config("digits/ae")), {"data": settings}), "here")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("recipe", "overrides"),
    [
        ("cifar10/vae", ["data.source=folder", "data.root=somewhere", "data.strict=true"]),
        ("cifar10/vae", ["data.source=celeba", "data.root=somewhere", "data.download=true"]),
        ("folder64/vae", ["data.source=digits", "data.root=null"]),
    ],
)
def test_a_recipe_may_be_given_another_source(recipe: str, overrides: list[str]) -> None:
    assert f"data.source={load_config(recipe, overrides).data.source}" == overrides[0]
