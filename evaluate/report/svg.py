"""Matplotlib figures as SVG elements of the page.

Matplotlib draws with stand-in colours; in the page these are variables of the style sheet, so that one picture fits the
light and the dark scheme. Texts stay texts, in the font and the colour that the style sheet gives to `svg text`.
"""

import io
import re
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from vaegan.plotting import matplotlib_defaults

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VARIANT_STYLES = 12
"""Number of variants that can be told apart; the next ones start again."""
VARIABLES = ("ink", "line", "ground", *(f"c{index}" for index in range(VARIANT_STYLES)))
"""Names of the style sheet's colours; variants have c0 to c11."""
COLOURS = {name: f"#ab00{index:02x}" for index, name in enumerate(VARIABLES)}
"""Stand-in for each colour of the style sheet."""
SVG_SETTINGS = {"font.size": 11, "svg.fonttype": "none"}
"""Settings of matplotlib for all figures of the page; the height of text is in units of the view box."""


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
