"""Random crops are a function of seed, step and index, whatever the cache; stretching crops nothing."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as torchvision

from vaegan.config.data import DataConfig
from vaegan.data import iterate_batches, open_data
from vaegan.data.crops import MAX_RATIO, MIN_AREA, cut_crop
from vaegan.data.fit import make_canvas
from vaegan.data.given import open_given
from vaegan.data.webdataset.build_index import build_index
from vaegan.trainers import train

from ...tiny import are_bit_identical, flatten, load_newest, tiny
from .image_sets import make_image, read_all
from .webdataset.shard_sets import write_tar

CROPS = ("random", "random_resized")
CACHES = ({"cache": "memory"}, {"cache": "none", "workers": 0}, {"cache": "none", "workers": 2})
SIZE = 16


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twenty-four images, wider, taller and smaller than a crop."""
    (tmp_path / "images").mkdir()
    for number in range(24):
        make_image(20 + 3 * number, 60 - 2 * number, number).save(tmp_path / "images" / f"{number:02}.png")
    return tmp_path / "images"


def make_config(root: Path, **settings: object) -> DataConfig:
    tree = {"source": "folder", "root": root, "image_size": SIZE, "validation": 0, "test": 0, **settings}
    return DataConfig.model_validate(tree)


def collect(config: DataConfig, batch_slice: slice = slice(0, 8), start: int = 0, seed: int = 3) -> Tensor:
    """Return the images of six steps, uint8, shape (6 - start, length, C, S, S)."""
    steps = iterate_batches(open_data(config).train, config, seed, 8, batch_slice, 3, torch.device("cpu"), start, 6)
    return torch.stack([torch.cat([micro_batch.images for micro_batch in step]) for step in steps])


@pytest.mark.parametrize("crop", CROPS)
def test_crops_are_the_same_under_every_cache_for_every_rank_and_after_a_resume(folder: Path, crop: str) -> None:
    expected = collect(make_config(folder, crop=crop, horizontal_flip=True))
    for cache in CACHES:
        config = make_config(folder, crop=crop, horizontal_flip=True, **cache)
        assert torch.equal(collect(config), expected)
        assert torch.equal(collect(config, start=4), expected[4:])
        ranks = [collect(config, slice(rank * 2, rank * 2 + 2)) for rank in range(4)]
        assert torch.equal(torch.cat(ranks, dim=1), expected)
    assert not torch.equal(collect(make_config(folder, crop=crop, horizontal_flip=True), seed=4), expected)


@pytest.mark.parametrize("crop", CROPS)
def test_training_alone_takes_random_crops(folder: Path, crop: str) -> None:
    centre, random = (make_config(folder, crop=name) for name in ("centre", crop))
    assert torch.equal(read_all(open_data(random).train), read_all(open_data(centre).train))
    assert open_data(random).fingerprint == open_data(centre).fingerprint
    shown = collect(random)
    assert not torch.equal(shown, collect(centre)) and not torch.equal(shown[0], shown[3])  # 24 images, 3 steps each


def test_a_random_crop_is_a_box_of_what_the_centre_is_cropped_from(folder: Path) -> None:
    for number, numbers in enumerate(np.random.default_rng(0).random((20, 4))):
        image = make_image(20 + number, 40 - number, number)
        canvas = make_canvas(image, SIZE, 3, "random")
        resized = torchvision.resize(image, SIZE, InterpolationMode.BICUBIC)
        assert np.array_equal(canvas, np.asarray(resized).transpose(2, 0, 1))
        crop = cut_crop(canvas, SIZE, "random", numbers)
        _, height, width = canvas.shape
        boxes = {canvas[:, y : y + SIZE, x : x + SIZE].tobytes() for y in range(height - 15) for x in range(width - 15)}
        assert crop.shape == (3, SIZE, SIZE) and crop.tobytes() in boxes


def test_every_offset_is_taken_alike() -> None:
    canvas = np.arange(20, dtype=np.uint8)[None, None].repeat(16, 1)
    numbers = np.random.default_rng(0).random((5000, 4))
    lefts = np.array([cut_crop(canvas, 16, "random", row)[0, 0, 0] for row in numbers])
    assert np.abs(np.bincount(lefts, minlength=5) / 5000 - 0.2).max() < 0.02


def test_a_resized_crop_is_that_of_torchvision_at_the_same_box() -> None:
    image = make_image(50, 41, 7)
    canvas = make_canvas(image, SIZE, 3, "random_resized")
    reference = torchvision.resize(image, 2 * SIZE, InterpolationMode.BICUBIC)
    assert np.array_equal(canvas, np.asarray(reference).transpose(2, 0, 1))
    boxes = []
    for numbers in np.random.default_rng(1).random((300, 4)):
        crop = cut_crop(canvas, SIZE, "random_resized", numbers)
        side = 32 * (MIN_AREA + (1 - MIN_AREA) * numbers[2]) ** 0.5
        ratio = MAX_RATIO ** (2 * numbers[3] - 1)
        width, height = min(39, round(side * ratio**0.5)), min(32, round(side / ratio**0.5))
        left, top = int(numbers[1] * (39 - width + 1)), int(numbers[0] * (32 - height + 1))
        expected = torchvision.resized_crop(
            reference, top, left, height, width, [SIZE, SIZE], InterpolationMode.BICUBIC
        )
        assert np.array_equal(crop, np.asarray(expected).transpose(2, 0, 1))
        boxes.append((width * height / 32**2, width / height))
    areas, ratios = np.array(boxes).T
    assert 0.23 < areas.min() < 0.3 and 0.9 < areas.max() < 1.1
    assert 0.7 < ratios.min() < 0.85 and 1.2 < ratios.max() < 1.42 and abs(np.log(ratios).mean()) < 0.05


def test_a_small_image_is_enlarged_from_its_own_pixels() -> None:
    image = make_image(9, 12, 1)
    assert make_canvas(image, SIZE, 3, "random_resized").shape == (3, 12, 9)
    assert make_canvas(image, SIZE, 1, "random").shape == (1, 21, 16)
    assert cut_crop(make_canvas(image, SIZE, 3, "random_resized"), SIZE, "random_resized", np.full(4, 0.999)).shape[
        1:
    ] == (16, 16)


def test_every_source_of_the_same_pixels_takes_the_same_crops(folder: Path, tmp_path: Path) -> None:
    images = [make_image(30, 20, seed) for seed in range(24)]
    for number, image in enumerate(images):
        image.save(folder / f"{number:02}.png")
    np.save(tmp_path / "images.npy", np.stack([np.asarray(image) for image in images]))
    names = [f"{number:02}.png" for number in range(24)]
    write_tar(tmp_path / "set.tar", [(name, (folder / name).read_bytes()) for name in names])
    build_index(tmp_path / "set.tar")
    for crop in CROPS:
        expected = collect(make_config(folder, crop=crop))
        for source, root in (("arrays", tmp_path), ("webdataset", tmp_path / "set.tar")):
            assert torch.equal(collect(make_config(root, source=source, crop=crop)), expected)
        config = make_config(None, source="given", crop=crop)
        data = open_data(config, given=open_given(images, SIZE, 3)[0])
        steps = iterate_batches(data.train, config, 3, 8, slice(0, 8), None, torch.device("cpu"), 0, 6)
        assert torch.equal(torch.stack([step[0].images for step in steps]), expected)


def test_a_run_with_crops_is_resumed_to_the_bit(folder: Path, tmp_path: Path) -> None:
    states = []
    for name, cache, stops in (("whole", "memory", (5,)), ("resumed", "none", (3, 5))):
        for steps in stops:
            overrides = ["data.source=folder", f"data.root={folder}", "data.crop=random_resized", f"data.cache={cache}"]
            config = tiny("ae", *overrides, "data.channels=3", "data.workers=0", f"train.steps={steps}")
            run = train(config, tmp_path / name, open_data(config.data), resume=steps == 5, extend=steps == 5)
        states.append(flatten(load_newest(run.path)))
    assert are_bit_identical(*states)


def test_stretching_resizes_both_sides(folder: Path, tmp_path: Path) -> None:
    stored = read_all(open_data(make_config(folder, fit="stretch")).train)
    for number, image in enumerate(stored):
        with Image.open(folder / f"{number:02}.png") as file:
            expected = torchvision.resize(file.convert("RGB"), [SIZE, SIZE], InterpolationMode.BICUBIC)
        assert np.array_equal(image, np.asarray(expected).transpose(2, 0, 1))
    data = open_data(make_config(folder, fit="stretch", cache="none"))
    assert torch.equal(read_all(data.train), stored)
    assert data.fingerprint != open_data(make_config(folder)).fingerprint
    wide = np.stack([np.asarray(make_image(32, 16, seed)) for seed in range(12)])
    np.save(tmp_path / "images.npy", wide)
    data = open_data(make_config(tmp_path, source="arrays", fit="stretch"))
    expected = torchvision.resize(Image.fromarray(wide[3]), [SIZE, SIZE], InterpolationMode.BICUBIC)
    assert np.array_equal(data.train.store[3], np.asarray(expected).transpose(2, 0, 1))


@pytest.mark.parametrize("cache", ["memory", "none"])
@pytest.mark.parametrize("source", ["shapes", "photos"])
def test_a_random_crop_of_an_image_that_is_drawn_at_its_size_is_the_image(source: str, cache: str) -> None:
    settings = {"source": source, "count": 40, "cache": cache, "workers": 0, "image_size": SIZE}
    random, centre = (DataConfig.model_validate({**settings, "crop": crop}) for crop in ("random", "centre"))
    assert torch.equal(collect(random), collect(centre))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fit": "stretch", "crop": "random"}, "data.crop: random: data.fit=stretch leaves nothing to crop"),
        ({"crop": "random", "version": 1}, "data.crop: random came with data.version 2"),
        ({"source": "photos", "root": None, "fit": "stretch"}, "data.fit: photos are drawn as squares"),
    ],
)
def test_settings_that_do_not_go_together(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DataConfig.model_validate({"source": "folder", "root": "x", "image_size": 16, **settings})
