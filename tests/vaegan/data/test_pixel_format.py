"""Ranges and transparency of pixels are what the file says, whatever their values are."""

import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from vaegan.data import UnreadableImageError, read_image
from vaegan.data.fit import fit_to_square
from vaegan.data.image_file import check_image

from .raw_files import make_png, make_tiff

DARK = (np.arange(256).reshape(16, 16) * 240 // 255).astype(np.uint32)
"""Values of 0 to 240, which fit into any format."""


def read_grey(file: Path, content: bytes, version: int = 2) -> NDArray[np.uint8]:
    """uint8 (16, 16)."""
    file.write_bytes(content)
    return read_image(file, 16, 1, version)[0]


def pack_12_bits(values: NDArray[np.integer]) -> bytes:
    one, other = values.ravel().astype(np.uint16).reshape(-1, 2).T
    return np.stack([one >> 4, (one & 15) << 4 | other >> 8, other & 255], 1).astype(np.uint8).tobytes()


@pytest.mark.parametrize("factor", [1, 250])
@pytest.mark.parametrize("big", [False, True])
def test_16_bits_are_16_bits(tmp_path: Path, factor: int, big: bool) -> None:
    values = (DARK * factor).astype(np.uint16)
    stored = values.astype(">u2" if big else "<u2").tobytes()
    expected = np.rint(values / 257)
    assert np.array_equal(read_grey(tmp_path / "x.tif", make_tiff(stored, 16, 16, big=big)), expected)
    assert np.array_equal(read_grey(tmp_path / "x.png", make_png(values.astype(">u2"), 16, 0)), expected)
    pgm = b"P5 16 16 65535\n" + values.astype(">u2").tobytes()
    assert np.array_equal(read_grey(tmp_path / "x.pgm", pgm), expected)


def test_white_is_0_where_the_file_says_so(tmp_path: Path) -> None:
    values = (DARK * 250).astype("<u2")
    assert np.array_equal(
        read_grey(tmp_path / "x.tif", make_tiff(values.tobytes(), 16, 16, photometric=0)), np.rint(255 - values / 257)
    )
    grey = DARK.astype(np.uint8)
    assert np.array_equal(read_grey(tmp_path / "x.tif", make_tiff(grey.tobytes(), 16, 8, photometric=0)), 255 - grey)


@pytest.mark.parametrize("factor", [1, 17])
def test_12_bits_are_12_bits(tmp_path: Path, factor: int) -> None:
    got = read_grey(tmp_path / "x.tif", make_tiff(pack_12_bits(DARK * factor), 16, 12))
    assert np.array_equal(got, np.rint(DARK * factor * 255 / 4095))


@pytest.mark.parametrize("largest", [15, 100, 255, 1023, 4095])
def test_the_largest_value_of_a_pgm_file_is_white(tmp_path: Path, largest: int) -> None:
    values = np.arange(256).reshape(16, 16) * largest // 255
    header = f"P5 16 16 {largest}\n".encode()
    got = read_grey(tmp_path / "x.pgm", header + values.astype(">u2" if largest > 255 else "u1").tobytes())
    assert np.abs(got - values * 255 / largest).max() <= 0.51


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_few_bits_are_the_whole_range_in_png_and_tiff(tmp_path: Path, bits: int) -> None:
    values = np.arange(256).reshape(16, 16) % 2**bits
    packed = np.packbits(
        (values[..., None] >> np.arange(bits - 1, -1, -1) & 1).astype(np.uint8).reshape(16, -1), axis=1
    )
    expected = values * (255 // (2**bits - 1))
    assert np.array_equal(read_grey(tmp_path / "x.png", make_png(packed, bits, 0)), expected)
    assert np.array_equal(read_grey(tmp_path / "x.tif", make_tiff(packed.tobytes(), 16, bits)), expected)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (make_tiff(DARK.astype("<u4").tobytes(), 16, 32), "32-bit integer pixels"),
        (make_tiff(DARK.astype("<i4").tobytes(), 16, 32, sample_format=2), "signed integer pixels"),
        (make_tiff(DARK.astype("<i2").tobytes(), 16, 16, sample_format=2), "signed integer pixels"),
        (make_tiff(DARK.astype("i1").tobytes(), 16, 8, sample_format=2), "signed integer pixels"),
        (make_tiff((DARK / 255).astype("<f4").tobytes(), 16, 32, sample_format=3), "floating-point pixels"),
        (b"Pf\n16 16\n-1.0\n" + DARK.astype("<f4").tobytes(), "floating-point pixels"),
    ],
)
def test_an_unknown_range_is_refused_by_name_before_anything_is_decoded(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    file = tmp_path / "x.img"
    with pytest.raises(UnreadableImageError, match=f"{reason}, whose range is not known"):
        read_grey(file, content)
    with pytest.raises(UnreadableImageError, match=f"{reason}, whose range is not known"):
        check_image(file)


def test_a_tiff_file_of_other_pixels_is_not_said_to_be_no_image(tmp_path: Path) -> None:
    for content in (make_tiff(bytes(2048), 16, 64), make_tiff(bytes(512), 16, 16, photometric=0, big=True)):
        with pytest.raises(UnreadableImageError, match="a TIFF file that is damaged, or of a kind that Pillow"):
            read_grey(tmp_path / "x.tif", content)


def test_version_1_takes_values_of_16_bits_for_them(tmp_path: Path) -> None:
    got = read_grey(tmp_path / "x.tif", make_tiff((DARK * 250).astype("<u4").tobytes(), 16, 32), version=1)
    assert np.array_equal(got, np.rint(DARK * 250 / 257))


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_a_transparent_grey_of_any_depth_lies_on_white(tmp_path: Path, bits: int) -> None:
    largest = 2**bits - 1
    values = np.arange(256).reshape(16, 16) * (257 if bits == 16 else 1) % (largest + 1)
    key = int(values[6, 7])
    if bits == 16:
        rows = values.astype(">u2")
    else:
        rows = np.packbits(
            (values[..., None] >> np.arange(bits - 1, -1, -1) & 1).astype(np.uint8).reshape(16, -1), axis=1
        )
    got = read_grey(tmp_path / "x.png", make_png(rows, bits, 0, tRNS=struct.pack(">H", key)))
    assert np.array_equal(got, np.where(values == key, 255, np.rint(values * 255 / largest)))


def test_a_transparent_colour_lies_on_white(tmp_path: Path) -> None:
    pixels = np.full((16, 16, 3), (10, 20, 30), dtype=np.uint8)
    pixels[2, 3] = 200, 0, 0
    (tmp_path / "x.png").write_bytes(make_png(pixels.reshape(16, -1), 8, 2, tRNS=struct.pack(">3H", 200, 0, 0)))
    got = read_image(tmp_path / "x.png", 16, 3).transpose(1, 2, 0)
    assert got[2, 3].tolist() == [255] * 3 and got[0, 0].tolist() == [10, 20, 30]
    wide = (pixels.astype(np.uint16) * 257).astype(">u2").reshape(16, -1)
    (tmp_path / "x.png").write_bytes(make_png(wide, 16, 2))
    assert np.array_equal(read_image(tmp_path / "x.png", 16, 3).transpose(1, 2, 0), pixels)
    wide[5, 3:6] = 200 * 257 + 1, 0, 0  # another colour, in the lower 8 bits
    for colour in ((200 * 257, 0, 0), (200 * 257 + 1, 0, 0), (1, 2, 3)):
        content = make_png(wide, 16, 2, tRNS=struct.pack(">3H", *colour))
        (tmp_path / "x.png").write_bytes(content)
        got = read_image(tmp_path / "x.png", 16, 3).transpose(1, 2, 0)
        expected = np.where((wide.reshape(16, 16, 3) == colour).all(2)[..., None], 255, wide.reshape(16, 16, 3) // 257)
        assert np.array_equal(got, expected), colour
        with Image.open(tmp_path / "x.png") as image:
            assert np.array_equal(fit_to_square(image, 16, 3).transpose(1, 2, 0), expected)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_half_transparent_pixels_are_mixed_with_white(tmp_path: Path, mode: str) -> None:
    Image.new(mode, (16, 16), (100, 128) if mode == "LA" else (100, 100, 100, 128)).save(tmp_path / "x.png")
    expected = 100 * 128 / 255 + 255 * (1 - 128 / 255)
    assert np.abs(read_image(tmp_path / "x.png", 16, 1) - expected).max() <= 1
    assert np.abs(read_image(tmp_path / "x.png", 16, 3) - expected).max() <= 1
