"""Colours of image files in sRGB, against colorimetry written out in `raw_files`."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from vaegan.data import read_image

from .image_sets import make_image
from .raw_files import (
    ADOBE_GAMMA,
    ADOBE_RGB,
    SRGB,
    encode_srgb,
    lab_to_srgb,
    make_cmyk_profile,
    make_grey_profile,
    make_png,
    make_rgb_profile,
    to_srgb,
)

DISPLAY_P3 = (0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)
ADOBE = make_rgb_profile(ADOBE_GAMMA, ADOBE_RGB)
SRGB_PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
NOISE = make_image(16, 16)
GREYS = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16))
GAMMA_1 = struct.pack(">I", 100_000)


def read(path: Path, channels: int = 3) -> NDArray[np.uint8]:
    """uint8 (16, 16, 3), or (16, 16) of one channel."""
    pixels = read_image(path, 16, channels)
    return pixels[0] if channels == 1 else pixels.transpose(1, 2, 0)


def pack(*values: float) -> bytes:
    return struct.pack(f">{len(values)}I", *(round(100_000 * value) for value in values))


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "tif", "avif"])
def test_adobe_rgb_becomes_srgb(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"x.{ending}"
    exact = {"quality": 100, "lossless": True} if ending == "webp" else {"quality": 100}
    Image.new("RGB", (16, 16), (60, 160, 80)).save(file, icc_profile=ADOBE, **exact)
    lossless = ending in ("png", "tif", "webp")
    assert np.abs(read(file).astype(int) - (0, 161, 73)).max() <= (0 if lossless else 3)


@pytest.mark.parametrize(("gamma", "primaries"), [(ADOBE_GAMMA, ADOBE_RGB), (1.0, SRGB), (1.8, DISPLAY_P3)])
def test_every_colour_of_a_profile_is_that_of_its_colorimetry(
    tmp_path: Path, gamma: float, primaries: tuple[float, ...]
) -> None:
    NOISE.save(tmp_path / "x.png", icc_profile=make_rgb_profile(gamma, primaries))
    expected = to_srgb(np.asarray(NOISE), round(256 * gamma) / 256, primaries)
    assert np.abs(read(tmp_path / "x.png") - expected).max() <= 1.1


def test_pixels_without_a_usable_profile_are_kept_to_the_bit(tmp_path: Path) -> None:
    broken = [b"no profile", ADOBE[:200], ADOBE[:128] + b"\xff" * 60, b"\0" * len(ADOBE)]
    for number, profile in enumerate(
        [None, SRGB_PROFILE, make_grey_profile(1.0), make_cmyk_profile([(50, 0, 0)] * 4), *broken]
    ):
        NOISE.save(tmp_path / f"{number}.png", icc_profile=profile)
        assert np.array_equal(read(tmp_path / f"{number}.png"), np.asarray(NOISE)), number
    for profile in (SRGB_PROFILE, make_cmyk_profile([(50, 0, 0)] * 4), *broken):
        GREYS.save(tmp_path / "grey.png", icc_profile=profile)
        assert np.array_equal(read(tmp_path / "grey.png", 1), np.asarray(GREYS))


def test_version_1_reads_no_profile(tmp_path: Path) -> None:
    NOISE.save(tmp_path / "x.png", icc_profile=ADOBE)
    assert np.array_equal(read_image(tmp_path / "x.png", 16, 3, version=1).transpose(1, 2, 0), np.asarray(NOISE))


@pytest.mark.parametrize("gamma", [1.0, 1.8])
def test_grey_profiles_of_8_and_of_16_bits(tmp_path: Path, gamma: float) -> None:
    profile = make_grey_profile(gamma)
    GREYS.save(tmp_path / "8.png", icc_profile=profile)
    values = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    Image.fromarray(values).save(tmp_path / "16.png", icc_profile=profile)
    gamma = round(256 * gamma) / 256
    assert np.abs(read(tmp_path / "8.png", 1) - encode_srgb((np.asarray(GREYS) / 255) ** gamma)).max() <= 1
    assert np.abs(read(tmp_path / "16.png", 1) - encode_srgb((values / 65535) ** gamma)).max() <= 1.1
    colours = read(tmp_path / "8.png")
    assert (colours == colours[..., :1]).all()


def test_grey_has_a_profile_of_rgb_and_rgb_without_colour_one_of_grey(tmp_path: Path) -> None:
    GREYS.save(tmp_path / "grey.png", icc_profile=ADOBE)
    assert np.abs(read(tmp_path / "grey.png", 1) - encode_srgb((np.asarray(GREYS) / 255) ** ADOBE_GAMMA)).max() <= 1
    with_alpha = GREYS.convert("RGBA")
    with_alpha.putpixel((15, 15), (255, 255, 255, 0))
    for name, image in (("rgb", GREYS.convert("RGB")), ("rgba", with_alpha)):
        image.save(tmp_path / f"{name}.png", icc_profile=make_grey_profile(1.0))
        assert np.abs(read(tmp_path / f"{name}.png")[..., 2] - encode_srgb(np.asarray(GREYS) / 255)).max() <= 1
    wide = np.stack([np.arange(256) * 257, np.full(256, 65535)], 1).astype(">u2").reshape(16, 32)
    body = b"grey\0\0" + zlib.compress(make_grey_profile(1.0))
    (tmp_path / "wide.png").write_bytes(make_png(wide, 16, 4, iCCP=body))
    assert np.abs(read(tmp_path / "wide.png", 1) - encode_srgb(np.asarray(GREYS) / 255)).max() <= 1


def test_cmyk_is_printed_by_its_profile(tmp_path: Path) -> None:
    inks = [(60, -20, -20), (50, 40, -10), (80, 0, 50), (20, 0, 0)]
    profile = make_cmyk_profile(inks)
    for ink, lab in enumerate(inks):
        amounts = [0, 0, 0, 0]
        amounts[ink] = 255
        Image.new("CMYK", (16, 16), tuple(amounts)).save(tmp_path / "x.tif", icc_profile=profile)
        assert np.abs(read(tmp_path / "x.tif")[0, 0] - lab_to_srgb(lab)).max() <= 2, lab
    Image.new("CMYK", (16, 16), (0, 0, 0, 0)).save(tmp_path / "x.jpg", icc_profile=profile, quality=100)
    assert (read(tmp_path / "x.jpg") == 255).all()
    Image.new("CMYK", (16, 16), (255, 0, 0, 0)).save(tmp_path / "x.tif")
    assert read(tmp_path / "x.tif")[0, 0].tolist() == [0, 255, 255]


def test_lab_has_known_colours(tmp_path: Path) -> None:
    lab = (55, 20, -30)
    Image.frombytes("LAB", (16, 16), bytes((round(2.55 * lab[0]), lab[1], lab[2] % 256)) * 256).save(tmp_path / "x.tif")
    assert np.abs(read(tmp_path / "x.tif")[0, 0] - lab_to_srgb(lab)).max() <= 1.5


def test_transparent_and_palette_colours_have_profiles_too(tmp_path: Path) -> None:
    green = Image.new("RGBA", (16, 16), (60, 160, 80, 255))
    green.putpixel((3, 5), (60, 160, 80, 0))
    green.save(tmp_path / "alpha.png", icc_profile=ADOBE)
    green.convert("RGB").quantize(4).save(tmp_path / "palette.png", icc_profile=ADOBE)
    got = read(tmp_path / "alpha.png")
    assert got[5, 3].tolist() == [255, 255, 255] and got[0, 0].tolist() == [0, 161, 73]
    assert read(tmp_path / "palette.png")[0, 0].tolist() == [0, 161, 73]


@pytest.mark.parametrize(("gamma", "primaries"), [(1.0, None), (0.6, None), (1.0, ADOBE_RGB), (1 / 2.2, ADOBE_RGB)])
def test_gamma_and_primaries_of_png_files(tmp_path: Path, gamma: float, primaries: tuple[float, ...] | None) -> None:
    chunks = PngInfo()
    chunks.add(b"gAMA", pack(gamma))
    if primaries:
        chunks.add(b"cHRM", pack(*primaries))
    NOISE.save(tmp_path / "x.png", pnginfo=chunks)
    expected = to_srgb(np.asarray(NOISE), 100_000 / round(100_000 * gamma), primaries or SRGB)
    assert np.abs(read(tmp_path / "x.png") - expected).max() <= 1.1


@pytest.mark.parametrize(
    "chunks",
    [
        {"gAMA": pack(1 / 2.2)},
        {"gAMA": pack(1 / 2.2), "cHRM": pack(*SRGB)},
        {"gAMA": pack(1), "sRGB": b"\0"},
        {"cHRM": pack(*ADOBE_RGB)},
        {"gAMA": pack(0)},
        {"gAMA": pack(1), "cHRM": bytes(32)},
        {"gAMA": pack(1), "cHRM": pack(*[0.3, 0.3] * 4)},
    ],
)
def test_pixels_of_srgb_or_of_a_nonsensical_gamma_are_kept_to_the_bit(tmp_path: Path, chunks: dict[str, bytes]) -> None:
    pixels = np.asarray(NOISE)
    (tmp_path / "x.png").write_bytes(make_png(pixels.reshape(16, -1), 8, 2, **chunks))
    assert np.array_equal(read(tmp_path / "x.png"), pixels)


def test_a_profile_comes_before_gamma(tmp_path: Path) -> None:
    chunks = PngInfo()
    chunks.add(b"gAMA", GAMMA_1)
    NOISE.save(tmp_path / "x.png", pnginfo=chunks, icc_profile=SRGB_PROFILE)
    assert np.array_equal(read(tmp_path / "x.png"), np.asarray(NOISE))


def test_linear_grey_of_png_files_of_8_and_of_16_bits(tmp_path: Path) -> None:
    wide = np.linspace(0, 65535, 256).astype(">u2").reshape(16, 16)
    (tmp_path / "8.png").write_bytes(make_png(np.asarray(GREYS), 8, 0, gAMA=GAMMA_1))
    (tmp_path / "16.png").write_bytes(make_png(wide, 16, 0, gAMA=GAMMA_1, cHRM=pack(*ADOBE_RGB)))
    assert np.abs(read(tmp_path / "8.png", 1) - encode_srgb(np.asarray(GREYS) / 255)).max() <= 0.6
    assert np.abs(read(tmp_path / "16.png", 1) - encode_srgb(wide / 65535)).max() <= 1
