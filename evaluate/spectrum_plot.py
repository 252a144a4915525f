"""How much of the real images' power each variant has at each frequency."""

import math
from collections.abc import Mapping, Sequence

from .plots import Plot, Tick, across, line, up

CORNER = math.sqrt(0.5)
"""The highest frequency of all, in cycles per pixel."""
PLACES = (0.0, 0.125, 0.25, 0.375, 0.5)
"""Ticks; the last is Nyquist along an axis."""
LEAST_SPAN = math.log(2)
"""What is shown on either side of the real images' line, at least."""
MOST_TICKS = 8
"""Labels of the power's axis."""


def spectrum_plot(title: str, curves: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> Plot:
    """Place log power ratios on a plot.

    The ring of the last band reaches beyond the corner, where there is nothing; it is drawn at the corner.

    Args:
        title: Of the plot.
        curves: Of each variant: the bands' frequencies in cycles per pixel, and log(power / real power) of each.
    """
    values = [value for _, errors in curves.values() for value in errors]
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
        lines=[
            line(name, ((min(place, CORNER), value) for place, value in zip(places, errors, strict=True)), x, y)
            for name, (places, errors) in curves.items()
        ],
        base=y(0),
    )
