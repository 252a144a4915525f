"""The geometry of the report's plots: axes with ticks, lines and marks, in the plot's own units."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import fmean

WIDTH, HEIGHT = 420.0, 288.0
LEFT, RIGHT, TOP, BOTTOM = 58.0, 10.0, 32.0, 42.0
MOST_TICKS = 6
STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
"""Of ticks, times a power of ten."""

Curve = list[tuple[float, float]]
"""Values across and up."""


@dataclass(frozen=True)
class Tick:
    """A labelled place on an axis."""

    place: float
    label: str


@dataclass(frozen=True)
class Scale:
    """Values of an axis to places."""

    low: float
    high: float
    start: float
    """Place of the lowest value."""
    end: float
    """Place of the highest one."""
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        """The place of a value."""
        low, high, value = (math.log(each) if self.logarithmic else each for each in (self.low, self.high, value))
        return self.start + (value - low) / (high - low) * (self.end - self.start)


@dataclass(frozen=True)
class Line:
    """A curve of a variant."""

    name: str
    points: str
    """Of an SVG polyline."""
    faint: bool = False
    """Whether it is one of several, whose mean is another line."""


@dataclass(frozen=True)
class Mark:
    """A point of a variant."""

    name: str
    x: float
    y: float
    title: str
    """What it shows, in words."""
    faint: bool = False
    """Whether it is one of several, whose mean is another mark."""


@dataclass(frozen=True)
class Plot:
    """All that is drawn, in units of `WIDTH` x `HEIGHT`."""

    title: str
    across: list[Tick]
    up: list[Tick]
    across_title: str
    up_title: str
    lines: list[Line] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    base: float | None = None
    """Place of a level that the others are seen against."""
    edge: float | None = None
    """Place from which marks have no value across."""
    note: str = ""
    """What a reader has to know."""
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT
    right: float = WIDTH - RIGHT
    top: float = TOP
    bottom: float = HEIGHT - BOTTOM


def across(low: float, high: float, room: float = 0.0) -> Scale:
    """The horizontal axis, with ``room`` left over at its end."""
    return Scale(low, high, LEFT, WIDTH - RIGHT - room)


def up(low: float, high: float, logarithmic: bool = False) -> Scale:
    """The vertical axis."""
    return Scale(low, high, HEIGHT - BOTTOM, TOP, logarithmic)


def line(name: str, points: Iterable[tuple[float, float]], x: Scale, y: Scale, faint: bool = False) -> Line:
    """A curve through values across and up."""
    return Line(name, " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in points), faint)


def of_seeds(name: str, curves: Sequence[Curve], x: Scale, y: Scale) -> list[Line]:
    """The curve of a variant; of several seeds each as a faint one, and their mean."""
    if len(curves) < 2:
        return [line(name, curve, x, y) for curve in curves]
    faint = [line(name, curve, x, y, faint=True) for curve in curves]
    mean = averaged(curves)
    return [*faint, line(name, mean, x, y)] if mean else faint


def averaged(curves: Sequence[Curve]) -> Curve:
    """The mean of several at the places that all of them have."""
    by_place = [dict(curve) for curve in curves]
    shared = sorted(set.intersection(*(set(each) for each in by_place)))
    return [(place, fmean(each[place] for each in by_place)) for place in shared]


def ticks(scale: Scale, write: Callable[[float], str] | None = None) -> list[Tick]:
    """Round values of an axis, `MOST_TICKS` at most or about so many; ``write`` makes a label of one."""
    values, digits = (_powers(scale), None) if scale.logarithmic else _multiples(scale.low, scale.high)
    form = "{:g}" if digits is None else f"{{:,.{digits}f}}"
    label = write or (lambda value: form.format(value).replace("-", "−"))
    return [Tick(scale(value), label(value)) for value in values]


def widened(values: Sequence[float], share: float = 0.08) -> tuple[float, float]:
    """Ends of an axis that holds all values and some room around them."""
    low, high = min(values), max(values)
    room = share * (high - low) or 0.1 * abs(high) or 1.0
    return low - room, high + room


def short(value: float) -> str:
    """A count in few letters: 1,500 as 1.5k."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def _multiples(low: float, high: float) -> tuple[list[float], int]:
    """Round values, and the decimals that they need."""
    rough = (high - low) / MOST_TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * each for each in STEPS if power * each >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    digits = len(f"{step:.9f}".rstrip("0").partition(".")[2])
    return [number * step + 0.0 for number in range(first, last + 1)], digits


def _powers(scale: Scale) -> list[float]:
    """1, 2 and 5 times powers of ten, or some of these where there would be many."""
    exponents = range(math.floor(math.log10(scale.low)), math.ceil(math.log10(scale.high)) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        values = [factor * 10.0**power for power in exponents for factor in factors]
        values = [value for value in values if scale.low <= value <= scale.high]
        if len(values) <= MOST_TICKS:
            break
    return values
