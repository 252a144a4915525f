"""Reconstruction error, divergence and discriminator accuracy that the runs of a study logged while they trained."""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from statistics import fmean

from vaegan.config import Config
from vaegan.io import read_json_lines
from vaegan.storage.run_folder import Run
from vaegan.text import get_reason

from ..comparing.comparison import Comparison
from .plots import TICK_STEPS, Curve, Plot, draw_curves, new_plot

MAX_CURVE_POINTS = 160
"""Points of a curve; more are averaged in groups."""
ERROR, KL, ACCURACY = "Squared error", "Divergence from the prior", "Discriminator’s accuracy"
SCALARS = {
    ERROR: ("reconstruction/mse", 1.0, "mean over pixels and images, units of [−1, 1]"),
    KL: ("loss/kl", math.log(2), "bits per image"),
    ACCURACY: ("discriminator/accuracy", 1.0, "balanced over the origins of images"),
}
"""Title of each plot: key of the logged scalar, what it is divided by, and the label of the vertical axis."""


def plot_training(comparison: Comparison, notify: Callable[[str], None]) -> list[Plot]:
    """Draw the logged reconstruction error, divergence and discriminator accuracy over the images seen.

    Args:
        comparison: The study.
        notify: Receives one line about each history that cannot be read.
    """
    curves: dict[str, dict[str, list[Curve]]] = defaultdict(lambda: defaultdict(list))
    for name, runs in comparison.runs.items():
        for evaluated in [run for run in runs.values() if run.config.train.steps]:
            for title, curve in read_curves(evaluated.run, evaluated.config, notify).items():
                curves[title][name].append(thin(curve))
    return [_plot(title, comparison.names, curves[title]) for title in SCALARS if title in curves]


def read_curves(run: Run, config: Config, notify: Callable[[str], None]) -> dict[str, list[tuple[float, float]]]:
    """Return the curves of a run's history over images seen, by the title of their plot; none if it cannot be read.

    Args:
        run: The run.
        config: Config of the run.
        notify: Receives one line if the history cannot be read.
    """
    curves: dict[str, list[tuple[float, float]]] = defaultdict(list)
    try:
        lines = read_json_lines(run.history_file)
    except OSError as error:
        notify(f"{run.history_file}: {get_reason(error)}; its curves are left out")
        return {}
    if not lines:
        notify(f"{run.history_file}: not what a training writes; its curves are left out")
    for scalars, _ in lines:
        images_seen = float(scalars["step"] * config.train.batch_size)
        for title, (key, unit, _) in SCALARS.items():
            value = scalars.get(key)
            if isinstance(value, float) and math.isfinite(value) and (value > 0 or title != ERROR):
                curves[title].append((images_seen, value / unit))
    return dict(curves)


def thin(curve: Curve, max_points: int = MAX_CURVE_POINTS) -> Curve:
    """Return a curve of at most ``max_points`` points, each the mean of consecutive ones."""
    size = -(-len(curve) // max_points) or 1
    groups = [curve[start : start + size] for start in range(0, len(curve), size)]
    return [(fmean(x for x, _ in group), fmean(y for _, y in group)) for group in groups]


def _plot(title: str, names: list[str], curves: Mapping[str, list[Curve]]) -> Plot:
    from matplotlib.ticker import EngFormatter, FormatStrFormatter, LogLocator, MaxNLocator

    points = [point for seeds in curves.values() for curve in seeds for point in curve]
    low, high = min(y for _, y in points), max(y for _, y in points)
    plot = new_plot(title, "images seen", SCALARS[title][-1])
    axes = plot.axes
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_xlim(0, max(x for x, _ in points))
    if title == ERROR:
        axes.set_yscale("log")
        axes.set_ylim(low / 1.1, high * 1.1)
        factors = (1, 2, 5) if high < 100 * low else (1, 3) if high < 1000 * low else (1,)
        axes.yaxis.set_major_locator(LogLocator(subs=factors) if high > 5 * low else MaxNLocator(5, steps=TICK_STEPS))
        axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
        axes.minorticks_off()
    elif title == ACCURACY:
        axes.set_ylim(0, 1)
    else:
        low, high = min(0.0, low), max(0.0, high)
        axes.set_ylim(low, high + 0.04 * (high - low or 25))
    for name, seeds in curves.items():
        draw_curves(axes, names.index(name), name, seeds)
    return plot
