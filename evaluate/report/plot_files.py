"""Plots of a page as PNG files beside it, in the colours of the light scheme."""

import re
from collections.abc import Sequence
from pathlib import Path

from vaegan.io import replace_file
from vaegan.plotting import matplotlib_defaults

from .plots import COLOURS, SVG_SETTINGS, Plot

PICTURE_DPI = 160
"""Pixels of a picture per inch of the plot."""
KEY_COLUMNS, SHORT_NAME_CHARACTERS = 5, 12
"""Names in a row of a key, if none is longer than this; else there are two in a row."""
COLOUR_PROPERTIES = ("color", "facecolor", "edgecolor", "markerfacecolor", "markeredgecolor")
"""Properties of matplotlib's artists that hold a colour."""


def write_plot(plot: Plot, path: Path, names: Sequence[str] = ()) -> None:
    """Write a plot as a PNG on a white ground; the file is replaced as a whole, and the plot is coloured for good.

    Args:
        plot: The plot, whose SVG element has been made.
        path: The file.
        names: Labels of the lines that a key names; none: there is no key.
    """
    colours = read_light_colours()
    _recolour(plot, {COLOURS[name]: colours[name] for name in COLOURS})
    figure = plot.figure
    with matplotlib_defaults(SVG_SETTINGS):
        if names:
            handles = [line for line in plot.axes.lines if line.get_label() in names]
            columns = KEY_COLUMNS if max(map(len, names)) <= SHORT_NAME_CHARACTERS else 2
            labels = [str(line.get_label()) for line in handles]
            figure.legend(
                handles, labels, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=columns, frameon=False,
                markerscale=2,
            )  # fmt: skip
        figure.suptitle(plot.title, fontweight="bold", y=1.04)
        with replace_file(path) as partial:
            figure.savefig(partial, format="png", dpi=PICTURE_DPI, bbox_inches="tight", facecolor="white")


def read_light_colours() -> dict[str, str]:
    """Return the light scheme's colours by the names of `COLOURS`, as the style sheet gives them."""
    sheet = (Path(__file__).parent / "style.j2").read_text(encoding="utf-8").partition("@media")[0]
    return {name: re.search(rf"--{name}: (#\w+)", sheet)[1] for name in COLOURS}  # type: ignore[index]


def _recolour(plot: Plot, colours: dict[str, str]) -> None:
    for artist in plot.figure.findobj():
        for name in COLOUR_PROPERTIES:
            getter = getattr(artist, f"get_{name}", None)
            value = None if getter is None else getter()
            if isinstance(value, str) and value in colours:
                getattr(artist, f"set_{name}")(colours[value])
