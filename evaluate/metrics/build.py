"""The metrics that a config names."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from vaegan.config.models import (
    ConditionalConfig,
    ELBOConfig,
    GaussianConfig,
    PixelCNNConfig,
    VAEGANConfig,
    VQVAEConfig,
)
from vaegan.config.schema import Config, EvaluateConfig
from vaegan.config.section import Section
from vaegan.errors import UserError

from .aggregate_posterior import AggregatePosterior
from .codebook import Codebook
from .confusion import Confusion
from .feature_extractors import build_extractor
from .feature_metrics import FeatureMetrics
from .likelihood import ELBOMetric, ImportanceWeightedMetric, RateMetric
from .lpips import LPIPS
from .metric import Metric
from .pixels import MSSSIM, PSNR, SSIM
from .sharpness import Sharpness

SET_METRICS = {"frechet", "kid", "prdc"}
"""The metrics that share the features of a network."""


def build_metrics(
    config: EvaluateConfig, described: Section, shape: tuple[int, int, int], seed: int,
    discriminator: nn.Module | None, real: Mapping[str, Any] | None, notify: Callable[[str], None],
) -> dict[str, Metric]:  # fmt: skip
    """The metrics that the config names, without those that a family cannot have; as `evaluate`.

    Args:
        config: Which they are.
        described: The `model` section of the run; of a trained model, as `Model.trained_config`.
        shape: (C, S, S) of its images.
        seed: As of `evaluate`.
        discriminator: As of `evaluate`.
        real: What the real images are a function of; None: their features are made each time.
        notify: As of `evaluate`.

    Raises:
        UserError: A file of weights or a network of features is missing or damaged, or is for other images; or as
            `check_lpips_networks_differ`.
    """
    check_lpips_networks_differ(config, described)
    size, values = shape[-1], math.prod(shape)
    made: dict[str, Metric] = {}
    for name in dict.fromkeys(config.metrics):
        match name, described:
            case "psnr", _:
                made[name] = PSNR()
            case "ssim", _:
                made[name] = SSIM(size)
            case "ms_ssim", _:
                made[name] = MSSSIM(size)
            case "lpips", _:
                made[name] = LPIPS("alex", size, notify)
            case "lpips_vgg", _:
                made[name] = LPIPS("vgg", size, notify)
            case "lpips_squeeze", _:
                made[name] = LPIPS("squeeze", size, notify)
            case "sharpness", _:
                made[name] = Sharpness(size)
            case "elbo", ELBOConfig(likelihood="gaussian" | "laplace"):
                made[name] = ELBOMetric(described, values)
            case "elbo", GaussianConfig():
                made[name] = RateMetric()
            case "iwae", ELBOConfig(likelihood="gaussian" | "laplace"):
                made[name] = ImportanceWeightedMetric(described, values, config.importance_samples)
            case "gap", GaussianConfig():
                made[name] = AggregatePosterior(seed)
            case "codebook", VQVAEConfig(codes=entries) | PixelCNNConfig(autoencoder=VQVAEConfig(codes=entries)):
                made[name] = Codebook(entries)
            case "confusion", _ if discriminator is not None:
                classes = described.labels if isinstance(described, ConditionalConfig) else None
                made[name] = Confusion(discriminator, classes)
    if wanted := SET_METRICS & set(config.metrics):
        made["features"] = FeatureMetrics(build_extractor(config.features, shape), wanted, real)
    return made


def check_metrics(config: Config) -> None:
    """See that a run's metrics can be had; before it is trained, say.

    Raises:
        UserError: As `build_metrics`.
    """
    build_metrics(config.evaluate, config.model, config.data.image_shape, config.seed, None, None, lambda _: None)


def check_lpips_networks_differ(config: EvaluateConfig, described: Section) -> None:
    """See that reconstructions are not judged by the network that they were trained in.

    Args:
        config: By what they are.
        described: The `model` section of the run.

    Raises:
        UserError: They are.
    """
    match described:
        case VAEGANConfig(perceptual=weight, perceptual_network=network) if weight:
            if (name := f"lpips_{network}") in config.metrics:
                raise UserError(
                    f"evaluate.metrics: {name}: model.perceptual trains in that network;"
                    " leave one of them out, or take another network"
                )


def get_feature_network(config: EvaluateConfig) -> str | None:
    """The network in whose features sets of images are compared, as `evaluate.features` has it; None: they are not."""
    return config.features if SET_METRICS & set(config.metrics) else None
