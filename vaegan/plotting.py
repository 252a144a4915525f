"""Matplotlib with its default settings, whatever the user's, and a plot of what a training logged."""

import logging
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from .entry import python_entry
from .errors import UserError
from .extras import check_packages
from .io import read_json_lines
from .paths import expand_path
from .storage.run_folder import NOT_A_RUN, VALIDATION_PREFIX, Run
from .text import shorten

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Curve: TypeAlias = tuple[list[int], list[float]]
"""Steps and values of one scalar."""
UNPLOTTED_KEYS = ("updates", "learning_rate", "gradient")
"""Beginnings of the names of scalars that `plot_history` leaves out by default; `keys` can name them."""
PANEL_COLUMNS = 4
"""Plots of each row of `plot_history`."""
PANEL_INCHES = (2.6, 1.9)
"""Width and height of one of these plots."""


@contextmanager
def matplotlib_defaults(settings: Mapping[str, Any]) -> Iterator[None]:
    """Import matplotlib and draw with its default settings, texts without mathematics, and further settings.

    Matplotlib is imported inside the block, since it takes half a second and may report the path of its font cache.

    Args:
        settings: Names of `matplotlib.rcParams` with their values.
    """
    logger = logging.getLogger("matplotlib")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        from matplotlib import style

        with style.context(["default", {"text.parse_math": False, **settings}]), warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from")
            yield
    finally:
        logger.setLevel(level)


@python_entry
def plot_history(run: "str | PathLike[str]", keys: str | Sequence[str] | None = None) -> "Figure":
    """Draw what a run logged while it trained, a plot for each scalar over the steps, and return the figure.

    A notebook shows it at the end of a cell. A metric of the validation images stands in the plot of the training
    images' scalar of the same name, if there is one. Neither matplotlib's backend nor its settings change.

    Args:
        run: The run or its folder.
        keys: Names of scalars in `history.jsonl`, or their beginnings: ``["loss", "gap/mmd2"]``; None: all but the
            learning rates and norms of gradients.

    Returns:
        The figure; ``figure.savefig("history.png")`` writes it.

    Raises:
        UserError: ``run`` is no run folder, it has no history yet, no scalar has a name of ``keys``, or matplotlib
            is not installed.
    """
    check_packages(["matplotlib"])
    folder, keys = Run(expand_path("run", run)), (keys,) if isinstance(keys, str) else keys
    if not folder.exists:
        raise UserError(NOT_A_RUN.format(folder.path))
    curves = _read_curves(folder.history_file)
    if not curves:
        raise UserError(f"{folder.history_file}: nothing has been logged yet")
    for key in keys or ():
        if not any(_is_part(name, key) for name in curves):
            raise UserError(f"keys: {shorten(key)} is not logged by {folder.path}; there are {', '.join(curves)}")
    if not keys:
        chosen = [name for name in curves if not any(_is_part(name, key) for key in UNPLOTTED_KEYS)]
    else:
        chosen = [name for name in curves if any(_is_part(name, key) for key in keys)]
    panels: dict[str, dict[str, Curve]] = defaultdict(dict)
    for name in chosen:
        panels[name.removeprefix(VALIDATION_PREFIX)][name] = curves[name]
    with matplotlib_defaults({"font.size": 8, "axes.spines.top": False, "axes.spines.right": False}):
        return _draw_panels(panels)


def _read_curves(file: Path) -> "dict[str, Curve]":
    """Return the finite scalars of a history by name, each as its steps and its values."""
    curves: dict[str, Curve] = defaultdict(lambda: ([], []))
    if file.exists():
        for line, _ in read_json_lines(file):
            for name, value in line.items():
                if isinstance(value, float):
                    curves[name][0].append(line["step"])
                    curves[name][1].append(value)
    return dict(curves)


def _is_part(name: str, key: str) -> bool:
    """Return whether a scalar has the name ``key``, or one that begins with it."""
    return f"{name.removeprefix(VALIDATION_PREFIX)}/".startswith(f"{key}/") or f"{name}/".startswith(f"{key}/")


def _draw_panels(panels: "Mapping[str, Mapping[str, Curve]]") -> "Figure":
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    class NotebookFigure(Figure):
        """A figure that a notebook shows, though pyplot does not know it."""

        def _repr_png_(self) -> bytes:
            file = BytesIO()
            self.savefig(file, format="png", dpi=100)
            return file.getvalue()

    columns = min(PANEL_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure = NotebookFigure(figsize=(columns * PANEL_INCHES[0], rows * PANEL_INCHES[1]), layout="constrained")
    lines: dict[str, Line2D] = {}
    for index, (title, curves) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(rows, columns, index)
        axes.set_title(title, loc="left", fontsize=8, fontweight="bold")
        axes.grid(alpha=0.3)
        for name, (steps, values) in curves.items():
            validation = name.startswith(VALIDATION_PREFIX)
            style, label = ("C1o-", "validation") if validation else ("C0-", "training")
            (lines[label],) = axes.plot(steps, values, style, markersize=3)
        if len(panels) - index < columns:
            axes.set_xlabel("step")
    if "validation" in lines:
        figure.legend(lines.values(), lines, loc="outside upper right", ncols=2, frameon=False)
    return figure
