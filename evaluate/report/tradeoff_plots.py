"""What variants pay for what: rate, distortion and perception (Blau & Michaeli 2019), one mark a run."""

from collections.abc import Callable

from ..comparing.comparison import Comparison
from ..descriptions import describe_metric
from .plots import Mark, Plot, Scale, Tick, across, ticks, up, widened

RATE = "rate"
DISTORTIONS = ("reconstruction/psnr", "reconstruction/ssim", "reconstruction/ms_ssim")
"""The first that all variants have is shown."""
PERCEPTIONS = ("reconstruction/fid", "reconstruction/fd", "reconstruction/kid")
"""As above, whatever network follows the name; where there is none, `FALLBACK`."""
FALLBACK = "reconstruction/spectrum_error"
ROOM = 76.0
"""Width of the place for variants without a rate."""


def tradeoff_plots(comparison: Comparison) -> list[Plot]:
    """Distortion against rate, and perception against distortion, as far as they were measured."""
    keys = [set.intersection(*(set(run.figures) for run in runs.values())) for runs in comparison.judged.values()]
    shared = set.intersection(*keys)
    distortion = next((key for key in DISTORTIONS if key in shared), None)
    perception = next((key for name in PERCEPTIONS for key in sorted(shared) if _is(key, name)), None)
    perception = perception or (FALLBACK if FALLBACK in shared else None)
    plots = []
    if distortion and any(RATE in each for each in keys):
        plots.append(_plot(comparison, "Rate and distortion", RATE, distortion))
    if distortion and perception:
        plots.append(_plot(comparison, "Distortion and perception", distortion, perception))
    return plots


def _is(key: str, name: str) -> bool:
    return key == name or key.startswith(f"{name}_")


def _plot(comparison: Comparison, title: str, key: str, other: str) -> Plot:
    points = {
        name: [(run.figures.get(key), run.figures[other]) for run in runs.values()]
        for name, runs in comparison.judged.items()
    }
    lacking = [name for name, found in points.items() if any(value is None for value, _ in found)]
    xs = [value for found in points.values() for value, _ in found if value is not None]
    ys = [value for found in points.values() for _, value in found]
    x, y = across(*widened(xs), room=ROOM if lacking else 0.0), up(*widened(ys))
    edge = x.end + ROOM / 2 if lacking else None
    marks = [mark for name, found in points.items() for mark in _marks(name, found, (key, other), x, y, edge)]
    along = ticks(x) + ([Tick(edge, "no rate")] if edge else [])
    note = f"There is no rate of {', '.join(lacking)}: it is the divergence of a posterior from the prior."
    return Plot(
        title, along, ticks(y), describe_metric(key).name, describe_metric(other).name, marks=marks, edge=x.end if lacking else None,
        note=note if lacking else "",
    )  # fmt: skip


def _marks(
    name: str, found: list[tuple[float | None, float]], keys: tuple[str, str], x: Scale, y: Scale, edge: float | None
) -> list[Mark]:
    def mark(value: float | None, other: float, faint: bool) -> Mark:
        words = [
            f"{describe_metric(key).label} {_written(key, each)}"
            for key, each in zip(keys, (value, other), strict=True)
        ]
        place = x(value) if value is not None else edge
        assert place is not None, "an axis has room for what has no value"
        return Mark(name, place, y(other), f"{name}: {', '.join(words)}", faint)

    values = [value for value, _ in found if value is not None]
    mean = sum(values) / len(values) if len(values) == len(found) else None
    marks = [mark(value, other, True) for value, other in found] if len(found) > 1 else []
    return [*marks, mark(mean, sum(other for _, other in found) / len(found), False)]


def _written(key: str, value: float | None) -> str:
    write: Callable[[float], str] = describe_metric(key).write
    return "unknown" if value is None else write(value)
