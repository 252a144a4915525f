"""One image file: cropping, resizing, colour modes, orientation."""

import itertools
import logging
import struct
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps
from torchvision import transforms

from vaegan import extras
from vaegan.config.data import DataConfig
from vaegan.data import UnreadableImageError, find_images, image_file, read_image
from vaegan.data.image_file import describe_image, fit_to_square

from .image_sets import make_image, open_image_tree, write_image_tree
from .raw_files import make_png, make_tiff_of_samples


def fit_by_torchvision(image: Image.Image, size: int) -> NDArray[np.uint8]:
    resized = transforms.functional.resize(image, [size], transforms.InterpolationMode.BICUBIC, antialias=True)
    return np.asarray(transforms.functional.center_crop(resized, [size])).transpose(2, 0, 1)


def test_new_runs_decode_by_the_newest_version() -> None:
    assert DataConfig.model_fields["version"].default == image_file.DATA_VERSION


def check_sizes(sides: Sequence[int], other_sides: Sequence[int]) -> None:
    whole = make_image(97, 97)
    for width, height, size in itertools.product(sides, other_sides, (16, 32, 64)):
        image = whole.crop((0, 0, width, height))
        got, expected = fit_to_square(image, size, 3), fit_by_torchvision(image, size)
        assert np.array_equal(got, expected), (width, height, size)


def test_fitting_is_torchvisions_resize_and_centre_crop() -> None:
    check_sizes(range(17, 98, 9), range(17, 98, 4))
    check_sizes((63, 64, 65), range(17, 98))


@pytest.mark.long
def test_fitting_is_torchvisions_resize_and_centre_crop_of_all_sizes() -> None:
    check_sizes(range(17, 98), range(17, 98))


@pytest.mark.parametrize(
    ("width", "height", "left", "top"), [(64, 64, 0, 0), (65, 64, 0, 0), (64, 67, 0, 2), (90, 64, 13, 0)]
)
def test_an_image_that_needs_no_scaling_keeps_its_pixels(
    tmp_path: Path, width: int, height: int, left: int, top: int
) -> None:
    image = make_image(width, height)
    image.save(tmp_path / "x.png")
    expected = np.asarray(image)[top : top + 64, left : left + 64].transpose(2, 0, 1)
    got = read_image(tmp_path / "x.png", 64, 3)
    assert got.dtype == np.uint8 and np.array_equal(got, expected)
    grey = np.asarray(image.convert("L"))[top : top + 64, left : left + 64]
    assert np.array_equal(read_image(tmp_path / "x.png", 64, 1)[0], grey)


@pytest.mark.parametrize("size", [(16, 16), (17, 16), (40, 25), (25, 40), (33, 32), (16, 500), (8, 9)])
def test_version_1_crops_on_half_pixels_before_it_resizes(tmp_path: Path, size: tuple[int, int]) -> None:
    image = make_image(*size)
    image.save(tmp_path / "x.png")
    expected = np.asarray(ImageOps.fit(image, (16, 16), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
    assert np.array_equal(read_image(tmp_path / "x.png", 16, 3, version=1), expected)
    data, _ = open_image_tree(write_image_tree(tmp_path / "set", 6), version=1)
    decoded = read_image(tmp_path / "set" / find_images(tmp_path / "set")[int(data.train.indices[0])], 16, 3, version=1)
    assert np.array_equal(data.train[torch.tensor([0])][0], decoded)


def test_a_very_long_picture_is_cropped_before_it_is_resized(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (8, 100_002), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "x.png")
    middle = Image.fromarray(noise[:, 50_001 - 256 : 50_001 + 256])
    assert np.array_equal(read_image(tmp_path / "x.png", 64, 1), fit_to_square(middle, 64, 1))
    assert np.array_equal(fit_to_square(middle, 64, 3), fit_by_torchvision(middle.convert("RGB"), 64))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("mode", "ending"),
    [
        ("1", "png"),
        ("L", "png"),
        ("LA", "png"),
        ("P", "gif"),
        ("P", "png"),
        ("RGBA", "png"),
        ("CMYK", "jpg"),
        ("L", "jpg"),
    ],
)
def test_every_mode_is_read(tmp_path: Path, mode: str, ending: str, channels: int) -> None:
    grey = Image.fromarray(np.kron(np.array([[40, 200], [120, 250]], dtype=np.uint8), np.ones((8, 8), dtype=np.uint8)))
    grey.convert("RGB" if mode == "CMYK" else "L").convert(mode).save(tmp_path / f"x.{ending}")
    got = read_image(tmp_path / f"x.{ending}", 16, channels).astype(int)
    assert got.shape == (channels, 16, 16)
    if mode != "1":
        assert np.abs(got - np.asarray(grey).astype(int)).max() <= 6


def test_transparent_pixels_lie_on_white(tmp_path: Path) -> None:
    Image.new("RGBA", (16, 16), (255, 0, 0, 0)).save(tmp_path / "x.png")
    assert (read_image(tmp_path / "x.png", 16, 3) == 255).all()


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_size_is_that_of_the_upright_image(tmp_path: Path, suffix: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.new("RGB", (21, 19)).save(tmp_path / f"a{suffix}", exif=exif)
    stored = describe_image(tmp_path / f"a{suffix}")
    assert (stored.width, stored.height) == ((19, 21) if orientation > 4 else (21, 19))


def test_exif_orientation_is_obeyed_and_the_first_frame_is_taken(tmp_path: Path) -> None:
    upright = make_image(16, 16)
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "x.png", exif=exif)
    assert np.array_equal(read_image(tmp_path / "x.png", 16, 3), np.asarray(upright).transpose(2, 0, 1))
    red, blue = (Image.new("RGB", (16, 16), colour) for colour in ("red", "blue"))
    red.save(tmp_path / "x.gif", save_all=True, append_images=[blue])
    assert read_image(tmp_path / "x.gif", 16, 3)[:, 0, 0].tolist() == [255, 0, 0]


def test_a_picture_of_very_many_pixels_is_named_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "x.png"
    make_image(20, 10).save(file)
    notes: list[str] = []
    for limit, expected in ((None, []), (200, []), (199, [f"{file}: 200 pixels, read all the same"])):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read_image(file, 8, 3, notify=notes.append)
        assert notes == expected
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 99)
    with pytest.raises(UnreadableImageError) as error:
        read_image(file, 8, 3)
    assert error.value.reason == "more than 198 pixels"


def test_heic_pictures_are_read_with_pillow_heif(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    folder = write_image_tree(tmp_path, 4)
    Image.new("RGB", (64, 48), (200, 40, 90)).save(tmp_path / "cat" / "x.HEIC", quality=95)
    with monkeypatch.context() as without:
        without.setattr(image_file, "_register_heif", lambda: False)
        without.setattr(extras, "find_spec", lambda name: None)
        assert "x.HEIC (pillow-heif is not installed" in open_image_tree(folder, cache="none")[1][0]
    _, notes = open_image_tree(folder, cache="none")
    names = find_images(tmp_path)
    assert "cat/x.HEIC" in names and not notes and "cat/x.HEIC" not in find_images(tmp_path, version=1)
    got = read_image(tmp_path / "cat" / "x.HEIC", 16, 3)
    assert np.abs(got.astype(int) - np.array([200, 40, 90])[:, None, None]).max() <= 6
    with pytest.raises(UnreadableImageError, match=r"runs of data\.version 1 do not read"):
        read_image(tmp_path / "cat" / "x.HEIC", 16, 3, version=1)


@pytest.mark.parametrize("name", ["x.HEIC", "x.heif", "x.jpg"])
def test_heic_pictures_are_named_with_the_package_that_they_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(image_file, "_register_heif", lambda: False)
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    folder = write_image_tree(tmp_path, 6)
    (folder / "cat" / name).write_bytes(
        struct.pack(">I4s4sI4s4s", 24, b"ftyp", b"heic", 0, b"mif1", b"heic") + bytes(99)
    )
    _, notes = open_image_tree(folder)
    assert len(notes) == 1 and f"{name} (pillow-heif is not installed; pip install 'vaegan[heif]')" in notes[0]
    assert len(find_images(folder, version=1)) == (7 if name == "x.jpg" else 6)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"P7\nWIDTH 9\n", "a PAM file, which is not read; save it as PNG"),
        (b"\xff\x0a\0", "a JPEG XL file, which is not read; save it as PNG"),
        (b"<!DOCTYPE html><html>404</html>", "a web page, not an image"),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "a pointer of Git LFS to an image; fetch it with `git lfs pull`",
        ),
        (b"?", "not an image"),
        (make_png(np.zeros((16, 16), np.uint8), 8, 3), "damaged, or of a kind that Pillow does not read"),
    ],
)
def test_what_is_not_read_is_named_in_words(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(UnreadableImageError) as error:
        read_image(tmp_path / "x.png", 16, 3)
    assert error.value.reason == reason


def test_a_damaged_tiff_file_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    make_image(64, 64).save(tmp_path / "x.tif", compression="tiff_lzw")
    content = bytearray((tmp_path / "x.tif").read_bytes())
    content[2000:12000] = bytes(10000)
    (tmp_path / "x.tif").write_bytes(content)
    with pytest.raises(UnreadableImageError) as error:
        read_image(tmp_path / "x.tif", 16, 3)
    assert error.value.reason == "damaged, or of a kind that Pillow does not read" and capfd.readouterr() == ("", "")


def test_what_pillow_logs_is_not_printed(tmp_path: Path) -> None:
    (tmp_path / "x.tif").write_bytes(make_tiff_of_samples(np.zeros((16, 16, 8), np.uint8), {262: [2]}))
    with pytest.raises(UnreadableImageError):
        read_image(tmp_path / "x.tif", 16, 3)
    assert any(isinstance(handler, logging.NullHandler) for handler in logging.getLogger("PIL").handlers)
