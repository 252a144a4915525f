"""What the runs of a study logged while they trained."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from statistics import fmean

from vaegan.config import Config
from vaegan.config.models import AutoencoderConfig, VAEConfig
from vaegan.files import json_lines
from vaegan.runs import Run
from vaegan.wording import reason

from ..comparing.comparison import Comparison
from .plots import Curve, Plot, across, of_seeds, short, ticks, up, widened

MOST_POINTS = 160
"""Of a line; more are averaged in groups."""
SQUARED, ABSOLUTE, KL, ACCURACY = (
    "Squared error", "Absolute error", "Divergence from the prior", "Discriminator’s accuracy",
)  # fmt: skip
TITLES = {
    SQUARED: "mean over pixels and images, units of [−1, 1]",
    ABSOLUTE: "mean over pixels and images, units of [−1, 1]",
    KL: "bits per image",
    ACCURACY: "balanced over real, reconstructed and generated",
}
"""The plots in their order, and what the vertical axis of each is."""
ERRORS = {SQUARED, ABSOLUTE}


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
        lines = json_lines(run.history_file)
    except OSError as error:
        notify(f"{run.history_file}: {reason(error)}; its curves are left out")
        return {}
    if not lines:
        notify(f"{run.history_file}: not what a training writes; its curves are left out")
    for logged, _ in lines:
        seen = float(logged["step"] * config.train.batch_size)
        for title, value in _figures(config, logged):
            if math.isfinite(value) and (value > 0 or title not in ERRORS):
                found[title].append((seen, value))
    return dict(found)


def error(config: Config, logged: float) -> tuple[str, float]:
    """The error behind a logged `loss/reconstruction`, in which variants of different likelihoods can be compared.

    The Gaussian's is 2 s^2 (nats / values - log s - 1/2 log 2 pi), Laplace's s (nats / values - log 2 s); that of an
    others is the squared error itself.

    Returns:
        Its title, and the mean over the values of an image, in units of [-1, 1].
    """
    model = config.model
    if not isinstance(model, VAEConfig):
        return SQUARED, logged
    nats = logged / (config.data.channels * config.data.image_size**2)
    if model.likelihood == "laplace":
        return ABSOLUTE, model.scale * (nats - math.log(2 * model.scale))
    return SQUARED, 2 * model.scale**2 * (nats - math.log(model.scale) - 0.5 * math.log(2 * math.pi))


def thinned(curve: Curve, most: int = MOST_POINTS) -> Curve:
    """At most so many points, each the mean of consecutive ones."""
    size = -(-len(curve) // most) or 1
    groups = [curve[start : start + size] for start in range(0, len(curve), size)]
    return [(fmean(x for x, _ in group), fmean(y for _, y in group)) for group in groups]


def _figures(config: Config, logged: dict[str, object]) -> Iterator[tuple[str, float]]:
    loss, kl, accuracy = (logged.get(key) for key in ("loss/reconstruction", "loss/kl", "discriminator/accuracy"))
    if isinstance(loss, float) and isinstance(config.model, AutoencoderConfig):
        yield error(config, loss)
    if isinstance(kl, float):
        yield KL, kl / math.log(2)
    if isinstance(accuracy, float):
        yield ACCURACY, accuracy


def _plot(title: str, found: dict[str, list[Curve]]) -> Plot:
    points = [point for curves in found.values() for curve in curves for point in curve]
    values = [value for _, value in points]
    x = across(0, max(place for place, _ in points))
    if title in ERRORS:
        y = up(min(values) / 1.1, max(values) * 1.1, logarithmic=True)
    elif title == ACCURACY:
        y = up(0, 1)
    else:
        y = up(*widened([0.0, *values], 0.04))
    lines = []
    for name, curves in found.items():
        lines += of_seeds(name, curves, x, y)
    return Plot(title, ticks(x, short), ticks(y), "images seen", TITLES[title], lines)
