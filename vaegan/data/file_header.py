"""The parts of image files' headers that Pillow does not pass on: alpha that is none, signs, and code points of colour.

BMP and TGA: Truevision's specification 2.0 and BITMAPV3INFOHEADER. PNG: the third edition's chunk cICP. JPEG 2000: ISO
15444-1, annexes A.5.1 and I. AVIF and HEIF: the boxes of ISO 14496-12 and 23008-12.
"""

import struct
from collections.abc import Callable, Iterator
from typing import IO, NamedTuple

from PIL import Image

KEY = "header"
"""Where the header of an image is kept in its `info`, for after its file was closed."""
BITS_PER_SAMPLE, PLANAR_CONFIGURATION, EXTRA_SAMPLES = 258, 284, 338
"""Tags of TIFF files."""
SEPARATE_PLANES = 2
"""Value of `PLANAR_CONFIGURATION` of files that hold one sample of all pixels after the other."""
MISREAD_PLANAR_MODES = ("LAB", "LA", "La", "YCbCr")
"""Modes of images whose separate planes Pillow misreads, or does not read."""
ALPHA_SAMPLES = (1, 2, 999)
"""Values of `EXTRA_SAMPLES` that are alpha: premultiplied, straight, and Corel Draw's."""
MAX_BOX_BYTES = 2**24
"""Largest box of metadata that is read."""
JPEG2000_COLOURS = {9: "PhotoYCC", 11: "CMY", 13: "YCCK", 14: "CIELab", 20: "e-sRGB", 21: "ROMM-RGB", 24: "e-sYCC"}
"""Colour spaces of JPEG 2000 files that Pillow does not convert."""


class CodePoints(NamedTuple):
    """Colours by the code points of ITU-T H.273."""

    primaries: int
    transfer: int
    place: str
    """Name of the chunk or box that holds them."""


class Header(NamedTuple):
    """Facts about the pixels of an image file that Pillow does not tell."""

    has_alpha: bool = True
    """True if the samples that Pillow takes for alpha are alpha."""
    code_points: CodePoints | None = None
    profile: bytes | None = None
    """ICC profile that Pillow does not find."""
    problem: str | None = None
    """Reason why Pillow's pixels would be wrong."""


def get_header(image: Image.Image) -> Header:
    """Read the header of an image's file, or return the one that was read before.

    Of an image without an open file, or whose pixels were loaded before, only what Pillow keeps is known.
    """
    if KEY not in image.info:
        image.info[KEY] = _read_header(image)
    header: Header = image.info[KEY]
    return header


def get_tiff_values(image: Image.Image, tag: int) -> tuple[int, ...]:
    """Return the values of a tag of a TIFF file; () if it has none, or is of another format."""
    values = getattr(image, "tag_v2", {}).get(tag, ()) if image.format == "TIFF" else ()
    return values if isinstance(values, tuple) else (values,)


def _read_header(image: Image.Image) -> Header:
    if image.format == "TIFF":
        return _read_tiff(image)
    if image.format == "HEIF":
        colours = image.info.get("nclx_profile")
        if not isinstance(colours, dict):
            return Header()
        primaries, transfer = int(colours["color_primaries"]), int(colours["transfer_characteristics"])
        return Header(code_points=CodePoints(primaries, transfer, "nclx box"))
    read, file = READERS.get(image.format or ""), getattr(image, "fp", None)
    if read is None or file is None or file.closed or not getattr(image, "tile", None):
        return Header()
    position = file.tell()
    try:
        return read(file)
    except (struct.error, IndexError, ValueError):  # a header that is damaged is Pillow's to judge
        return Header()
    finally:
        file.seek(position)


def _read_tiff(image: Image.Image) -> Header:
    """Return what the tags of a TIFF file say; 16 bits in uncompressed separate planes are misread as two of 8."""
    has_alpha = any(value in ALPHA_SAMPLES for value in get_tiff_values(image, EXTRA_SAMPLES))
    is_raw = any(tile[0] == "raw" for tile in getattr(image, "tile", ()))
    is_planar = SEPARATE_PLANES in get_tiff_values(image, PLANAR_CONFIGURATION) and len(image.getbands()) > 1
    bits = max(get_tiff_values(image, BITS_PER_SAMPLE), default=8)
    if is_planar and (image.mode in MISREAD_PLANAR_MODES or (is_raw and bits > 8)):
        return Header(has_alpha, problem="samples in separate planes, which are misread; save them interleaved")
    return Header(has_alpha)


def _read_bmp(file: IO[bytes]) -> Header:
    file.seek(14)
    head = file.read(56)
    (size,), (compression,) = struct.unpack_from("<I", head), struct.unpack_from("<I", head, 16)
    return Header(has_alpha=compression == 3 and size >= 56 and any(head[52:56]))  # by masks, of which one is alpha's


def _read_tga(file: IO[bytes]) -> Header:
    file.seek(17)
    (descriptor,) = file.read(1)
    return Header(has_alpha=descriptor & 15 > 0)


def _read_png(file: IO[bytes]) -> Header:
    file.seek(8)
    while len(head := file.read(8)) == 8 and head[4:] != b"IDAT":
        (length,) = struct.unpack_from(">I", head)
        if head[4:] == b"CgBI":
            return Header(problem="a PNG file in Apple's own format (CgBI); save it as an ordinary one")
        if head[4:] == b"cICP" and length == 4:
            primaries, transfer, _, is_full_range = file.read(4)
            if not is_full_range:
                return Header(problem="pixels of video range, by its cICP chunk; convert it to sRGB first")
            return Header(code_points=CodePoints(primaries, transfer, "cICP chunk"))
        file.seek(length + 4, 1)
    return Header()


def _read_jpeg2000(file: IO[bytes]) -> Header:
    file.seek(0)
    header, is_bare = Header(has_alpha=False), file.read(4) == b"\xff\x4f\xff\x51"
    file.seek(0)
    for name, length in () if is_bare else _iterate_boxes(file):
        if name == b"jp2h":
            header = _read_jp2_header(file.read(min(length, MAX_BOX_BYTES)))
        if name == b"jp2c":
            break
    sizes = file.read(42)
    (count,) = struct.unpack_from(">H", sizes, 40)
    if any(depth & 128 for depth in file.read(3 * count)[::3]):
        return Header(problem="signed integer pixels, whose range is not known")
    return header


def _read_jp2_header(body: bytes) -> Header:
    """Return what the header box of a JPEG 2000 file says of its channels and colours."""
    channels, colours = b"", b""
    for name, part in _split_boxes(body):
        if name == b"cdef":
            channels = part[2:]
        elif name == b"colr" and not colours:  # of several, the first one is enough
            colours = part
    channels = channels[: len(channels) // 6 * 6]
    has_alpha = any(kind in (1, 2) for _, kind, _ in struct.iter_unpack(">3H", channels))
    if colours[:1] in (b"\2", b"\3"):
        return Header(has_alpha, profile=colours[3:])
    space = JPEG2000_COLOURS.get(int.from_bytes(colours[3:7], "big")) if colours[:1] == b"\1" else None
    return Header(has_alpha, problem=space and f"colours of {space}; convert it to sRGB first")


def _read_avif(file: IO[bytes]) -> Header:
    file.seek(0)
    for name, length in _iterate_boxes(file):
        if name == b"meta":
            return _read_primary_item(file.read(min(length, MAX_BOX_BYTES))[4:])
    return Header()


def _read_primary_item(meta: bytes) -> Header:
    """Return the code points of the primary image, by a file's metadata; none if it has an ICC profile."""
    boxes = dict(_split_boxes(meta))
    parts = list(_split_boxes(boxes.get(b"iprp", b"")))
    properties = [each for name, body in parts if name == b"ipco" for each in _split_boxes(body)]
    pitm = boxes.get(b"pitm", b"")
    (primary,) = struct.unpack_from(">I" if pitm[:1] == b"\1" else ">H", pitm, 4)
    numbers = [number for name, body in parts if name == b"ipma" for number in _list_properties(body, primary)]
    found = [properties[number - 1] for number in numbers if 0 < number <= len(properties)]
    colours = {body[:4]: body for name, body in found if name == b"colr"}
    if b"nclx" not in colours or b"prof" in colours or b"rICC" in colours:
        return Header()
    primaries, transfer = struct.unpack_from(">HH", colours[b"nclx"], 4)
    return Header(code_points=CodePoints(primaries, transfer, "nclx box"))


def _list_properties(body: bytes, item: int) -> list[int]:
    """Return the numbers, from 1, of the properties that a box `ipma` gives to an item."""
    version, is_wide, (count,), position = body[0], body[3] & 1, struct.unpack_from(">I", body, 4), 8
    found = []
    for _ in range(count):
        number, associated = struct.unpack_from(">IB" if version else ">HB", body, position)
        position += 5 if version else 3
        values = struct.unpack_from(f">{associated}{'H' if is_wide else 'B'}", body, position)
        position += associated * (1 + is_wide)
        if number == item:
            found += [value & (0x7FFF if is_wide else 0x7F) for value in values]
    return found


def _iterate_boxes(file: IO[bytes]) -> Iterator[tuple[bytes, int]]:
    """Yield the name and the length in bytes of the body of each box of a file, at whose beginning the file then is."""
    while len(head := file.read(8)) == 8:
        (length,), name = struct.unpack_from(">I", head), head[4:]
        start = file.tell() - 8
        if length == 1:
            (length,) = struct.unpack(">Q", file.read(8))
        if length == 0:  # the last box, up to the end of the file
            yield name, MAX_BOX_BYTES
        if start + length < file.tell():
            return
        yield name, start + length - file.tell()
        file.seek(start + length)


def _split_boxes(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the name and the body of each box inside another one."""
    position = 0
    while position + 8 <= len(body):
        (length,) = struct.unpack_from(">I", body, position)
        if length < 8:
            return
        yield body[position + 4 : position + 8], body[position + 8 : position + length]
        position += length


READERS: dict[str, Callable[[IO[bytes]], Header]] = {
    "AVIF": _read_avif,
    "BMP": _read_bmp,
    "JPEG2000": _read_jpeg2000,
    "PNG": _read_png,
    "TGA": _read_tga,
}
"""Functions that read a header, by Pillow's name of the format."""
