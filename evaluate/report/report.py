"""One page that shows a comparison: no script, no request, everything inside."""

import base64
import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import torch
from jinja2 import Environment, FileSystemLoader, StrictUndefined

import vaegan
from vaegan.config import Config, dump_config
from vaegan.config.models import GANVAEConfig, VAEGANConfig, VectorConfig
from vaegan.config.study_schema import MatchedQuantity
from vaegan.data import Data
from vaegan.io import write_text
from vaegan.losses.adversarial import CLASS_NAMES, PREDICTED_NAMES
from vaegan.storage.loading import load

from ..comparing.bootstrap import Estimate
from ..comparing.comparison import Comparison
from ..comparing.findings import Effect, Pair, Verdict, format_difference, format_probability
from ..comparing.verdict import SIGNIFICANCE_LEVEL
from ..descriptions import (
    ARROWS,
    MetricDescription,
    describe_metric,
    format_duration,
    format_memory,
    format_sample_source,
    sort_metrics,
)
from ..negative_controls import BLUR_SIGMA_PIXELS, CHECKERBOARD_AMPLITUDE, NOISE_DEVIATION, REAL, SHARPENING_AMOUNT
from .control_rows import COHERENCE, MIN_INCREASE, SHARPNESS_METRICS, build_control_rows
from .image_sheets import DETAIL_SIGMA_PIXELS as BLUR
from .image_sheets import VIEWS, draw_interpolations, draw_reconstructions, draw_samples
from .plots import Plot
from .reproduce import (
    format_control_protocols,
    format_own_protocols,
    get_classifier_command,
    get_common_protocol,
    get_versions,
    list_commands,
    to_yaml,
)
from .spectrum_plot import spectrum_plot
from .tables import write_tables
from .tradeoff_plots import tradeoff_plots
from .training_plots import training_plots

COLUMN_IMAGES = 12
"""Real images, and images of each row."""
SAMPLE_IMAGES = 2 * COLUMN_IMAGES
"""Of each variant."""
VERDICT_STYLES = {"sharper": "yes", "less sharp": "no"}
"""Of an answer; others are open."""
DEFECTS = {
    "blurred": f"Gaussian blur of {BLUR_SIGMA_PIXELS:g} pixels",
    "noisy": f"white noise of {NOISE_DEVIATION:g}",
    "checkered": f"checkerboard of ±{CHECKERBOARD_AMPLITUDE:g}",
    "over-sharpened": f"unsharp mask of {SHARPENING_AMOUNT:g}",
}
"""What was done to the images of each control, in units of [-1, 1]."""

MATCHED: dict[MatchedQuantity, str] = {
    "decoder": "decoder with the same initial weights",
    "latent_size": "latent size",
    "images_seen": "number of images seen",
    "wall_clock": "time to train in, as far as the speed of its first steps tells",
}
"""What variants have in common, as part of a sentence."""


@dataclass(frozen=True)
class CostBar:
    """What one variant costs."""

    name: str
    share: float
    """Of the longest bar, from 0 to 1."""
    text: str


@dataclass(frozen=True)
class EffectRow:
    """One row of the table of effects."""

    effect: Effect
    figure: MetricDescription
    difference: str
    interval: str
    p: str
    size: str
    verdict: str
    """`better`, `worse`, or empty: the difference may be chance, or neither way is better."""


@dataclass(frozen=True)
class ConfusionTable:
    """What a variant's discriminator takes images for, all seeds together."""

    name: str
    columns: tuple[str, ...]
    rows: dict[str, list[float]]
    """Shares of each origin."""


def write_report(comparison: Comparison, data: Data, path: Path, notify: Callable[[str], None]) -> None:
    """Write `report.html`, and beside it the tables as CSV; whoever looks finds old files or new ones.

    Args:
        comparison: What is shown; images are those of the first seed's runs.
        data: The study's images.
        path: The page.
        notify: Told in one line of what is left out.
    """
    seed = comparison.study.seeds[0]
    models = {name: load(runs[seed].run.path) for name, runs in comparison.judged.items()}
    split = getattr(data, comparison.first.config.evaluate.split)
    places = split.select_evenly(COLUMN_IMAGES)
    real = split[places]
    labels = {name: split.get_labels(places, model.classes) for name, model in models.items()}
    controls = build_control_rows(comparison)
    page = _environment().get_template("page.html.j2").render(
        comparison=comparison,
        names=comparison.names,
        matched=[MATCHED[part] for part in comparison.study.matched] + ["images in the same order"],
        latent_size=_latent_size(comparison),
        grids=[name for name, each in comparison.configs.items() if not isinstance(each.model, VectorConfig)],
        config=comparison.first.config,
        evaluated=comparison.first.evaluation.protocol["reconstructions"],
        findings=_by_pair(comparison),
        styles=VERDICT_STYLES,
        reconstructions=draw_reconstructions(models, real, labels),
        views=VIEWS,
        blur=BLUR,
        samples=draw_samples(models, comparison.densities, SAMPLE_IMAGES, seed),
        source=format_sample_source,
        interpolations=draw_interpolations(models, real, labels),
        groups=[(name, list(rows)) for name, rows in groupby(comparison.rows(), lambda row: row.figure.group)],
        arrows=ARROWS,
        shifts=build_effect_rows(comparison),
        level=SIGNIFICANCE_LEVEL,
        controls=controls,
        control_figures=_control_figures(),
        least=MIN_INCREASE,
        untouched=REAL,
        defects=DEFECTS,
        confusions=build_confusions(comparison),
        relativistic=[name for name, each in comparison.configs.items() if _is_relativistic(each)],
        spectra=build_spectrum_plots(comparison),
        training=training_plots(comparison, notify),
        tradeoffs=tradeoff_plots(comparison),
        bars=build_cost_bars(comparison),
        files={name: _csv_uri(text) for name, text in write_tables(comparison, controls, path.parent).items()},
        commands={name: list_commands(comparison, name, path.parent) for name in comparison.names},
        versions=get_versions(comparison),
        protocol=to_yaml(get_common_protocol(comparison)),
        control_protocols=format_control_protocols(comparison),
        features=get_classifier_command(comparison, path.parent),
        configs={name: dump_config(comparison.judged[name][seed].config) for name in comparison.names},
        protocols={name: format_own_protocols(comparison, name) for name in comparison.names},
        version=vaegan.__version__,
    )  # fmt: skip
    write_text(path, page)


def build_spectrum_plots(comparison: Comparison) -> list[Plot]:
    """Of reconstructions and of samples, those that were measured: the power beside the real images'."""
    found = []
    for kind in ("reconstruction", "sample"):
        key = f"spectrum_error/{kind}"
        measured = {name: [each.curves for each in seeds.values()] for name, seeds in comparison.evaluations.items()}
        variants = {
            name: [list(zip(curves["frequency"], curves[key], strict=True)) for curves in seeds if key in curves]
            for name, seeds in measured.items()
        }
        if any(variants.values()):
            found.append(
                spectrum_plot(f"{kind.capitalize()}s{format_sample_source(kind, comparison.density)}", variants)
            )
    return found


def build_cost_bars(comparison: Comparison) -> dict[str, list[CostBar]]:
    """Time, memory and size of each variant."""
    written = {"seconds": format_duration, "memory_bytes": format_memory, "parameters": "{:,.0f}".format}
    found = {}
    for key, write in written.items():
        spreads = {name: comparison.spreads(name) for name in comparison.names}
        means = {name: own[key].mean for name, own in spreads.items() if key in own}
        most = max(means.values(), default=0.0) or 1.0
        found[describe_metric(key).label] = [CostBar(name, mean / most, write(mean)) for name, mean in means.items()]
    return found


def build_effect_rows(comparison: Comparison) -> dict[Pair, list[EffectRow]]:
    """The effects of each pair, as a table shows them."""
    found: dict[Pair, list[EffectRow]] = {pair: [] for pair in comparison.pairs if comparison.effects}
    order = sort_metrics({effect.key for effect in comparison.effects})
    for effect in sorted(comparison.effects, key=lambda effect: order.index(effect.key)):
        found[effect.variant, effect.reference].append(_shift(effect, comparison.density))
    return found


def build_confusions(comparison: Comparison) -> list[ConfusionTable]:
    """Of the variants that have a discriminator."""
    found = []
    for name, runs in comparison.judged.items():
        matrices = [run.evaluation.matrices.get("discriminator/confusion") for run in runs.values()]
        if counts := [torch.tensor(matrix, dtype=torch.float64) for matrix in matrices if matrix]:
            total = torch.stack(counts).sum(0)
            shares = (total / total.sum(1, keepdim=True).clamp_min(1)).tolist()
            found.append(
                ConfusionTable(name, PREDICTED_NAMES[total.shape[1]], dict(zip(CLASS_NAMES, shares, strict=True)))
            )
    return found


def _shift(effect: Effect, density: str | None) -> EffectRow:
    described, found = describe_metric(effect.key, density), effect.estimate
    text, _, rest = format_difference(found, _digits(found)).partition(" ")
    better = (found.value > 0) == (described.better == "higher")
    sure = effect.corrected < SIGNIFICANCE_LEVEL and described.better is not None
    return EffectRow(
        effect, described, text, rest.strip("()").removeprefix("95 %: "), format_probability(effect.corrected),
        "" if effect.size is None else f"{effect.size:+.2f}".replace("-", "−"),
        ("better" if better else "worse") if sure else "",
    )  # fmt: skip


def _digits(found: Estimate) -> int:
    """Decimals that leave two figures of the reach of an interval, 6 at most."""
    reach = found.high - found.value
    return min(6, max(0, 1 - math.floor(math.log10(reach)))) if 0 < reach < math.inf else 3


def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _by_pair(comparison: Comparison) -> dict[Pair, list[Verdict]]:
    found: dict[Pair, list[Verdict]] = {pair: [] for pair in comparison.pairs}
    for finding in comparison.findings:
        found[finding.variant, finding.reference].append(finding)
    return found


def _is_relativistic(config: Config) -> bool:
    return isinstance(config.model, VAEGANConfig | GANVAEConfig) and config.model.adversarial.loss == "relativistic"


def _latent_size(comparison: Comparison) -> int | None:
    """Of all codes that are one vector; None: they are not matched, or there is none."""
    sizes = [each.model.latent_size for each in comparison.configs.values() if isinstance(each.model, VectorConfig)]
    return sizes[0] if sizes and "latent_size" in comparison.study.matched else None


def _control_figures() -> dict[str, MetricDescription]:
    return {
        name: describe_metric(f"reconstruction/{name}")
        for name in (SHARPNESS_METRICS[0], COHERENCE, *SHARPNESS_METRICS[1:])
    }


def _csv_uri(text: str) -> str:
    return "data:text/csv;charset=utf-8;base64," + base64.b64encode(text.encode()).decode()
