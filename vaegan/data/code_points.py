"""Colours by the code points of ITU-T H.273, as PNG, AVIF and HEIC files name them."""

from functools import lru_cache

from .colour_profile import SRGB_PRIMARIES, make_profile
from .file_header import CodePoints

SRGB, UNSPECIFIED = 1, 2
"""Code points of sRGB's primaries, and of primaries and curves that are not named."""
D65, C, DCI = (0.3127, 0.329), (0.31, 0.316), (0.314, 0.351)
"""Chromaticities of white."""
PRIMARIES: dict[int, tuple[str, tuple[float, ...]]] = {
    SRGB: ("BT.709", SRGB_PRIMARIES),
    4: ("BT.470M", (*C, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08)),
    5: ("BT.470BG", (*D65, 0.64, 0.33, 0.29, 0.6, 0.15, 0.06)),
    6: ("BT.601", (*D65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07)),
    7: ("SMPTE 240M", (*D65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07)),
    9: ("BT.2020", (*D65, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046)),
    11: ("DCI-P3", (*DCI, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)),
    12: ("Display P3", (*D65, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)),
    22: ("EBU 3213", (*D65, 0.63, 0.34, 0.295, 0.605, 0.155, 0.077)),
}
"""Name and chromaticities x, y of white, red, green and blue, by the code point."""
SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
"""Gamma, a, b, c and d of sRGB's curve: (a x + b)^gamma from d on, below it c x."""
CURVES: dict[int, tuple[float, ...]] = {4: (2.2,), 5: (2.8,), 8: (1.0,)} | dict.fromkeys(
    (2, 1, 6, 13, 14, 15), SRGB_CURVE
)
"""Curve from pixels to light by its code point. Those of BT.709, BT.601 and BT.2020 are taken for sRGB's, as in
browsers: they were made for cameras, and displays do not invert them."""
OTHER_CURVES = {7: "SMPTE 240M", 9: "logarithmic", 10: "logarithmic", 11: "xvYCC", 12: "BT.1361", 16: "PQ (HDR)"} | {
    17: "SMPTE ST 428-1",
    18: "HLG (HDR)",
}
"""Curves that are not converted: they reach beyond what sRGB can show, or no display has them."""


def check_code_points(points: CodePoints) -> None:
    """Check that colours of code points can be converted to sRGB.

    Raises:
        ValueError: They cannot, or are of code points that are reserved.
    """
    if (points.primaries in PRIMARIES or points.primaries == UNSPECIFIED) and points.transfer in CURVES:
        return
    names = [PRIMARIES[points.primaries][0]] if points.primaries in PRIMARIES else []
    if points.primaries not in PRIMARIES and points.primaries != UNSPECIFIED:
        names.append(f"primaries {points.primaries}")
    if points.transfer not in CURVES:
        names.append(OTHER_CURVES.get(points.transfer, f"transfer function {points.transfer}"))
    raise ValueError(f"colours of {' '.join(names)}, by its {points.place}; convert it to sRGB first")


def is_unspecified(points: CodePoints) -> bool:
    """Return whether code points say nothing, so that an ICC profile or a gamma counts."""
    return points.primaries == points.transfer == UNSPECIFIED


@lru_cache(maxsize=64)
def make_code_points_profile(points: CodePoints) -> bytes | None:
    """Return the ICC profile of colours of code points; None: they are sRGB, or taken for it."""
    primaries, curve = PRIMARIES.get(points.primaries, PRIMARIES[SRGB])[1], CURVES[points.transfer]
    if primaries == SRGB_PRIMARIES and curve == SRGB_CURVE:
        return None
    return make_profile(curve, primaries)
