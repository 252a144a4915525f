"""A confusion matrix as a picture."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageColor

from vaegan.plotting import matplotlib_defaults

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

NAME_PIXELS, SMALL_PIXELS = 20, 15
"""Heights of the two text sizes."""
MARGIN_PIXELS = 14
MIN_CELL_PIXELS = 120
DPI = 72
"""Resolution at which matplotlib's point is one pixel."""
INK, GRID = "#191923", "#c5d3e2"
"""Colours of text and of the lines between cells."""
PAPER, FULL = "#ffffff", "#184e8c"
"""Colours of an empty cell and of a cell that holds its whole row."""


def draw_confusion(matrix: "Tensor", true: Sequence[str], predicted: Sequence[str]) -> Image.Image:
    """Draw a heat map with the count in each cell and its fraction of the row, which is also its colour.

    Args:
        matrix: Non-negative, shape (len(true), len(predicted)): how often row ``i``, the true class, was taken for
            column ``j``, the predicted one.
        true: Name of each row.
        predicted: Name of each column.

    Returns:
        RGB picture whose size depends on the names only.

    Raises:
        ValueError: The matrix has not one row and one column for each name.
    """
    counts = matrix.double().cpu().numpy()
    if counts.shape != (len(true), len(predicted)):
        raise ValueError(f"{len(true)} x {len(predicted)} names for a matrix of shape {counts.shape}")
    totals = counts.sum(1, keepdims=True)
    fractions = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    paper, full = (np.array(ImageColor.getrgb(colour)) for colour in (PAPER, FULL))
    colours = np.rint(paper + fractions[..., None] * (full - paper)) / 255
    with matplotlib_defaults({}):
        from matplotlib.figure import Figure

        figure, file = Figure(dpi=DPI), io.BytesIO()
        row_names, column_names = (max(_measure_width(figure, name) for name in names) for names in (true, predicted))
        cell = max(MIN_CELL_PIXELS, column_names + MARGIN_PIXELS)
        size = (
            cell * len(predicted) + row_names + SMALL_PIXELS + 4 * MARGIN_PIXELS,
            cell * len(true) + NAME_PIXELS + SMALL_PIXELS + 4 * MARGIN_PIXELS,
        )
        figure.set_size_inches(size[0] / DPI, size[1] / DPI)
        figure.subplots_adjust(
            left=1 - (MARGIN_PIXELS + cell * len(predicted)) / size[0], right=1 - MARGIN_PIXELS / size[0],
            bottom=MARGIN_PIXELS / size[1], top=(MARGIN_PIXELS + cell * len(true)) / size[1],
        )  # fmt: skip
        axes = figure.subplots()
        axes.pcolormesh(colours, edgecolors=GRID, linewidth=1, clip_on=False)
        axes.invert_yaxis()
        axes.set_frame_on(False)
        axes.xaxis.tick_top()
        axes.xaxis.set_label_position("top")
        axes.set_xticks(np.arange(len(predicted)) + 0.5, predicted)
        axes.set_yticks(np.arange(len(true)) + 0.5, true)
        axes.tick_params(length=0, pad=MARGIN_PIXELS, labelsize=NAME_PIXELS, labelcolor=INK)
        axes.set_xlabel("predicted", fontsize=SMALL_PIXELS, labelpad=MARGIN_PIXELS, color=INK)
        axes.set_ylabel("true", fontsize=SMALL_PIXELS, labelpad=MARGIN_PIXELS, color=INK)
        for (i, j), count in np.ndenumerate(counts):
            ink = PAPER if fractions[i, j] > 0.5 else INK
            fraction = f"{fractions[i, j]:.1%}" if totals[i] else "-"
            axes.text(j + 0.5, i + 0.5, _format_count(count), size=NAME_PIXELS, color=ink, ha="center", va="bottom")
            axes.text(j + 0.5, i + 0.55, fraction, size=SMALL_PIXELS, color=ink, ha="center", va="top")
        figure.savefig(file, format="rgba")
    return Image.frombytes("RGBA", size, file.getvalue()).convert("RGB")


def _measure_width(figure: "Figure", name: str) -> int:
    text = figure.text(0, 0, name, fontsize=NAME_PIXELS)
    width = round(text.get_window_extent().width)
    text.remove()
    return width


def _format_count(count: float) -> str:
    return f"{count:.0f}" if count.is_integer() and count < 1e6 else f"{count:.3g}"
