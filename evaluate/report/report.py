"""Write a comparison as one HTML page without script and without requests, and its tables as CSV beside it."""

import base64
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

import vaegan
from vaegan.config import Config, dump_config
from vaegan.config.models import GANVAEConfig, VAEGANConfig, VectorConfig
from vaegan.config.study_schema import MatchedQuantity
from vaegan.data import Data
from vaegan.io import write_text

from ..comparing.comparison import Comparison
from ..comparing.verdicts import Pair, Verdict
from ..metric_descriptions import ARROWS, MetricDescription, describe_metric, format_sample_source
from ..negative_controls import BLUR_SIGMA_PIXELS, CHECKERBOARD_AMPLITUDE, NOISE_DEVIATION, REAL, SHARPENING_AMOUNT
from .control_rows import COHERENCE, MIN_INCREASE, SHARPNESS_METRICS, build_control_rows
from .image_sheets import DETAIL_SIGMA_PIXELS, VIEWS, draw_interpolations, draw_reconstructions, draw_samples
from .plots import draw_key
from .reproduce import (
    format_control_protocols,
    format_own_protocols,
    get_classifier_command,
    get_common_protocol,
    get_versions,
    list_commands,
    to_yaml,
)
from .rows import build_confusions, build_cost_bars, build_effect_rows
from .spectrum_plot import plot_spectra
from .tables import write_tables
from .tradeoff_plots import plot_tradeoffs
from .training_plots import plot_training

COLUMN_IMAGES = 12
"""Number of real images, and of images in each row of reconstructions."""
SAMPLE_IMAGES = 2 * COLUMN_IMAGES
"""Number of samples of each variant."""
VERDICT_CLASSES = {"sharper": "yes", "less sharp": "no"}
"""CSS class of an answer; other answers are open."""
DEFECTS = {
    "blurred": f"Gaussian blur of {BLUR_SIGMA_PIXELS:g} pixels",
    "noisy": f"white noise of {NOISE_DEVIATION:g}",
    "checkered": f"checkerboard of ±{CHECKERBOARD_AMPLITUDE:g}",
    "over-sharpened": f"unsharp mask of {SHARPENING_AMOUNT:g}",
}
"""Defect of the images of each control, in units of [-1, 1]."""

MATCHED: dict[MatchedQuantity, str] = {
    "decoder": "decoder with the same initial weights",
    "latent_size": "latent size",
    "images_seen": "number of images seen",
    "wall_clock": "time to train in, as far as the speed of its first steps tells",
}
"""Each quantity that variants have in common, as part of a sentence."""


def write_report(comparison: Comparison, data: Data, path: Path, notify: Callable[[str], None]) -> None:
    """Write `report.html`, and beside it the tables as CSV; each file is replaced as a whole.

    Args:
        comparison: The study; its images are those of the first seed's runs.
        data: Images of the study.
        path: The page.
        notify: Receives one line about each thing that is left out.
    """
    seed = comparison.study.seeds[0]
    samplers = {name: comparison.load_sampler(name) for name in comparison.names}
    models = {name: sampler.model for name, sampler in samplers.items()}
    split = getattr(data, comparison.first.config.evaluate.split)
    indices = split.select_evenly(COLUMN_IMAGES)
    real = split[indices]
    labels = {name: split.get_labels(indices, model.classes) for name, model in models.items()}
    controls = build_control_rows(comparison)
    page = _make_environment().get_template("page.html.j2").render(
        comparison=comparison,
        names=comparison.names,
        matched=[MATCHED[quantity] for quantity in comparison.study.matched] + ["images in the same order"],
        latent_size=_get_latent_size(comparison),
        grids=[name for name, config in comparison.configs.items() if not isinstance(config.model, VectorConfig)],
        config=comparison.first.config,
        evaluated_images=comparison.first.evaluation.protocol["reconstructions"],
        verdicts=_group_by_pair(comparison),
        verdict_classes=VERDICT_CLASSES,
        reconstructions=draw_reconstructions(models, real, labels),
        views=VIEWS,
        detail_sigma=DETAIL_SIGMA_PIXELS,
        samples=draw_samples(samplers, SAMPLE_IMAGES),
        source=format_sample_source,
        interpolations=draw_interpolations(models, real, labels),
        groups=[(name, list(rows)) for name, rows in groupby(comparison.build_rows(), lambda row: row.metric.group)],
        arrows=ARROWS,
        effect_rows=build_effect_rows(comparison),
        controls=controls,
        control_metrics=_describe_control_metrics(),
        min_increase=MIN_INCREASE,
        untouched=REAL,
        defects=DEFECTS,
        confusions=build_confusions(comparison),
        relativistic=[name for name, config in comparison.configs.items() if _is_relativistic(config)],
        spectra=plot_spectra(comparison),
        tradeoffs=plot_tradeoffs(comparison),
        training=plot_training(comparison, notify),
        draw_key=draw_key,
        cost_bars=build_cost_bars(comparison),
        csv_uris={name: _to_csv_uri(text) for name, text in write_tables(comparison, controls, path.parent).items()},
        commands={name: list_commands(comparison, name, path.parent) for name in comparison.names},
        versions=get_versions(comparison),
        common_protocol=to_yaml(get_common_protocol(comparison)),
        control_protocols=format_control_protocols(comparison),
        classifier_command=get_classifier_command(comparison, path.parent),
        configs={name: dump_config(comparison.runs[name][seed].config) for name in comparison.names},
        own_protocols={name: format_own_protocols(comparison, name) for name in comparison.names},
        version=vaegan.__version__,
    )  # fmt: skip
    write_text(path, page)


def _make_environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _group_by_pair(comparison: Comparison) -> dict[Pair, list[Verdict]]:
    verdicts: dict[Pair, list[Verdict]] = {pair: [] for pair in comparison.pairs}
    for verdict in comparison.verdicts:
        verdicts[verdict.variant, verdict.reference].append(verdict)
    return verdicts


def _is_relativistic(config: Config) -> bool:
    return isinstance(config.model, VAEGANConfig | GANVAEConfig) and config.model.adversarial.loss == "relativistic"


def _get_latent_size(comparison: Comparison) -> int | None:
    """Return the size of all codes that are one vector; None if it is not matched, or there is no such code."""
    models = [config.model for config in comparison.configs.values()]
    sizes = [model.latent_size for model in models if isinstance(model, VectorConfig)]
    return sizes[0] if sizes and "latent_size" in comparison.study.matched else None


def _describe_control_metrics() -> dict[str, MetricDescription]:
    names = (SHARPNESS_METRICS[0], COHERENCE, *SHARPNESS_METRICS[1:])
    return {name: describe_metric(f"reconstruction/{name}") for name in names}


def _to_csv_uri(text: str) -> str:
    return "data:text/csv;charset=utf-8;base64," + base64.b64encode(text.encode()).decode()
