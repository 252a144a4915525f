"""What the runs of a study logged while they trained."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from statistics import fmean

from vaegan.config import Config
from vaegan.io import read_json_lines
from vaegan.storage.runs import Run
from vaegan.text import get_reason

from ..comparing.comparison import Comparison
from .plots import Curve, Plot, across, of_seeds, short, ticks, up, widened

MOST_POINTS = 160
"""Of a line; more are averaged in groups."""
ERROR, KL, ACCURACY = "Squared error", "Divergence from the prior", "Discriminator’s accuracy"
TITLES = {
    ERROR: "mean over pixels and images, units of [−1, 1]",
    KL: "bits per image",
    ACCURACY: "balanced over real, reconstructed and generated",
}
"""The plots in their order, and what the vertical axis of each is."""


def training_plots(comparison: Comparison, notify: Callable[[str], None]) -> list[Plot]:
    """What was logged of the reconstruction error, the divergence and the game, against the images seen.

    Args:
        comparison: The study.
        notify: Told in one line of each history that cannot be read.
    """
    found: dict[str, dict[str, list[Curve]]] = defaultdict(lambda: defaultdict(list))
    for name, runs in comparison.judged.items():
        for judged in runs.values():
            for title, curve in curves(judged.run, judged.config, notify).items():
                found[title][name].append(thinned(curve))
    return [_plot(title, found[title]) for title in TITLES if title in found]


def curves(run: Run, config: Config, notify: Callable[[str], None]) -> dict[str, Curve]:
    """What a run's history says, by the title of the plot, against images seen; nothing, and a note, without one."""
    found: dict[str, Curve] = defaultdict(list)
    try:
        lines = read_json_lines(run.history_file)
    except OSError as error:
        notify(f"{run.history_file}: {get_reason(error)}; its curves are left out")
        return {}
    if not lines:
        notify(f"{run.history_file}: not what a training writes; its curves are left out")
    for logged, _ in lines:
        seen = float(logged["step"] * config.train.batch_size)
        for title, value in _figures(logged):
            if math.isfinite(value) and (value > 0 or title != ERROR):
                found[title].append((seen, value))
    return dict(found)


def thinned(curve: Curve, most: int = MOST_POINTS) -> Curve:
    """At most so many points, each the mean of consecutive ones."""
    size = -(-len(curve) // most) or 1
    groups = [curve[start : start + size] for start in range(0, len(curve), size)]
    return [(fmean(x for x, _ in group), fmean(y for _, y in group)) for group in groups]


def _figures(logged: Mapping[str, object]) -> Iterator[tuple[str, float]]:
    error, kl, accuracy = (logged.get(key) for key in ("reconstruction/mse", "loss/kl", "discriminator/accuracy"))
    if isinstance(error, float):
        yield ERROR, error
    if isinstance(kl, float):
        yield KL, kl / math.log(2)
    if isinstance(accuracy, float):
        yield ACCURACY, accuracy


def _plot(title: str, found: dict[str, list[Curve]]) -> Plot:
    points = [point for curves in found.values() for curve in curves for point in curve]
    values = [value for _, value in points]
    x = across(0, max(place for place, _ in points))
    if title == ERROR:
        y = up(min(values) / 1.1, max(values) * 1.1, logarithmic=True)
    elif title == ACCURACY:
        y = up(0, 1)
    else:
        y = up(*widened([0.0, *values], 0.04))
    lines = []
    for name, curves in found.items():
        lines += of_seeds(name, curves, x, y)
    return Plot(title, ticks(x, short), ticks(y), "images seen", TITLES[title], lines)
