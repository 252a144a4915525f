"""Write a comparison as one HTML page without script and without requests; its tables and pictures lie beside it."""

import base64
import math
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

from vaegan.config import Config, dump_config
from vaegan.config.architectures import ContinuousConfig
from vaegan.config.models import GANVAEFamilyConfig, VAEGANFamilyConfig, get_autoencoder_config
from vaegan.data import Data
from vaegan.io import write_text
from vaegan.text import encode_text

from ..comparing.comparison import Comparison
from ..metric_descriptions import ARROWS, describe_metric, format_sample_source
from ..metrics.memorisation import NEAREST
from ..negative_controls import BLUR_SIGMA_PIXELS, CHECKERBOARD_AMPLITUDE, NOISE_DEVIATION, REAL, SHARPENING_AMOUNT
from . import reproduce
from .calibration_plot import plot_calibration
from .control_rows import CONTROL_METRICS, MIN_INCREASE, build_control_rows
from .image_sheets import (
    DETAIL_SIGMA_PIXELS,
    VIEWS,
    build_closest_pairs,
    build_interpolations,
    build_reconstructions,
    build_samples,
)
from .picture_files import RECONSTRUCTIONS_PICTURE, SAMPLES_PICTURE, write_picture
from .plots import draw_key
from .rows import build_confusions, build_cost_bars, build_effect_rows
from .spectrum_plot import plot_spectra
from .tables import write_tables
from .templates import render_page
from .tradeoff_plots import plot_tradeoffs
from .training_plots import plot_training

COLUMN_IMAGES = 12
"""Number of real images, and of images in each row of reconstructions."""
SAMPLE_IMAGES = 2 * COLUMN_IMAGES
"""Number of samples of each variant."""
CLOSEST_PAIRS = COLUMN_IMAGES // 2
"""Number of pairs of a sample and its nearest training image in each space."""
DEFECTS = {
    "blurred": f"Gaussian blur of {BLUR_SIGMA_PIXELS:g} pixels",
    "noisy": f"white noise of {NOISE_DEVIATION:g}",
    "checkered": f"checkerboard of ±{CHECKERBOARD_AMPLITUDE:g}",
    "over-sharpened": f"unsharp mask of {SHARPENING_AMOUNT:g}",
}
"""Defect of the images of each control, in units of [-1, 1]."""


def write_report(comparison: Comparison, data: Data, path: Path, notify: Callable[[str], None]) -> None:
    """Write `report.html`, and beside it tables as CSV and pictures as PNG; each file is replaced as a whole.

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
    reconstructions = build_reconstructions(models, real, labels)
    samples = build_samples(samplers, SAMPLE_IMAGES)
    write_picture(reconstructions.sheet, path.parent / RECONSTRUCTIONS_PICTURE, COLUMN_IMAGES)
    if samples.rows:
        write_picture(samples, path.parent / SAMPLES_PICTURE, COLUMN_IMAGES)
    nearest = {name: comparison.get_scores(name, NEAREST) for name in comparison.names}
    page = render_page(
        "page.html.j2",
        comparison=comparison,
        names=comparison.names,
        latent_size=_get_latent_size(comparison),
        grids=[name for name, config in comparison.configs.items() if not _has_continuous_code(config)],
        apart=[name for name, config in comparison.configs.items() if not _shares_its_code(config)],
        config=comparison.first.config,
        reconstructions=reconstructions,
        views=VIEWS,
        detail_sigma=DETAIL_SIGMA_PIXELS,
        samples=samples,
        closest_pairs=build_closest_pairs(
            samplers, {name: spaces for name, spaces in nearest.items() if spaces}, data.train, CLOSEST_PAIRS
        ),
        source=format_sample_source,
        interpolations=build_interpolations(models, real, labels),
        groups=[(name, list(rows)) for name, rows in groupby(comparison.build_rows(), lambda row: row.metric.group)],
        arrows=ARROWS,
        effect_rows=build_effect_rows(comparison),
        controls=controls,
        control_metrics={name: describe_metric(f"reconstruction/{name}") for name in CONTROL_METRICS},
        min_increase=MIN_INCREASE,
        untouched=REAL,
        defects=DEFECTS,
        confusions=build_confusions(comparison),
        relativistic=[name for name, config in comparison.configs.items() if _is_relativistic(config)],
        spectra=plot_spectra(comparison),
        calibration=plot_calibration(comparison),
        tradeoffs=plot_tradeoffs(comparison),
        training=plot_training(comparison, notify),
        draw_key=draw_key,
        cost_bars=build_cost_bars(comparison),
        csv_uris={name: _to_csv_uri(text) for name, text in write_tables(comparison, controls, path.parent).items()},
        commands={name: reproduce.list_commands(comparison, name, path.parent) for name in comparison.names},
        versions=reproduce.list_versions(comparison),
        common_protocol=reproduce.to_yaml(reproduce.get_common_protocol(comparison)),
        control_protocols=reproduce.format_control_protocols(comparison),
        classifier_command=reproduce.get_classifier_command(comparison, path.parent),
        configs={name: dump_config(comparison.runs[name][seed].config) for name in comparison.names},
        own_protocols={name: reproduce.format_own_protocols(comparison, name) for name in comparison.names},
    )  # fmt: skip
    write_text(path, page)


def _is_relativistic(config: Config) -> bool:
    return (
        isinstance(config.model, VAEGANFamilyConfig | GANVAEFamilyConfig)
        and config.model.adversarial.loss == "relativistic"
    )


def _shares_its_code(config: Config) -> bool:
    """Return whether a variant's code can be matched: it is continuous, and the variant is trained."""
    return _has_continuous_code(config) and config.train.steps > 0


def _has_continuous_code(config: Config) -> bool:
    """Return whether a variant's code, or that of the autoencoder that it is a prior of, is continuous."""
    return isinstance(get_autoencoder_config(config.model), ContinuousConfig)


def _get_latent_size(comparison: Comparison) -> int | None:
    """Return the number of values of all codes that are matched; None if there are none."""
    sizes = [
        math.prod(model.get_code_shape(config.data.image_shape))
        for config in comparison.configs.values()
        if isinstance(model := get_autoencoder_config(config.model), ContinuousConfig) and _shares_its_code(config)
    ]  # fmt: skip
    return sizes[0] if sizes and "latent_size" in comparison.study.matched else None


def _to_csv_uri(text: str) -> str:
    return "data:text/csv;charset=utf-8;base64," + base64.b64encode(encode_text(text)).decode()
