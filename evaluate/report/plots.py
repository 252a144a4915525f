"""The look of the report's plots: axes, and the curves and marks of variants, as SVG elements of the page.

Matplotlib draws with stand-in colours; in the page these are variables of the style sheet, so that one picture fits the
light and the dark scheme. Texts stay texts, in the font and the colour that the style sheet gives to `svg text`.
"""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from vaegan.plotting import matplotlib_defaults

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

VARIANT_STYLES = 12
"""Number of variants that can be told apart; the next ones start again."""
VARIABLES = ("ink", "line", "ground", *(f"c{index}" for index in range(VARIANT_STYLES)))
"""Names of the style sheet's colours; variants have c0 to c11."""
COLOURS = {name: f"#ab00{index:02x}" for index, name in enumerate(VARIABLES)}
"""Stand-in for each colour of the style sheet."""
SVG_SETTINGS = {"font.size": 11, "svg.fonttype": "none"}
"""Settings of matplotlib for all figures of the page; the height of text is in units of the view box."""
WIDTH, HEIGHT = 420, 288
"""Size of a plot in units of its view box; one unit is matplotlib's point (1/72 inch)."""
LEFT, RIGHT, TOP, BOTTOM = 58, 10, 32, 42
"""Margins around the axes in the same units."""
MIN_TICK_SPACING_POINTS = {"x": 60, "y": 36}
"""Least distance of ticks along each axis in the same units."""
TICK_STEPS = (1, 2, 2.5, 5, 10)
"""Distances of ticks, times a power of ten."""
DASHES: dict[int, tuple[float, ...]] = {
    1: (3.5, 2), 3: (1, 2), 4: (5, 1.5, 1, 1.5), 5: (2, 1.5), 6: (3.5, 2), 8: (1, 2), 9: (5, 1.5, 1, 1.5),
    10: (2, 1.5), 11: (6, 1.5),
}  # fmt: skip
"""Dashes and spaces of a variant's curve in line widths; the other curves are solid."""
MARKERS = "os^DvP"
"""Matplotlib's markers of the first six variants; the next six start one marker later."""

Curve = Sequence[tuple[float, float]]
"""Points (x, y)."""


@dataclass(frozen=True)
class Plot:
    """A plot and the texts around it."""

    title: str
    """Heading, unique in the page."""
    figure: "Figure"
    note: str = ""
    """Sentence below the plot."""

    @property
    def axes(self) -> "Axes":
        """Axes that the curves and marks are drawn on."""
        return self.figure.axes[0]

    @property
    def svg(self) -> Markup:
        """Element of the page, with a description for readers who cannot see it."""
        label = f"{self.title}: {self.axes.get_ylabel()}, by {self.figure.axes[-1].get_xlabel()}"
        return render_svg(self.figure, self.title, Markup('role="img" aria-label="{}"').format(label))


def new_plot(title: str, x_label: str, y_label: str, note: str = "", side_width: int = 0) -> Plot:
    """Return a plot with empty axes.

    Args:
        title: Heading of the plot, unique in the page.
        x_label: Quantity along the horizontal axis, with its unit.
        y_label: Quantity along the vertical axis, with its unit.
        note: Sentence below the plot.
        side_width: Width of second axes to the right, in points, with the vertical axis of the first ones; 0 for none.
    """
    with matplotlib_defaults(SVG_SETTINGS):
        from matplotlib.figure import Figure
        from matplotlib.ticker import FuncFormatter, MaxNLocator

        figure = Figure((WIDTH / 72, HEIGHT / 72), dpi=72)
        widths = [WIDTH - LEFT - RIGHT - side_width, side_width] if side_width else [WIDTH - LEFT - RIGHT]
        margins = {"left": LEFT / WIDTH, "right": 1 - RIGHT / WIDTH, "bottom": BOTTOM / HEIGHT, "top": 1 - TOP / HEIGHT}
        row = figure.subplots(
            1, len(widths), sharey=True, squeeze=False, width_ratios=widths, gridspec_kw=margins | {"wspace": 0}
        )[0]
        for axes, width in zip(row, widths, strict=True):
            axes.set_frame_on(False)
            axes.set_axisbelow(True)
            axes.grid(axis="y", color=COLOURS["line"], linewidth=1)
            axes.tick_params("x", length=5, width=1, color=COLOURS["line"])
            axes.tick_params("y", length=0, pad=8)
            for axis, length in ((axes.xaxis, width), (axes.yaxis, HEIGHT - TOP - BOTTOM)):
                axis.set_major_locator(MaxNLocator(length // MIN_TICK_SPACING_POINTS[axis.axis_name], steps=TICK_STEPS))
                axis.set_major_formatter(FuncFormatter(format_tick))
        row[0].set_ylabel(y_label, rotation=0, ha="left", va="baseline")
        row[0].yaxis.set_label_coords(2 / WIDTH, 1 - (TOP - 16) / HEIGHT, figure.transFigure)
        row[-1].set_xlabel(x_label, ha="right", va="baseline")
        row[-1].xaxis.set_label_coords(1 - RIGHT / WIDTH, (BOTTOM - 37) / HEIGHT, figure.transFigure)
    return Plot(title, figure, note)


def draw_curves(axes: "Axes", variant: int, name: str, curves: Sequence[Curve]) -> None:
    """Draw the curve of a variant; of several seeds each one faintly, and their mean.

    Args:
        axes: Axes to draw on.
        variant: Index of the variant in the study, which gives the style.
        name: Name of the variant.
        curves: One for each seed.
    """
    colour = COLOURS[f"c{variant % VARIANT_STYLES}"]
    for curve in curves if len(curves) > 1 else ():
        axes.plot(*zip(*curve, strict=True), color=colour, linewidth=1, alpha=0.38, label=name, clip_on=False)
    if mean := average(curves):
        dashes = DASHES.get(variant % VARIANT_STYLES)
        axes.plot(
            *zip(*mean, strict=True), color=colour, linewidth=2, linestyle=(0, dashes) if dashes else "-", label=name,
            solid_capstyle="round", dash_capstyle="round", clip_on=False,
        )  # fmt: skip


def draw_mark(axes: "Axes", variant: int, title: str, x: float, y: float, faint: bool = False) -> None:
    """Draw a point of a variant.

    Args:
        axes: Axes to draw on.
        variant: Index of the variant in the study, which gives the style.
        title: Tooltip.
        x: Horizontal coordinate.
        y: Vertical coordinate.
        faint: Whether it is one of several whose mean is another mark.
    """
    axes.plot(
        x, y, get_marker(variant), markersize=7.5 if faint else 11.5, label=title, alpha=0.4 if faint else 1,
        color=COLOURS[f"c{variant % VARIANT_STYLES}"], markeredgecolor=COLOURS["ground"], clip_on=False,
    )  # fmt: skip


def get_marker(variant: int) -> str:
    """Return matplotlib's marker of a variant by its index in the study."""
    index = variant % VARIANT_STYLES
    return MARKERS[(index + index // len(MARKERS)) % len(MARKERS)]


def draw_key(variant: int, mark: bool) -> Markup:
    """Return the curve, or else the mark, of a variant as an element of the page.

    Args:
        variant: Index of the variant in the study.
        mark: Whether the mark is shown.
    """
    with matplotlib_defaults(SVG_SETTINGS):
        from matplotlib.figure import Figure

        figure = Figure((32 / 72, 12 / 72), dpi=72)
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, 32), ylim=(0, 12))
        axes.set_axis_off()
        if mark:
            draw_mark(axes, variant, "", 16, 6)
        else:
            draw_curves(axes, variant, "", [[(2, 6), (30, 6)]])
    return render_svg(figure, f"key of {variant}", Markup('aria-hidden="true"'))


def average(curves: Sequence[Curve]) -> list[tuple[float, float]]:
    """Return the mean curve, at the values of x that all curves have."""
    values = [dict(curve) for curve in curves]
    shared = sorted(set.intersection(*map(set, values))) if values else []
    return [(x, fmean(value[x] for value in values)) for x in shared]


def render_svg(figure: "Figure", salt: str, attributes: Markup) -> Markup:
    """Return a figure as an `svg` element without a style sheet, and without an id that is not referred to.

    Args:
        figure: Drawn in `COLOURS`; the label of a line becomes its tooltip.
        salt: Text that no other figure of the page has, which makes its ids unique and the same each time.
        attributes: Further attributes of the element.
    """
    lines = [line for axes in figure.axes for line in axes.lines]
    for index, line in enumerate(lines):
        line.set_gid(f"line-{index}")
    file = io.StringIO()
    with matplotlib_defaults({**SVG_SETTINGS, "svg.hashsalt": salt}):
        metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(file, format="svg", transparent=True, metadata=metadata)
    _, _, svg = file.getvalue().partition("<svg")
    _, _, svg = svg.partition(">")
    svg = re.sub(r"<defs>\s*<style.*?</defs>", "", svg, flags=re.DOTALL)
    for name, colour in COLOURS.items():
        svg = svg.replace(f": {colour}", f": var(--{name})")
    svg = re.sub(r'(?<=<text style=")[^"]*(?=text-anchor: \w+)', "", svg)
    for index, line in enumerate(lines):
        if not str(line.get_label()).startswith("_child"):  # matplotlib's label of a line without one
            svg = svg.replace(f'<g id="line-{index}">', f"<g><title>{escape(line.get_label())}</title>")
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    size = "{:g} {:g}".format(*72 * figure.get_size_inches())
    return Markup(f'<svg viewBox="0 0 {size}" {attributes}>{svg}')  # noqa: S704  # matplotlib escapes its texts


def format_tick(value: float, _: int) -> str:
    """Return a tick's value as text, without the error of the arithmetic."""
    return f"{round(value, 9) + 0:,.9g}".replace("-", "−")
