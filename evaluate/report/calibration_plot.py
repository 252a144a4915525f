"""The plot of calibration: how often the true value of a pixel lies inside the interval of each level."""

from ..comparing.comparison import Comparison
from ..metrics.calibration import COVERAGE
from .plots import COLOURS, Plot, draw_curves, new_plot


def plot_calibration(comparison: Comparison) -> list[Plot]:
    """Draw the coverage of the variants' intervals over their levels; no plot if it was not measured."""
    curves = {
        name: [
            [(0.0, 0.0), *zip(result.curves["calibration/level"], result.curves[COVERAGE], strict=True), (1.0, 1.0)]
            for result in results.values()
            if COVERAGE in result.curves
        ]
        for name, results in comparison.evaluations.items()
    }
    if not any(curves.values()):
        return []
    without = [name for name, seeds in curves.items() if not seeds]
    note = f"{' and '.join(without)}: no distribution of pixels." if without else ""
    plot = new_plot("Calibration", "level of the interval", "fraction of values inside it", note)
    plot.axes.set_xlim(0, 1)
    plot.axes.set_ylim(0, 1)
    plot.axes.plot((0, 1), (0, 1), color=COLOURS["ink"], linewidth=1.25)
    for index, (name, seeds) in enumerate(curves.items()):
        draw_curves(plot.axes, index, name, seeds)
    return [plot]
