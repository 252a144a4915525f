"""The power spectrum of each variant's images relative to the real images'."""

import math
from collections.abc import Mapping, Sequence

from ..comparing.comparison import Comparison
from ..metric_descriptions import format_sample_source
from .plots import COLOURS, Curve, Plot, draw_curves, new_plot

CORNER_CYCLES_PER_PIXEL = math.sqrt(0.5)
"""Highest frequency of a square grid, in cycles per pixel."""
FREQUENCY_TICKS = (0.0, 0.125, 0.25, 0.375, 0.5)
"""Labelled frequencies in cycles per pixel; the last one is Nyquist along an axis."""
MIN_LOG_POWER_RATIO = math.log(2)
"""Log power ratio that is shown on either side of the real images' line, at least."""
MAX_POWER_TICKS = 8
"""Number of ticks that the power axis stays below."""


def plot_spectra(comparison: Comparison) -> list[Plot]:
    """Draw the spectra of reconstructions and of samples, as far as they were measured."""
    plots = []
    for kind in ("reconstruction", "sample"):
        key = f"spectrum_error/{kind}"
        variants = {
            name: [
                list(zip(result.curves["frequency"], result.curves[key], strict=True))
                for result in results.values()
                if key in result.curves
            ]
            for name, results in comparison.evaluations.items()
        }
        if any(variants.values()):
            title = f"{kind.capitalize()}s{format_sample_source(kind, comparison.density)}"
            plots.append(plot_spectrum(title, variants))
    return plots


def plot_spectrum(title: str, variants: Mapping[str, Sequence[Curve]]) -> Plot:
    """Draw log power ratios over frequencies.

    The ring of the last band reaches beyond the corner, where there is nothing; it is drawn at the corner.

    Args:
        title: Heading of the plot.
        variants: For each variant and seed, the bands' frequencies in cycles per pixel and log(power / real power).
    """
    values = [value for curves in variants.values() for curve in curves for _, value in curve]
    low, high = 1.05 * min(-MIN_LOG_POWER_RATIO, *values), 1.05 * max(MIN_LOG_POWER_RATIO, *values)
    base = next((base for base in (2, 4, 10, 100) if (high - low) / math.log(base) < MAX_POWER_TICKS), 1000)
    exponents = range(math.ceil(low / math.log(base)), math.floor(high / math.log(base)) + 1)

    plot = new_plot(title, "cycles per pixel", "power relative to the real images’")
    axes = plot.axes
    axes.set_xlim(0, CORNER_CYCLES_PER_PIXEL)
    axes.set_ylim(low, high)
    axes.set_xticks([*FREQUENCY_TICKS, CORNER_CYCLES_PER_PIXEL], [*(f"{tick:g}" for tick in FREQUENCY_TICKS), "corner"])
    axes.get_xticklabels()[-1].set_horizontalalignment("right")
    labels = [_format_power(base, exponent) for exponent in exponents]
    axes.set_yticks([exponent * math.log(base) for exponent in exponents], labels)
    axes.axhline(0, color=COLOURS["ink"], linewidth=1.25)
    for index, (name, curves) in enumerate(variants.items()):
        draw_curves(axes, index, name, [[(min(x, CORNER_CYCLES_PER_PIXEL), y) for x, y in curve] for curve in curves])
    return plot


def _format_power(base: int, exponent: int) -> str:
    return f"{'×' if exponent > 0 else '÷'} {base ** abs(exponent):,}" if exponent else "real"
