"""Construction of the metrics that a config names."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from vaegan.config.codebooks import PixelCNNConfig, VQVAEConfig
from vaegan.config.models import GANConfig, GaussianConfig
from vaegan.config.objectives import ELBOConfig
from vaegan.config.schema import Config, EvaluateConfig
from vaegan.config.section import Section
from vaegan.data import Images
from vaegan.losses.perceptual import load_evaluation_lpips

from ..augmentation import check_classifier
from .aggregate_posterior import AggregatePosterior
from .anomaly import PlantedAnomalies
from .calibration import Calibration
from .codebook import Codebook
from .completion import Completion
from .confusion import Confusion
from .feature_extractors import build_extractor
from .feature_metrics import FeatureMetrics
from .frechet_statistics import StatisticsDistance
from .likelihood import ELBOMetric, ImportanceWeightedMetric, RateMetric
from .lpips import LPIPS_BACKBONES, build_lpips, check_lpips_networks_differ
from .memorisation import Memorisation
from .metric import ImagePairs, Metric, ModelPairs, PerImage
from .pixels import MAX_PSNR_DB, describe_ms_ssim, describe_ssim, ms_ssim, psnr, ssim
from .sharpness import Sharpness

SET_METRICS = {"frechet", "kid", "prdc"}
"""Metrics of sets of images, which share the features of a network."""
FEATURE_METRICS = {*SET_METRICS, "memorisation", "augmentation"}
"""Metrics that need the network of `evaluate.features`."""
PAIR_METRICS = {"psnr", "ssim", "ms_ssim", *LPIPS_BACKBONES}
"""Metrics of an image and its counterpart."""
ONE_SIZE_METRICS = {"ms_ssim", "sharpness"}
"""Metrics of images alone that compare square images of one size."""
IMAGE_METRICS = {*PAIR_METRICS, "sharpness", *SET_METRICS}
"""Metrics that need images alone, and no model."""


def build_metrics(
    config: EvaluateConfig, model_config: Section, image_shape: tuple[int, int, int], seed: int,
    discriminator: nn.Module | None, real_images: Mapping[str, Any] | None, notify: Callable[[str], None],
    training: Images | None = None, mirrored: bool = False,
) -> dict[str, Metric[ModelPairs]]:  # fmt: skip
    """Return the metrics that a config names, by name, without those that the model's family cannot have.

    Args:
        config: Names of the metrics.
        model_config: The `model` section of the run; of a trained model, `Model.trained_config`.
        image_shape: (C, S, S) of the images.
        seed: Root of samples and posterior noise.
        discriminator: Discriminator of the same run, for `confusion` and `anomaly`; None: there is none.
        real_images: Everything that the real images are a function of, for the cache of their features; None: these are
            computed each time.
        notify: Called with one-line notices.
        training: Training images, for `memorisation`; None: they are the evaluated images, so none are held out.
        mirrored: Whether the model has been trained on mirrored images too.

    Raises:
        UserError: A file of weights or a network of features is missing or damaged, a network of features is for other
            images, or LPIPS would be measured by the network that `model.perceptual` trains in.
    """
    check_lpips_networks_differ(config, model_config)
    values = math.prod(image_shape)
    metrics: dict[str, Metric[ModelPairs]] = {}
    for name in dict.fromkeys(config.metrics):
        if (metric := build_image_metric(name, image_shape[-1], notify)) is not None:
            metrics[name] = metric
        match name, model_config:
            case "elbo", ELBOConfig(likelihood="gaussian" | "laplace"):
                metrics[name] = ELBOMetric(model_config, values)
            case "elbo", GaussianConfig():
                metrics[name] = RateMetric()
            case "iwae", ELBOConfig(likelihood="gaussian" | "laplace"):
                metrics[name] = ImportanceWeightedMetric(model_config, values, config.importance_samples)
            case "calibration", ELBOConfig(likelihood="gaussian" | "laplace"):
                metrics[name] = Calibration(model_config)
            case "gap", GaussianConfig():
                metrics[name] = AggregatePosterior(seed)
            case "codebook", VQVAEConfig(codes=entries) | PixelCNNConfig(autoencoder=VQVAEConfig(codes=entries)):
                metrics[name] = Codebook(entries)
            case "confusion", GANConfig() if discriminator is not None:
                metrics[name] = Confusion(discriminator, model_config, image_shape)
            case "anomaly", _:
                metrics[name] = PlantedAnomalies(
                    model_config, *load_evaluation_lpips("alex", notify), discriminator, seed
                )
            case "completion", GaussianConfig():
                metrics[name] = Completion(*load_evaluation_lpips("alex", notify), seed)
            case "augmentation", _:
                check_classifier(config.features)
            case "memorisation", _:
                extractor = build_extractor(config.features, image_shape)
                metrics[name] = Memorisation(extractor, training, config.batch_size, real_images, mirrored)
    if set_metrics := SET_METRICS & set(config.metrics):
        metrics["features"] = FeatureMetrics(build_extractor(config.features, image_shape), set_metrics, real_images)
    return metrics


def build_image_metric(name: str, size: int | None, notify: Callable[[str], None]) -> Metric[ImagePairs] | None:
    """Return a metric that needs no model and no network of features; None: the metric of this name needs one.

    Args:
        name: Name of the metric.
        size: S, side of the images in pixels; None: each has its own size, which those of `ONE_SIZE_METRICS` refuse.
        notify: Called with one-line notices.

    Raises:
        UserError: A file of weights is missing or damaged.
    """
    match name:
        case "psnr":
            return PerImage("reconstruction/psnr", psnr, {"limit": MAX_PSNR_DB})
        case "ssim":
            return PerImage("reconstruction/ssim", ssim, describe_ssim(size))
        case "ms_ssim" if size is not None:
            return PerImage("reconstruction/ms_ssim", ms_ssim, describe_ms_ssim(size))
        case "lpips" | "lpips_vgg" | "lpips_squeeze":
            return build_lpips(LPIPS_BACKBONES[name], size, notify)
        case "sharpness" if size is not None:
            return Sharpness(size)
    return None


def build_set_metrics(
    config: EvaluateConfig, channels: int, size: int | None, notify: Callable[[str], None], statistics: Path | None,
    statistics_file: Path | None,
) -> dict[str, Metric[ImagePairs]]:  # fmt: skip
    """Return the metrics of two sets of images that a config names, by name; those that need a model are left out.

    Args:
        config: Names of the metrics.
        channels: Channels of the images.
        size: S, side of the images in pixels; None: each has its own size.
        notify: Called with one-line notices.
        statistics: File of statistics of the real images' features, in the place of images; None: there are images.
        statistics_file: File that such statistics are written to; None: they are not.

    Raises:
        UserError: A file of weights or of statistics is missing or damaged, or a network of features is for other
            images.
    """
    metrics: dict[str, Metric[ImagePairs]] = {}
    for name in dict.fromkeys(config.metrics):
        if (metric := build_image_metric(name, size, notify)) is not None:
            metrics[name] = metric
    if names := SET_METRICS & set(config.metrics):
        extractor = build_extractor(config.features, (channels, size, size))
        if statistics is None:
            metrics["features"] = FeatureMetrics(extractor, names, statistics_file=statistics_file)
        else:
            metrics["features"] = StatisticsDistance(extractor, statistics)
    return metrics


def check_metrics(config: Config) -> None:
    """Check that the metrics of a run can be measured, also before it is trained.

    Raises:
        UserError: A file of weights or a network of features is missing or damaged, a network of features is for other
            images, or LPIPS would be measured by the network that `model.perceptual` trains in.
    """
    build_metrics(config.evaluate, config.model, config.data.image_shape, config.seed, None, None, lambda _: None)


def list_unmeasured(config: EvaluateConfig, protocol: Mapping[str, Any]) -> list[str]:
    """Return the metrics of a config that a model's family cannot have, by the protocol of its evaluation."""
    known = {*SET_METRICS, *protocol, *protocol.get("left_out", {})}
    return [name for name in config.metrics if name not in known]


def get_feature_network(config: EvaluateConfig) -> str | None:
    """Return the network in whose features images are compared; None: no metric needs one."""
    return config.features if FEATURE_METRICS & set(config.metrics) else None
