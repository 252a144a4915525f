"""How much of the real images' power each variant has at each frequency."""

import math
from collections.abc import Mapping, Sequence

from .plots import Curve, Plot, Tick, across, of_seeds, up

CORNER = math.sqrt(0.5)
"""The highest frequency of all, in cycles per pixel."""
PLACES = (0.0, 0.125, 0.25, 0.375, 0.5)
"""Ticks; the last is Nyquist along an axis."""
LEAST_SPAN = math.log(2)
"""What is shown on either side of the real images' line, at least."""
MOST_TICKS = 8
"""Labels of the power's axis."""


def spectrum_plot(title: str, variants: Mapping[str, Sequence[Curve]]) -> Plot:
    """Place log power ratios on a plot.

    The ring of the last band reaches beyond the corner, where there is nothing; it is drawn at the corner.

    Args:
        title: Of the plot.
        variants: Of each variant and seed, the bands' frequencies in cycles per pixel and log(power / real power).
    """
    values = [value for curves in variants.values() for curve in curves for _, value in curve]
    x, y = across(0, CORNER), up(1.05 * min(-LEAST_SPAN, *values), 1.05 * max(LEAST_SPAN, *values))
    span = y.high - y.low
    base = next((base for base in (2, 4, 10, 100) if span / math.log(base) < MOST_TICKS), 1000)
    powers = range(math.ceil(y.low / math.log(base)), math.floor(y.high / math.log(base)) + 1)
    return Plot(
        title=title,
        across=[*(Tick(x(place), f"{place:g}") for place in PLACES), Tick(x(CORNER), "corner")],
        up=[
            Tick(y(power * math.log(base)), f"{'×' if power > 0 else '÷'} {base ** abs(power):,}" if power else "real")
            for power in powers
        ],
        across_title="cycles per pixel",
        up_title="power beside the real images’",
        lines=[each for name, curves in variants.items() for each in of_seeds(name, [*map(_cut, curves)], x, y)],
        base=y(0),
    )


def _cut(curve: Curve) -> Curve:
    return [(min(place, CORNER), value) for place, value in curve]
