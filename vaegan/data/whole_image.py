"""Checks that PNG and JPEG files hold all of their pixels: Pillow fills up what is missing and says nothing.

Of other formats it says so. Not every hole in a JPEG file can be found: its bits may be those of other colours.
"""

import re
import struct
import zlib
from importlib.util import find_spec
from typing import IO

PNG_SIGNATURE, JPEG_SIGNATURE = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Samples of a pixel by the colour type of a PNG file."""
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""First column and row, and steps between columns and rows, of the passes of an interlaced PNG file."""
BLOCK_BYTES = 2**20
MAX_PADDING_BYTES = 16
"""Most bytes that belong to no pixel before a marker of a JPEG file that is taken for whole; some cameras pad."""
DAMAGE = re.compile(r"[Pp]remature end|bad Huffman code|instead of RST")
"""Warnings of libjpeg about pixels that it has made up."""
PADDING = re.compile(r"(\d+) extraneous bytes before marker 0x(d\d|da|c4)")
"""Warning of libjpeg about bytes between the pixels and a marker."""


def check_whole(file: IO[bytes]) -> None:
    """Check that a PNG or JPEG file that can be decoded has all pixels; JPEG files only if simplejpeg is installed.

    Raises:
        ValueError: Some of its pixels are missing or damaged.
    """
    head = file.read(8)
    if head == PNG_SIGNATURE:
        _check_png(file)
    elif head[:3] == JPEG_SIGNATURE and has_simplejpeg():
        _check_jpeg(head + file.read())


def has_simplejpeg() -> bool:
    """Return whether the package that finds damaged JPEG files is installed."""
    return find_spec("simplejpeg") is not None


def _check_png(file: IO[bytes]) -> None:
    expected, found, inflate = 0, 0, zlib.decompressobj()
    while len(head := file.read(8)) == 8:
        (length,), name = struct.unpack_from(">I", head), head[4:]
        if name == b"IHDR":
            expected = _count_png_bytes(*struct.unpack(">IIBBxxB", file.read(length)))
        elif name == b"IDAT":
            data = file.read(length)
            while data and not inflate.eof:
                try:
                    found += len(inflate.decompress(data, BLOCK_BYTES))
                except zlib.error as error:
                    raise ValueError(f"damaged: {str(error).rpartition(': ')[2]}") from error
                data = inflate.unconsumed_tail
        elif name == b"IEND" or found:
            break
        else:
            file.seek(length, 1)
        file.seek(4, 1)
    if found < expected:
        raise ValueError(f"damaged: its pixels end early ({found:,} of {expected:,} bytes)")


def _count_png_bytes(width: int, height: int, bits: int, colour_type: int, interlace: int) -> int:
    """Return the number of bytes of a PNG file's rows, each with the number of its filter, before they are deflated."""
    total = 0
    for left, top, step, rows_step in ADAM7 if interlace else ((0, 0, 1, 1),):
        columns, rows = -(-(width - left) // step), -(-(height - top) // rows_step)
        if columns > 0 and rows > 0:
            total += rows * (1 + -(-columns * bits * SAMPLES[colour_type] // 8))
    return total


def _check_jpeg(content: bytes) -> None:
    import simplejpeg

    try:
        simplejpeg.decode_jpeg(content, "GRAY", min_height=1, min_width=1, min_factor=8)
    except ValueError as error:
        warning = str(error)
        padding = PADDING.search(warning)
        if DAMAGE.search(warning) or (padding is not None and int(padding[1]) > MAX_PADDING_BYTES):
            raise ValueError(f"damaged: {warning.removeprefix('Corrupt JPEG data: ')}") from error
