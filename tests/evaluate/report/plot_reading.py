"""Read off a plot what is seen; places are in units of its view box, from the lower left corner."""

from itertools import chain

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.lines import Line2D

from vaegan.evaluate.report.plots import Plot

Place = tuple[float, float]


def get_places(line: Line2D) -> list[Place]:
    """Return the places of the points of a curve, or of a mark."""
    line.axes.figure.draw_without_rendering()
    return [tuple(place) for place in line.get_transform().transform(line.get_xydata())]


def get_lines(plot: Plot) -> list[tuple[str, bool, Line2D]]:
    """Return name or tooltip of each curve and mark of a variant, whether it is faint, and the line."""
    lines = chain.from_iterable(axes.lines for axes in plot.figure.axes)
    named = [line for line in lines if not str(line.get_label()).startswith("_child")]
    return [(str(line.get_label()), (line.get_alpha() or 1) < 1, line) for line in named]


def get_curve(plot: Plot, name: str) -> list[Place]:
    """Return the places of the points of a variant's curve."""
    return next(get_places(line) for label, faint, line in get_lines(plot) if label == name and not faint)


def get_ticks(axis: Axis) -> dict[str, float]:
    """Return the labels of the ticks that are seen, and their places along the axis."""
    axis.axes.figure.draw_without_rendering()
    low, high = sorted(axis.get_view_interval())
    number = "xy".index(axis.axis_name)
    places = {}
    for value, label in zip(axis.get_majorticklocs(), axis.get_majorticklabels(), strict=True):
        if low - 1e-9 <= value <= high + 1e-9 and label.get_text():
            places[label.get_text()] = axis.axes.transData.transform([(value, value)])[0][number]
    return places


def are_inside(plot: Plot) -> bool:
    """Tell whether every curve and mark is between the ends of its axes."""
    lines = [line for _, _, line in get_lines(plot)]
    return bool(lines) and all(_is_inside(line.axes, place) for line in lines for place in get_places(line))


def _is_inside(axes: Axes, place: Place) -> bool:
    box = axes.bbox
    return box.x0 - 0.1 <= place[0] <= box.x1 + 0.1 and box.y0 - 0.1 <= place[1] <= box.y1 + 0.1
