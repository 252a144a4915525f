"""Images with alpha: kept from the file to the model, and laid on white where they are seen."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import vaegan
from vaegan.config.data import DataConfig
from vaegan.data import open_data
from vaegan.data.fit import fit_to_square
from vaegan.data.webdataset.build_index import build_index
from vaegan.evaluate.metrics.pixels import psnr
from vaegan.images import draw_image_grid, draw_pairs, lay_on_white, show, to_float, to_uint8
from vaegan.losses.augmentation import DRAWS_PER_IMAGE, augment
from vaegan.losses.perceptual import build_random_lpips_network, lpips_distance

from ..tiny import are_bit_identical, flatten, load_newest, tiny
from .data.webdataset.shard_sets import write_tar

MODES = {2: "LA", 4: "RGBA"}


def make_images(channels: int, count: int = 24, side: int = 16) -> np.ndarray:
    """Return images with alpha of every value, uint8, shape (N, C, S, S)."""
    return np.random.default_rng(channels).integers(0, 256, (count, channels, side, side), dtype=np.uint8)


def write_folder(folder: Path, images: np.ndarray) -> Path:
    folder.mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image.transpose(1, 2, 0)).save(folder / f"{number:02}.png")
    return folder


def make_config(root: Path, channels: int, **settings: object) -> DataConfig:
    tree = {"source": "folder", "root": root, "image_size": 16, "channels": channels, **settings}
    return DataConfig.model_validate(tree)


@pytest.mark.parametrize("channels", MODES)
def test_alpha_is_kept_to_the_bit(tmp_path: Path, channels: int) -> None:
    images = make_images(channels)
    np.save(tmp_path / "images.npy", images)
    root = write_folder(tmp_path / "folder", images)
    write_tar(tmp_path / "set.tar", [(file.name, file.read_bytes()) for file in sorted(root.iterdir())])
    build_index(tmp_path / "set.tar")
    roots = {"folder": root, "arrays": tmp_path, "webdataset": tmp_path / "set.tar"}
    for config in (make_config(place, channels, source=source) for source, place in roots.items()):
        assert np.array_equal(open_data(config).train.store, images)


@pytest.mark.parametrize(("mode", "channels"), [(m, c) for m in ("L", "LA", "RGB", "RGBA", "P") for c in (1, 2, 3, 4)])
def test_every_mode_becomes_every_number_of_channels(mode: str, channels: int) -> None:
    image = Image.fromarray(make_images(4, 1)[0].transpose(1, 2, 0)).convert(mode)
    pixels = fit_to_square(image, 16, channels)
    if channels in MODES:
        expected = np.asarray(
            image.convert("RGBA").convert(MODES[channels]) if mode != "P" else image.convert(MODES[channels])
        )
        if not image.has_transparency_data:
            assert (pixels[-1] == 255).all()
        assert np.array_equal(pixels, expected.transpose(2, 0, 1))
        assert np.array_equal(pixels[-1], expected[..., -1])
    else:
        seen = lay_on_white(torch.from_numpy(fit_to_square(image, 16, channels + 1))[None])[0].numpy()
        assert np.abs(pixels.astype(int) - seen).max() <= 1  # Pillow rounds once more


def test_transparent_colours_do_not_bleed_where_an_image_is_resized() -> None:
    pixels = np.zeros((32, 32, 4), np.uint8)
    pixels[:, :16] = (255, 0, 0, 255)
    pixels[:, 16:] = (0, 255, 0, 0)
    resized = fit_to_square(Image.fromarray(pixels), 8, 4)
    visible = resized[3] > 0
    assert visible.any() and (resized[0][visible] >= 250).all() and (resized[1][visible] <= 5).all()


@pytest.mark.parametrize("channels", MODES)
def test_laying_on_white_is_alpha_compositing(channels: int) -> None:
    images = torch.from_numpy(make_images(channels))
    exact = 255 - (255 - images[:, :-1].double()) * images[:, -1:].double() / 255
    assert (lay_on_white(images) - exact).abs().max() <= 0.5
    assert torch.allclose(lay_on_white(to_float(images, torch.float64)), exact / 127.5 - 1, atol=1e-12)
    opaque = torch.cat([images[:, :-1], torch.full_like(images[:, -1:], 255)], 1)
    assert torch.equal(lay_on_white(opaque), images[:, :-1])
    assert torch.equal(lay_on_white(images[:, :1]), images[:, :1])


def test_pictures_lay_images_on_white_and_a_single_one_keeps_its_alpha() -> None:
    images = torch.from_numpy(make_images(4, 4))
    for picture, opaque in (
        (draw_image_grid(images, 2), draw_image_grid(lay_on_white(images), 2)),
        (draw_pairs(images, images, 2), draw_pairs(lay_on_white(images), lay_on_white(images), 2)),
    ):
        assert picture.mode == "RGB" and picture.tobytes() == opaque.tobytes()
    single = show(images[0])
    assert single.mode == "RGBA" and np.array_equal(
        np.asarray(single.resize((16, 16), 0)).transpose(2, 0, 1), images[0]
    )


def test_augmentation_changes_no_alpha_by_colour() -> None:
    images, noise = to_float(torch.from_numpy(make_images(4, 6))), torch.randn(6, DRAWS_PER_IMAGE)
    noise[:, 1:3] = 9.0  # neither translation nor cutout
    noise[:, 0] = -9.0
    changed = augment(images, noise, 0.5)
    assert torch.equal(changed[:, 3], images[:, 3])
    assert torch.equal(changed[:, :3], augment(images[:, :3], noise, 0.5)) and not torch.equal(changed, images)


def test_lpips_is_that_of_the_images_on_white() -> None:
    images, others = (to_float(torch.from_numpy(make_images(4, 2, 64)[..., :64, :64])) + d for d in (0, 0.1))
    network = build_random_lpips_network()
    others.requires_grad_(True)
    distance = lpips_distance(network, images, others)
    assert torch.equal(distance, lpips_distance(network, lay_on_white(images), lay_on_white(others)))
    distance.sum().backward()
    assert others.grad is not None and (others.grad[:, 3] != 0).any()


@pytest.mark.parametrize("family", ["vae", "vaegan3"])
def test_a_run_of_images_with_alpha(tmp_path: Path, family: str) -> None:
    np.savez(tmp_path / "set.npz", images=make_images(4, 40, 8))
    overrides = {
        "data.source": "arrays",
        "data.root": str(tmp_path / "set.npz"),
        "data.channels": 4,
        "model.labels": None,
    }
    runs = [vaegan.train(tiny(family), overrides, output=tmp_path / name, progress=False) for name in "ab"]
    assert are_bit_identical(*(flatten(load_newest(run.path)) for run in runs))
    metrics = ["psnr", "ssim", "sharpness", "elbo", "gap"]
    result = vaegan.evaluate_run(runs[0], metrics=metrics, progress=False)
    assert "laid on white" in str(result.protocol) and {"reconstruction/psnr", "reconstruction/ssim"} <= set(
        result.metrics
    )
    model = vaegan.load(runs[0])
    real = to_float(open_data(runs[0].config.data).test[torch.arange(len(result.scores["reconstruction/psnr"]))])
    seen = [lay_on_white(images) for images in (real, to_float(to_uint8(model.reconstruct(real))))]
    assert torch.allclose(psnr(*seen).double(), result.scores["reconstruction/psnr"], rtol=1e-5)
    assert model.sample(2).shape == (2, 4, 8, 8) and (runs[0].samples).is_dir()


@pytest.mark.parametrize("source", ["digits", "shapes", "mnist"])
def test_sets_without_alpha_refuse_it(source: str) -> None:
    with pytest.raises(ValueError, match=rf"data\.channels: 4: images of {source} are not transparent; give 3"):
        DataConfig(source=source, image_size=16, channels=4)
    with pytest.raises(ValueError, match=r"data\.channels: 2: came with data\.version 2; give 1"):
        DataConfig(source="folder", root="x", image_size=16, channels=2, version=1)
