"""Forest plots of an ablation: the effect of every change with its interval, in both phases."""

import math
from collections.abc import Mapping, Sequence

from vaegan.config.load_ablation import PHASES, PhaseName
from vaegan.plotting import matplotlib_defaults

from ..comparing.verdicts import Effect, format_difference
from ..metric_descriptions import MetricDescription
from .plots import COLOURS, SVG_SETTINGS, TICK_STEPS, Plot, draw_mark, format_tick

WIDTH, ROW_HEIGHT = 560, 44
"""Width of the plot, and height of a change's row, in points."""
TOP, BOTTOM, RIGHT = 12, 48, 16
"""Margins around the axes in points."""
LETTER_WIDTH, MAX_LETTERS = 6.2, 30
"""Width of a letter of the changes' names in points, and the most that are shown of a name."""
TICK_SPACING_POINTS = 80
"""Least distance of ticks in points."""
SHIFT = 0.17
"""Distance from the middle of a row to the interval of each of two phases, in rows; one phase is in the middle."""


def plot_effects(
    metric: MetricDescription, effects: Mapping[PhaseName, Sequence[Effect]], names: Sequence[str]
) -> Plot:
    """Return the plot of the effects on one metric: a row for each variant, and in it an interval for each phase.

    Args:
        metric: The metric.
        effects: Effects on it in each phase; an infinite interval is left out.
        names: Names of the variants from top to bottom.
    """
    labels = [name if len(name) <= MAX_LETTERS else f"{name[: MAX_LETTERS - 1]}…" for name in names]
    left = 16 + LETTER_WIDTH * max(map(len, labels))
    height = TOP + BOTTOM + ROW_HEIGHT * len(names)
    with matplotlib_defaults(SVG_SETTINGS):
        from matplotlib.figure import Figure
        from matplotlib.ticker import FuncFormatter, MaxNLocator

        figure = Figure((WIDTH / 72, height / 72), dpi=72)
        axes = figure.add_axes((left / WIDTH, BOTTOM / height, 1 - (left + RIGHT) / WIDTH, 1 - (TOP + BOTTOM) / height))
        axes.set_frame_on(False)
        axes.set_axisbelow(True)
        axes.grid(axis="x", color=COLOURS["line"], linewidth=1)
        axes.tick_params("x", length=5, width=1, color=COLOURS["line"])
        axes.tick_params("y", length=0, pad=8)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_yticks(range(len(names)), labels)
        axes.xaxis.set_major_locator(MaxNLocator(int((WIDTH - left) // TICK_SPACING_POINTS), steps=TICK_STEPS))
        axes.xaxis.set_major_formatter(FuncFormatter(format_tick))
        axes.axvline(0, color=COLOURS["ink"], linewidth=1, label="no effect")
        phases = [phase for phase in PHASES if phase in effects]
        for variant, phase in enumerate(phases):
            words, offset = PHASES[phase], (2 * variant - len(phases) + 1) * SHIFT
            axes.plot([], [], color=COLOURS[f"c{variant}"], label=words)
            for effect in effects[phase]:
                estimate, row = effect.estimate, names.index(effect.variant) + offset
                text = f"{effect.variant}, {words}: {format_difference(estimate, 5)}"
                if math.isfinite(estimate.error):
                    axes.plot(
                        [estimate.low, estimate.high], [row, row], color=COLOURS[f"c{variant}"], linewidth=2, label=text
                    )
                draw_mark(axes, variant, text, estimate.value, row)
        axes.set_ylabel("change")
        axes.yaxis.label.set_visible(False)
        axes.set_xlabel(f"{metric.group}: {metric.name}, difference from the base", ha="right", va="baseline")
        axes.xaxis.set_label_coords(1 - RIGHT / WIDTH, 8 / height, figure.transFigure)
    return Plot(f"{metric.group}: {metric.label}", figure)
