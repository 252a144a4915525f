"""Rate, distortion and perception of the variants (Blau & Michaeli 2019), one mark a run."""

from collections.abc import Sequence

from ..comparing.comparison import Comparison
from ..metric_descriptions import describe_metric, strip_network
from .plots import COLOURS, Plot, draw_mark, new_plot

RATE = "rate"
DISTORTIONS = ("reconstruction/psnr", "reconstruction/ssim", "reconstruction/ms_ssim")
"""Metrics of distortion; the first that all variants have is plotted."""
PERCEPTIONS = ("reconstruction/fid", "reconstruction/fd", "reconstruction/kid")
"""Metrics of perception, maybe followed by the name of a network; the first that all variants have is plotted."""
PERCEPTION_FALLBACK = "reconstruction/spectrum_error"
"""Metric of perception where none of `PERCEPTIONS` was measured."""
SIDE_WIDTH_POINTS = 76
"""Width of the axes for variants without a rate."""

Point = tuple[float | None, float]
"""Values of two metrics; the first is None where it was not measured."""


def plot_tradeoffs(comparison: Comparison) -> list[Plot]:
    """Draw distortion over rate, and perception over distortion, as far as they were measured."""
    keys = [set.intersection(*(set(run.metrics) for run in runs.values())) for runs in comparison.runs.values()]
    shared = set.intersection(*keys)
    distortion = next((key for key in DISTORTIONS if key in shared), None)
    perception = next((key for name in PERCEPTIONS for key in sorted(shared) if strip_network(key) == name), None)
    perception = perception or (PERCEPTION_FALLBACK if PERCEPTION_FALLBACK in shared else None)
    plots = []
    if distortion and any(RATE in measured for measured in keys):
        plots.append(_plot(comparison, "Rate and distortion", RATE, distortion))
    if distortion and perception:
        plots.append(_plot(comparison, "Distortion and perception", distortion, perception))
    return plots


def _plot(comparison: Comparison, title: str, x_key: str, y_key: str) -> Plot:
    points: dict[str, list[Point]] = {
        name: [(run.metrics.get(x_key), run.metrics[y_key]) for run in runs.values()]
        for name, runs in comparison.runs.items()
    }
    without = [name for name, values in points.items() if any(x is None for x, _ in values)]
    note = f"There is no rate of {', '.join(without)}: it is the divergence of a posterior from the prior."
    x_label, y_label = describe_metric(x_key).name, describe_metric(y_key).name
    plot = new_plot(title, x_label, y_label, note if without else "", SIDE_WIDTH_POINTS if without else 0)
    plot.axes.margins(0.08)
    for side in plot.figure.axes[1:]:
        side.set_xlim(0, 1)
        side.set_xticks([0.5], ["no rate"])
        side.axvline(0, color=COLOURS["line"], linewidth=1, linestyle=(0, (3, 3)))
    for index, (name, values) in enumerate(points.items()):
        seeds = values if len(values) > 1 else []
        for (x, y), faint in [*((point, True) for point in seeds), (_average(values), False)]:
            tooltip = f"{name}: {_format(x_key, x)}, {_format(y_key, y)}"
            axes, position = (plot.figure.axes[-1], 0.5) if x is None else (plot.axes, x)
            draw_mark(axes, index, tooltip, position, y, faint)
    return plot


def _average(points: Sequence[Point]) -> Point:
    xs = [x for x, _ in points if x is not None]
    return sum(xs) / len(xs) if len(xs) == len(points) else None, sum(y for _, y in points) / len(points)


def _format(key: str, value: float | None) -> str:
    metric = describe_metric(key)
    return f"{metric.label} {'unknown' if value is None else metric.write(value)}"
