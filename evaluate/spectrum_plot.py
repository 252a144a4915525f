"""The geometry of the report's plot: how much of the real images' power each variant has at each frequency."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 480.0, 300.0
LEFT, RIGHT, TOP, BOTTOM = 66.0, 14.0, 14.0, 44.0
LARGEST_FREQUENCY = math.sqrt(0.5)
NYQUIST = 0.5
LEAST_SPAN = math.log(2)
"""What is shown on either side of the real images' line, at least."""
MOST_TICKS = 8
"""Labels of the power's axis."""


@dataclass(frozen=True)
class Tick:
    """A labelled place on an axis, in the plot's own units."""

    place: float
    label: str


@dataclass(frozen=True)
class Plot:
    """Lines and ticks, in units of `WIDTH` x `HEIGHT`."""

    lines: dict[str, str]
    """Points of each variant's polyline."""
    across: list[Tick]
    """Cycles per pixel."""
    up: list[Tick]
    """Power as a multiple of the real images'."""
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT
    right: float = WIDTH - RIGHT
    top: float = TOP
    bottom: float = HEIGHT - BOTTOM


def spectrum_plot(curves: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> Plot:
    """Place log power ratios on a plot.

    Args:
        curves: Of each variant: the bands' frequencies in cycles per pixel, and log(power / real power) of each.
    """
    values = [value for _, errors in curves.values() for value in errors]
    low, high = (1.05 * extreme for extreme in (min(-LEAST_SPAN, *values), max(LEAST_SPAN, *values)))

    def across(frequency: float) -> float:
        return LEFT + frequency / LARGEST_FREQUENCY * (WIDTH - LEFT - RIGHT)

    def up(value: float) -> float:
        return TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM)

    base = next((base for base in (2, 4, 10, 100) if (high - low) / math.log(base) < MOST_TICKS), 1000)
    ticks = [
        Tick(up(power * math.log(base)), f"{'×' if power > 0 else '÷'} {base ** abs(power):,}" if power else "real")
        for power in range(math.ceil(low / math.log(base)), math.floor(high / math.log(base)) + 1)
    ]
    lines = {
        name: " ".join(f"{across(place):.1f},{up(value):.1f}" for place, value in zip(*curve, strict=True))
        for name, curve in curves.items()
    }
    places = [Tick(across(place), f"{place:g}") for place in (0.0, 0.125, 0.25, 0.375, NYQUIST)]
    corner = Tick(across(LARGEST_FREQUENCY), "0.71")
    return Plot(lines, [*places, corner], ticks)
