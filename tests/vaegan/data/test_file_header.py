"""What headers say and Pillow passes over: alpha that is none, 8-bit palettes, signs, colours by code points."""

import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, features

from vaegan.data import UnreadableImageError, read_image
from vaegan.data.code_points import CURVES, PRIMARIES
from vaegan.data.fit import fit_to_square

from .image_sets import make_image
from .raw_files import (
    ADOBE_GAMMA,
    ADOBE_RGB,
    encode_srgb,
    make_matrix,
    make_png,
    make_rgb_profile,
    make_tiff_of_samples,
)
from .raw_files import SRGB as SRGB_PRIMARIES

COLOURS = np.asarray(make_image(16, 16))
BGRA = np.dstack([COLOURS[..., ::-1], np.zeros((16, 16), np.uint8)])
"""Pixels whose fourth sample, 0, would make them transparent."""
RGBA = np.dstack([COLOURS, np.zeros((16, 16), np.uint8)])


def read(file: Path, content: bytes | None = None, version: int = 2) -> NDArray[np.uint8]:
    """uint8 (16, 16, 3)."""
    if content is not None:
        file.write_bytes(content)
    return read_image(file, 16, 3, version).transpose(1, 2, 0)


def make_tga(pixels: NDArray[np.uint8], descriptor: int, kind: int = 2) -> bytes:
    return struct.pack("<3B5x4H2B", 0, 0, kind, 0, 0, 16, 16, 8 * pixels.size // 256, descriptor) + pixels.tobytes()


def make_bmp(masks: tuple[int, ...], header: int) -> bytes:
    head = struct.pack("<IiiHHIIiiII4I", header, 16, -16, 1, 32, 3, 1024, 0, 0, 0, 0, *masks)[:header]
    return b"BM" + struct.pack("<IHHI", 14 + header + 1024, 0, 0, 14 + header) + head + BGRA.tobytes()


def make_jp2(**changes: bytes) -> bytes:
    """A lossless JPEG 2000 file of `RGBA`, whose boxes have other names."""
    file = BytesIO()
    Image.fromarray(RGBA).save(file, "JPEG2000")
    content = file.getvalue()
    for name, other in changes.items():
        assert name.encode() in content
        content = content.replace(name.encode(), other)
    return content


@pytest.mark.parametrize(
    ("name", "unspecified", "alpha"),
    [
        ("x.tga", make_tga(BGRA, 0x20), make_tga(BGRA, 0x28)),
        ("x.tif", make_tiff_of_samples(RGBA, {262: [2]}), make_tiff_of_samples(RGBA, {262: [2], 338: [2]})),
        ("x.bmp", make_bmp((0, 0, 0, 0), 56), make_bmp((0xFF0000, 0xFF00, 0xFF, 0xFF000000), 56)),
        ("x.jp2", make_jp2(cdef=b"none"), make_jp2()),
    ],
)
def test_a_fourth_sample_is_alpha_where_the_format_says_so(
    tmp_path: Path, name: str, unspecified: bytes, alpha: bytes
) -> None:
    assert np.array_equal(read(tmp_path / name, unspecified), COLOURS)
    assert (read(tmp_path / name, alpha) == 255).all()
    (tmp_path / name).write_bytes(unspecified)
    assert (read_image(tmp_path / name, 16, 4)[3] == 255).all()
    with Image.open(tmp_path / name) as image:  # as the library is given it
        assert np.array_equal(fit_to_square(image, 16, 3).transpose(1, 2, 0), COLOURS)
    assert (read(tmp_path / name, unspecified, version=1) == 255).all()


def test_grey_with_a_second_sample_that_is_no_alpha(tmp_path: Path) -> None:
    grey = np.dstack([COLOURS[..., 0], np.zeros((16, 16), np.uint8)])
    assert np.array_equal(read(tmp_path / "x.tga", make_tga(grey, 0x20, kind=3))[..., 1], COLOURS[..., 0])
    assert (read(tmp_path / "x.tga", make_tga(grey, 0x28, kind=3)) == 255).all()


def test_separate_planes_of_a_tiff_are_read_or_named(tmp_path: Path) -> None:
    file = tmp_path / "a.tif"
    assert np.array_equal(read(file, make_tiff_of_samples(COLOURS, {262: [2]}, is_planar=True)), COLOURS)
    wide = make_tiff_of_samples(COLOURS.astype(np.uint16) * 257, {262: [2]}, is_planar=True)
    lab = make_tiff_of_samples(COLOURS, {262: [8]}, is_planar=True)
    for content in (wide, lab):
        with pytest.raises(UnreadableImageError, match="samples in separate planes, which are misread; save them"):
            read(file, content)


@pytest.mark.parametrize("factor", [1, 257])
def test_a_tiff_palette_has_8_bits_if_none_of_its_values_needs_more(tmp_path: Path, factor: int) -> None:
    levels = np.arange(256).reshape(16, 16, 1).astype(np.uint8)
    palette = np.random.default_rng(0).permutation(768) % 256
    content = make_tiff_of_samples(levels, {262: [3], 320: (palette * factor).tolist()})
    expected = palette.reshape(3, 16, 16).transpose(1, 2, 0)
    assert np.array_equal(read(tmp_path / "x.tif", content), expected)
    if factor == 1:
        assert not read(tmp_path / "x.tif", content, version=1).any()


def convert(pixels: NDArray[np.uint8], primaries: int, transfer: int) -> NDArray[np.float64]:
    """Pixels of code points as sRGB's levels of 0 to 255, by the formulas of ITU-T H.273; white is D65."""
    x = pixels / 255
    light = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4) if len(CURVES[transfer]) > 1 else None
    light = x ** CURVES[transfer][0] if light is None else light
    return encode_srgb(light @ (np.linalg.inv(make_matrix(SRGB_PRIMARIES)) @ make_matrix(PRIMARIES[primaries][1])).T)


@pytest.mark.parametrize(("primaries", "transfer"), [(12, 13), (9, 1), (12, 8), (1, 4), (5, 6), (2, 8)])
def test_code_points_become_srgb(tmp_path: Path, primaries: int, transfer: int) -> None:
    content = make_png(COLOURS.reshape(16, -1), 8, 2, cICP=bytes((primaries, transfer, 0, 1)))
    expected = convert(COLOURS, 1 if primaries == 2 else primaries, transfer)
    assert np.abs(read(tmp_path / "x.png", content) - expected).max() <= 1.1
    assert np.array_equal(read(tmp_path / "x.png", content, version=1), COLOURS)


@pytest.mark.parametrize("points", [(1, 13), (1, 1), (2, 2), (1, 6), (2, 13), (1, 14), (1, 2)])
def test_code_points_of_srgb_keep_pixels_to_the_bit(tmp_path: Path, points: tuple[int, int]) -> None:
    for rows, kind in ((COLOURS.reshape(16, -1), 2), (COLOURS[..., 0], 0)):
        content = make_png(rows, 8, kind, cICP=bytes((*points, 0, 1)))
        assert np.array_equal(read(tmp_path / "x.png", content), COLOURS if kind == 2 else COLOURS[..., [0, 0, 0]])


def test_code_points_come_before_a_profile_unless_they_say_nothing(tmp_path: Path) -> None:
    linear = {"gAMA": struct.pack(">I", 100_000)}
    unspecified = make_png(COLOURS.reshape(16, -1), 8, 2, cICP=bytes((2, 2, 0, 1)), **linear)
    assert np.abs(read(tmp_path / "x.png", unspecified) - encode_srgb(COLOURS / 255)).max() <= 1.1
    srgb = make_png(COLOURS.reshape(16, -1), 8, 2, cICP=bytes((1, 13, 0, 1)), **linear)
    assert np.array_equal(read(tmp_path / "x.png", srgb), COLOURS)


@pytest.mark.parametrize(
    ("chunk", "reason"),
    [
        ((9, 16, 0, 1), "colours of BT.2020 PQ (HDR), by its cICP chunk; convert it to sRGB first"),
        ((12, 18, 0, 1), "colours of Display P3 HLG (HDR), by its cICP chunk; convert it to sRGB first"),
        ((2, 16, 0, 1), "colours of PQ (HDR), by its cICP chunk; convert it to sRGB first"),
        ((8, 13, 0, 1), "colours of primaries 8, by its cICP chunk; convert it to sRGB first"),
        ((1, 99, 0, 1), "colours of BT.709 transfer function 99, by its cICP chunk; convert it to sRGB first"),
        ((1, 13, 0, 0), "pixels of video range, by its cICP chunk; convert it to sRGB first"),
    ],
)
def test_code_points_that_are_not_converted_are_named(tmp_path: Path, chunk: tuple[int, ...], reason: str) -> None:
    for rows in (COLOURS.reshape(16, -1), COLOURS.reshape(16, -1).astype(">u2")):
        content = make_png(rows, 8 * rows.itemsize, 2, cICP=bytes(chunk))
        with pytest.raises(UnreadableImageError) as error:
            read(tmp_path / "x.png", content)
        assert error.value.reason == reason
        read(tmp_path / "x.png", content, version=1)


def change_nclx(file: Path, primaries: int, transfer: int) -> None:
    content = bytearray(file.read_bytes())
    place = content.index(b"nclx") + 4
    content[place : place + 4] = struct.pack(">HH", primaries, transfer)
    file.write_bytes(content)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
def test_code_points_of_avif_files(tmp_path: Path) -> None:
    file = tmp_path / "x.avif"
    Image.fromarray(RGBA + np.array([0, 0, 0, 255], np.uint8)).save(file, quality=100, subsampling="4:4:4")
    plain = read(file)
    change_nclx(file, 2, 2)
    assert np.array_equal(read(file), plain)
    change_nclx(file, 12, 13)
    assert np.abs(read(file) - convert(plain, 12, 13)).max() <= 1.1
    change_nclx(file, 9, 16)
    with pytest.raises(
        UnreadableImageError, match=r"colours of BT\.2020 PQ \(HDR\), by its nclx box; convert it to sRGB"
    ):
        read(file)
    assert np.array_equal(read(file, version=1), plain)
    Image.fromarray(COLOURS).save(file, quality=100, icc_profile=make_rgb_profile(ADOBE_GAMMA, ADOBE_RGB))
    by_profile = read(file)
    change_nclx(file, 9, 16)  # of the matrix alone, where there is a profile
    assert np.array_equal(read(file), by_profile)


def test_code_points_of_heic_files(tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    file = tmp_path / "x.heic"
    make_image(64, 64).resize((16, 16)).resize((64, 64)).save(file, quality=95)
    plain = read(file)
    change_nclx(file, 12, 13)
    assert np.abs(read(file) - convert(plain, 12, 13)).max() <= 2
    change_nclx(file, 9, 18)
    with pytest.raises(
        UnreadableImageError, match=r"colours of BT\.2020 HLG \(HDR\), by its nclx box; convert it to sRGB"
    ):
        read(file)


def test_colours_and_signs_of_jpeg_2000_files(tmp_path: Path) -> None:
    file = tmp_path / "x.jp2"
    profile = make_rgb_profile(1.0, SRGB_PRIMARIES)
    Image.fromarray(COLOURS).save(file)
    content = file.read_bytes()
    old = struct.pack(">I4sBBBI", 15, b"colr", 1, 0, 0, 16)
    new = struct.pack(">I4sBBB", 11 + len(profile), b"colr", 2, 0, 0) + profile
    header = content.index(b"jp2h") - 4
    (length,) = struct.unpack_from(">I", content, header)
    longer = content[:header] + struct.pack(">I", length + len(new) - 15) + content[header + 4 :].replace(old, new)
    assert np.abs(read(file, longer) - encode_srgb(COLOURS / 255)).max() <= 1.1
    wide = content.replace(old, struct.pack(">I4sBBBI", 15, b"colr", 1, 0, 0, 21))
    with pytest.raises(UnreadableImageError, match="colours of ROMM-RGB; convert it to sRGB first"):
        read(file, wide)
    Image.fromarray(COLOURS).save(file, signed=True)
    with pytest.raises(UnreadableImageError, match="signed integer pixels, whose range is not known"):
        read(file)


def test_a_png_file_of_apples_own_is_named(tmp_path: Path) -> None:
    content = make_png(COLOURS.reshape(16, -1), 8, 2)
    body = b"CgBIP\0 \2"
    chunk = struct.pack(">I", 4) + body + struct.pack(">I", zlib.crc32(body))
    with pytest.raises(UnreadableImageError, match=r"Apple's own format \(CgBI\)"):
        read(tmp_path / "x.png", content[:8] + chunk + content[8:])
