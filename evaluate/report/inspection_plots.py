"""The plots of an inspection: divergences of the dimensions, the aggregate posterior beside the prior, and maps."""

import torch

from vaegan.applications.code_statistics import CodeStatistics, compute_aggregate_cdf
from vaegan.models import Posterior

from ..inspection import CodeMap
from .plots import COLOURS, VARIANT_STYLES, Plot, draw_curves, get_marker, new_plot

SHOWN_DENSITIES = 4
"""Dimensions whose aggregate posterior is drawn: those farthest from the prior."""
DENSITY_BINS, DENSITY_RANGE = 48, 4.0
"""Bins of these densities, between minus and plus this value of z."""
MAX_NAMED_DIMENSIONS = 12
"""Most dimensions whose names have room below a plot."""
MARKER_POINTS = 4
"""Size of a code in a map."""


def plot_information(statistics: CodeStatistics) -> Plot:
    """Draw the divergence of every dimension, or else the variance of its code, in decreasing order."""
    information = statistics.information
    name, unit = ("mean KL, nats", " nats") if statistics.kl is not None else ("variance of the code", "")
    title = "Divergence from the prior" if statistics.kl is not None else "Variance of the code"
    note = "Grey: dimensions that carry no information." if not statistics.active.all() else ""
    plot = new_plot(title, "dimensions, in this order", name, note)
    axes, order = plot.axes, information.argsort(descending=True, stable=True).tolist()
    width = min(8.0, 250 / len(order))
    for rank, index in enumerate(order, start=1):
        colour = COLOURS["c2" if statistics.active[index] else "c0"]
        label = f"z{index}: {information[index]:.3g}{unit}"
        heights = [0, information[index].item()]
        axes.plot([rank, rank], heights, color=colour, linewidth=width, label=label, solid_capstyle="butt")
    axes.set_ylim(bottom=0)
    _name_dimensions(plot, order)
    return plot


def plot_moments(statistics: CodeStatistics) -> Plot:
    """Draw mean and standard deviation of the aggregate posterior of every dimension, in the order of divergences."""
    note = "A line from one standard deviation below the mean to one above; the prior is between the lines at ±1."
    plot = new_plot("Mean and spread of each dimension", "dimensions, in the order of divergence", "z", note)
    axes, order = plot.axes, statistics.information.argsort(descending=True, stable=True).tolist()
    for level in (-1, 0, 1):
        axes.axhline(level, color=COLOURS["ink"], linewidth=1.25 if level else 0.75)
    width = min(6.0, 200 / len(order))
    for rank, index in enumerate(order, start=1):
        mean, deviation = statistics.mean[index].item(), statistics.variance[index].sqrt().item()
        colour = COLOURS["c2" if statistics.active[index] else "c0"]
        label = f"z{index}: mean {mean:.3g}, standard deviation {deviation:.3g}"
        ends = [mean - deviation, mean + deviation]
        axes.plot([rank, rank], ends, color=colour, linewidth=width, label=label, solid_capstyle="butt")
    _name_dimensions(plot, order)
    return plot


def plot_densities(posterior: Posterior, statistics: CodeStatistics) -> tuple[Plot, list[str]]:
    """Draw the aggregate posterior of the dimensions farthest from the prior.

    Args:
        posterior: q(z | x) of the images, shape (N, d).
        statistics: Their statistics, with distances from a prior.

    Returns:
        The plot, and the names of its curves in the order of the page's colours; the prior's has the ink's.
    """
    assert statistics.wasserstein is not None
    chosen = statistics.wasserstein.argsort(descending=True, stable=True)[:SHOWN_DENSITIES].tolist()
    note = "The prior in the colour of the text, and the dimensions with the largest Wasserstein distance from it."
    plot = new_plot("Farthest from the prior", "z", "density", note)
    edges = torch.linspace(-DENSITY_RANGE, DENSITY_RANGE, DENSITY_BINS + 1, dtype=torch.float64)
    centres = ((edges[1:] + edges[:-1]) / 2).tolist()
    names = []
    for colour, index in enumerate(chosen):
        cdf = compute_aggregate_cdf(posterior.mean[:, index].double(), posterior.log_variance[:, index].double(), edges)
        names.append(f"z{index}, distance {statistics.wasserstein[index]:.3f}")
        density = (cdf.diff() / edges.diff()).tolist()
        draw_curves(plot.axes, colour, names[-1], [list(zip(centres, density, strict=True))])
    prior = torch.special.ndtr(edges).diff() / edges.diff()
    plot.axes.plot(centres, prior.tolist(), color=COLOURS["ink"], linewidth=1.25, label="prior")
    plot.axes.set_xlim(-DENSITY_RANGE, DENSITY_RANGE)
    plot.axes.set_ylim(bottom=0)
    return plot, names


def plot_map(code_map: CodeMap, labels: torch.Tensor | None, classes: tuple[str, ...]) -> Plot:
    """Draw a map of codes, a mark for each image in the colour of its class.

    Args:
        code_map: The map.
        labels: Class of each code, int64, shape (M,); None: all have the same colour.
        classes: Names of the classes.
    """
    plot = new_plot(code_map.name, *code_map.axes)
    groups = torch.zeros(len(code_map.coordinates), dtype=torch.int64) if labels is None else labels
    for group in groups.unique().tolist():
        x, y = code_map.coordinates[groups == group].T.tolist()
        plot.axes.plot(
            x, y, get_marker(group), markersize=MARKER_POINTS, color=COLOURS[f"c{group % VARIANT_STYLES}"], alpha=0.75,
            markeredgewidth=0, label="" if labels is None else classes[group], clip_on=False,
        )  # fmt: skip
    if not code_map.has_unit:
        plot.axes.set_xticks([])
        plot.axes.set_yticks([])
    return plot


def _name_dimensions(plot: Plot, order: list[int]) -> None:
    """Name the dimensions below their places, if there are few; else their places are numbered."""
    plot.axes.set_xlim(0, len(order) + 1)
    if len(order) <= MAX_NAMED_DIMENSIONS:
        plot.axes.set_xticks(range(1, len(order) + 1), [f"z{index}" for index in order])
