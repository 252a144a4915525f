"""Colour of an image file in sRGB: its ICC profile, or the gamma and primaries of a PNG file, through littleCMS.

An image without any of these is taken for sRGB as it is, and so is one whose profile is damaged or of another kind of
pixels, as in browsers. Grey pixels may have a profile of RGB, and RGB pixels without any colour one of grey: programs
that convert images from one to the other leave their profile as it was.
"""

import struct
from functools import lru_cache
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageCms

COLOUR_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
"""Name in an ICC profile of the colours of each mode that has profiles."""
MIN_GAMMA, MAX_GAMMA = 0.05, 20.0
"""Range of the gamma of a PNG file; outside of it, it is taken for damaged."""
DISPLAY_GAMMA, GAMMA_TOLERANCE = 1 / 2.2, 0.05
"""Gamma that a PNG file of sRGB pixels names, and the relative difference that libpng leaves uncorrected."""
SRGB_PRIMARIES = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
"""Chromaticities x, y of sRGB's white, red, green and blue."""
PRIMARIES_TOLERANCE = 0.002
"""Largest difference of chromaticities that are taken for sRGB's."""
MAX_ROUNDING = 1
"""Largest difference, in levels of 255, by which a profile moves colours and is still taken for sRGB."""
D50 = (0.9642, 1.0, 0.8249)
"""White, in XYZ, that the colours of an ICC profile are relative to."""
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
"""Bradford's cone responses to XYZ, by which colours are adapted to another white (ICC.1:2010, annex E)."""

CURVE_TYPES = {1: 0, 5: 3}
"""Type of a parametric curve by the number of its parameters (ICC.1:2010, 10.16)."""

FloatMatrix = NDArray[np.float64]


def get_profile(image: Image.Image) -> bytes | None:
    """Return the ICC profile of an image, or one made of the gamma and primaries of its PNG file; None: it has none."""
    profile, gamma = image.info.get("icc_profile"), image.info.get("gamma")
    if isinstance(profile, bytes) and profile:
        return profile
    if gamma is None or "srgb" in image.info or not MIN_GAMMA <= gamma <= MAX_GAMMA:
        return None
    primaries = tuple(image.info.get("chromaticity", SRGB_PRIMARIES))
    if np.allclose(primaries, SRGB_PRIMARIES, rtol=0, atol=PRIMARIES_TOLERANCE):
        if abs(gamma / DISPLAY_GAMMA - 1) <= GAMMA_TOLERANCE:
            return None
        primaries = SRGB_PRIMARIES
    return make_profile((1 / gamma,), primaries)


def convert_profile(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert the colours of an image to sRGB, relative to its white and with black for its darkest black.

    Args:
        image: An image of mode L, RGB, CMYK or LAB.
        profile: Its ICC profile; None: it is taken for sRGB. That of LAB is never read, since these are known colours.

    Returns:
        An image of mode L if it was of L or has a profile of grey, else RGB. It is the same image, to the bit, if its
        profile is sRGB.
    """
    if profile and image.mode == "RGB" and _read_colour_space(profile) == "GRAY" and _is_grey(image):
        image = image.getchannel("R")
    if image.mode == "L":
        table = make_grey_table(profile) if profile else None
        return image if table is None else image.point(table.tolist())
    transform = _make_lab_transform() if image.mode == "LAB" else profile and _make_transform(profile, image.mode)
    if not transform:
        return image if image.mode == "RGB" else image.convert("RGB")
    return transform.apply(image)


@lru_cache(maxsize=32)
def make_grey_table(profile: bytes) -> NDArray[np.uint8] | None:
    """Return the grey of sRGB for each of the 256 levels of a profile, uint8; None: pixels are left as they are."""
    mode = "RGB" if _read_colour_space(profile) == "RGB" else "L"
    transform = _open_transform(profile, mode)
    if transform is None:
        return None
    levels = np.arange(256, dtype=np.uint8)
    table = np.asarray(transform.apply(Image.fromarray(levels[None]).convert(mode)).convert("L"))[0]
    return table if np.abs(table.astype(int) - levels).max() > MAX_ROUNDING else None


@lru_cache(maxsize=256)
def make_profile(curve: tuple[float, ...], primaries: tuple[float, ...]) -> bytes | None:
    """Return the ICC profile of pixels of a curve and of primaries.

    Args:
        curve: Parameters of the curve from pixels to light (ICC.1:2010, 10.16). One: gamma. Five: gamma, a, b, c
            and d.
        primaries: Chromaticities x, y of white, red, green and blue.

    Returns:
        A profile of version 4, in 8-bit precision as exact as littleCMS computes; None if the chromaticities are those
        of no display.
    """
    tags = {b"wtpt": _pack_xyz(np.array(D50))}
    parameters = [round(65536 * value) for value in curve]
    trc = b"para" + struct.pack(f">4xHH{len(curve)}i", CURVE_TYPES[len(curve)], 0, *parameters)
    colorants = _compute_colorants(primaries)
    if colorants is None:
        return None
    for name, colorant in zip((b"r", b"g", b"b"), colorants.T, strict=True):
        tags |= {name + b"XYZ": _pack_xyz(colorant), name + b"TRC": trc}
    offset, table, body = 132 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for tag, data in tags.items():
        table += struct.pack(">4sII", tag, offset + len(body), len(data))
        body += data
    white = b"".join(struct.pack(">i", round(65536 * value)) for value in D50)
    header = struct.pack(">I4xI4s4s4s", offset + len(body), 0x04200000, b"mntr", b"RGB ", b"XYZ ")
    header += struct.pack(">6H4s28x", 2000, 1, 1, 0, 0, 0, b"acsp") + white
    return header.ljust(128, b"\0") + table + body


def _compute_colorants(primaries: tuple[float, ...]) -> FloatMatrix | None:
    """Compute the columns red, green and blue in XYZ, adapted to `D50`; None if they do not span the colours."""
    x, y = np.array(primaries).reshape(4, 2).T
    if (y <= 0).any():
        return None
    xyz = np.stack([x / y, np.ones(4), (1 - x - y) / y])
    white, directions = xyz[:, 0], xyz[:, 1:]
    if abs(np.linalg.det(directions)) < 1e-6:
        return None
    colorants = directions * np.linalg.solve(directions, white)
    scale = np.diag((BRADFORD @ D50) / (BRADFORD @ white))
    adapted: FloatMatrix = np.linalg.solve(BRADFORD, scale @ BRADFORD @ colorants)
    return adapted if np.isfinite(adapted).all() and np.abs(adapted).max() < 1000 else None


def _pack_xyz(values: FloatMatrix) -> bytes:
    return b"XYZ " + struct.pack(">4x3i", *(round(65536 * value) for value in values.tolist()))


@lru_cache(maxsize=32)
def _make_transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the transform of a profile of RGB or CMYK to sRGB; None: pixels are left as they are."""
    transform = _open_transform(profile, mode)
    if transform is None or mode == "CMYK":
        return transform
    lattice = np.stack(np.meshgrid(*[np.linspace(0, 255, 18).astype(np.uint8)] * 3), -1).reshape(1, -1, 3)
    moved = np.asarray(transform.apply(Image.fromarray(lattice)))
    return transform if np.abs(moved.astype(int) - lattice).max() > MAX_ROUNDING else None


def _open_transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the transform of a profile to sRGB; None if it is damaged, or of another kind of pixels."""
    if _read_colour_space(profile) != COLOUR_SPACES[mode]:
        return None
    try:
        return _build_transform(ImageCms.ImageCmsProfile(BytesIO(profile)), mode)
    except (OSError, ValueError):
        return None


def _read_colour_space(profile: bytes) -> str:
    """Return the name of a profile's kind of pixels, as it stands in its header."""
    return profile[16:20].decode("latin-1").strip()


def _is_grey(image: Image.Image) -> bool:
    """Return whether the three channels of an RGB image are equal."""
    red, *others = image.split()
    return all(ImageChops.difference(red, other).getbbox() is None for other in others)


@lru_cache(maxsize=1)
def _make_lab_transform() -> ImageCms.ImageCmsTransform:
    return _build_transform(ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")), "LAB")


def _build_transform(profile: ImageCms.ImageCmsProfile, mode: str) -> ImageCms.ImageCmsTransform:
    """Return the transform of pixels of a mode to sRGB.

    Raises:
        ValueError: The profile does not hold what littleCMS needs for it.
    """
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
    if mode == "L":  # littleCMS would interpolate between 33 levels
        flags |= ImageCms.Flags.NOOPTIMIZE
    return ImageCms.ImageCmsTransform(profile, srgb, mode, "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC, flags=flags)
