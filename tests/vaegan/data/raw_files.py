"""PNG and TIFF files and ICC profiles, written byte by byte, for what Pillow does not write."""

import struct
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SRGB = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
"""Chromaticities x, y of sRGB's white, red, green and blue."""
ADOBE_RGB = (0.3127, 0.329, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
ADOBE_GAMMA = 563 / 256


def make_png(rows: NDArray[np.generic], bits: int, colour_type: int, missing: int = 0, **chunks: bytes) -> bytes:
    """A PNG file of rows of whole bytes (uint8) or of big-endian 16-bit samples, with more chunks before the image.

    Its header counts ``missing`` rows more than it has.
    """
    height = len(rows)
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour_type]
    width = (len(data) // height - 1) * 8 // (bits * samples)
    header = struct.pack(">IIBBBBB", width, height + missing, bits, colour_type, 0, 0, 0)
    parts = [(b"IHDR", header), *((name.encode(), body) for name, body in chunks.items())]
    parts += [(b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    packed = (struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def make_tiff(
    data: bytes, side: int, bits: int, photometric: int = 1, sample_format: int = 1, big: bool = False
) -> bytes:
    """A square grey TIFF file."""
    order = ">" if big else "<"
    tags = [(256, side), (257, side), (258, bits), (259, 1), (262, photometric), (273, 8), (277, 1), (278, side)]
    tags += [(279, len(data)), (339, sample_format)]
    out = (b"MM\0*" if big else b"II*\0") + struct.pack(order + "I", 8 + len(data)) + data
    out += struct.pack(order + "H", len(tags))
    return out + b"".join(struct.pack(order + "HHII", tag, 4, 1, value) for tag, value in tags) + bytes(4)


def make_tiff_of_samples(
    pixels: NDArray[np.uint8] | NDArray[np.uint16], tags: dict[int, Sequence[int]], is_planar: bool = False
) -> bytes:
    """A TIFF file of pixels, shape (H, W, C), with these tags of 16-bit values beside those of its layout."""
    height, width, samples = pixels.shape
    strips = pixels.transpose(2, 0, 1) if is_planar else pixels[None]
    count, size, bits = len(strips), strips[0].nbytes, 8 * pixels.itemsize
    layout = {273: [8 + size * index for index in range(count)], 279: [size] * count, 284: [1 + is_planar]}
    tags = {
        256: [width],
        257: [height],
        258: [bits] * samples,
        259: [1],
        277: [samples],
        278: [height],
        **layout,
        **tags,
    }
    data, entries = strips.tobytes(), b""
    for tag, values in sorted(tags.items()):
        kind, letter = (4, "I") if tag == 273 else (3, "H")
        packed = struct.pack(f"<{len(values)}{letter}", *values)
        if len(packed) > 4:
            data, packed = data + packed, struct.pack("<I", 8 + len(data))
        entries += struct.pack("<HHI", tag, kind, len(values)) + packed.ljust(4, b"\0")
    return (
        b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(entries) // 12) + entries + bytes(4)
    )


def make_rgb_profile(gamma: float, primaries: Sequence[float]) -> bytes:
    """An ICC profile of version 2 of pixels of a gamma and of primaries with white D65."""
    d50 = np.array([0.9642, 1.0, 0.8249])
    bradford = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    matrix = make_matrix(primaries)
    adapt = np.linalg.inv(bradford) @ np.diag((bradford @ d50) / (bradford @ matrix.sum(1))) @ bradford
    tags = {b"wtpt": _xyz(d50)}
    for name, column in zip((b"r", b"g", b"b"), (adapt @ matrix).T, strict=True):
        tags |= {name + b"XYZ": _xyz(column), name + b"TRC": _curve(gamma)}
    return _make_profile(b"mntr", b"RGB ", b"XYZ ", tags)


def make_grey_profile(gamma: float) -> bytes:
    """An ICC profile of version 2 of grey pixels of a gamma."""
    return _make_profile(b"mntr", b"GRAY", b"XYZ ", {b"wtpt": _xyz([0.9642, 1.0, 0.8249]), b"kTRC": _curve(gamma)})


def make_cmyk_profile(inks: Sequence[Sequence[int]]) -> bytes:
    """An ICC profile of CMYK, whose inks C, M, Y and K have these colours L, a, b alone; two of them print black."""
    table = np.zeros((2, 2, 2, 2, 3), dtype=np.uint8)
    table[..., 1:] = 128
    table[0, 0, 0, 0] = 255, 128, 128
    for place, (lightness, a, b) in zip(([1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]), inks, strict=True):
        table[tuple(place)] = round(lightness * 2.55), 128 + a, 128 + b
    ramp = bytes(range(256))
    identity = struct.pack(">9i", *(np.eye(3, dtype=int) * 65536).ravel().tolist())
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + identity + ramp * 4 + table.tobytes() + ramp * 3
    return _make_profile(b"prtr", b"CMYK", b"Lab ", {b"wtpt": _xyz([0.9642, 1.0, 0.8249]), b"A2B0": lut})


def make_matrix(primaries: Sequence[float]) -> NDArray[np.float64]:
    """The matrix from linear R, G, B to X, Y, Z."""
    xyz = np.array([(x / y, 1, (1 - x - y) / y) for x, y in np.reshape(primaries, (4, 2))]).T
    return xyz[:, 1:] * np.linalg.solve(xyz[:, 1:], xyz[:, 0])


def encode_srgb(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linear light of 0 to 1 as sRGB's levels of 0 to 255."""
    linear = linear.clip(0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def to_srgb(pixels: NDArray[np.uint8], gamma: float, primaries: Sequence[float]) -> NDArray[np.float64]:
    """RGB pixels of a gamma and of primaries with white D65, shape (..., 3), as sRGB's levels of 0 to 255."""
    matrix = np.linalg.inv(make_matrix(SRGB)) @ make_matrix(primaries)
    return encode_srgb((pixels / 255) ** gamma @ matrix.T)


def lab_to_srgb(lab: Sequence[float]) -> NDArray[np.float64]:
    """A colour L, a, b relative to D50 as sRGB's levels of 0 to 255 (CIE 15:2004; matrix by B. Lindbloom)."""
    fy = (lab[0] + 16) / 116
    f = np.array([fy + lab[1] / 500, fy, fy - lab[2] / 200])
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * [0.9642, 1.0, 0.8249]
    to_linear = [
        [3.1338561, -1.6168667, -0.4906146],
        [-0.9787684, 1.9161415, 0.033454],
        [0.0719453, -0.2289914, 1.4052427],
    ]
    return encode_srgb(np.array(to_linear) @ xyz)


def _xyz(values: Sequence[float] | NDArray[np.float64]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(65536 * float(value)) for value in values))


def _curve(gamma: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(256 * gamma)) + bytes(2)


def _make_profile(kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    offset, table, body = 132 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for tag, data in tags.items():
        table += struct.pack(">4sII", tag, offset + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = struct.pack(">I4xI4s4s4s12x4s28x", offset + len(body), 0x02100000, kind, space, connection, b"acsp")
    header += struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + table + body
