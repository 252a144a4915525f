"""Metrics that can decide: between changes of a recipe, or between two averages of the weights."""

from vaegan.config.adversarial import get_packing
from vaegan.config.codebooks import VQVAEConfig
from vaegan.config.explain_error import suggest_nearest
from vaegan.config.models import AEFamilyConfig, GANConfig, GaussianConfig
from vaegan.config.objectives import ELBOConfig
from vaegan.config.schema import EvaluateConfig
from vaegan.config.section import Section
from vaegan.errors import UserError
from vaegan.losses.perceptual import get_evaluation_lpips_name
from vaegan.text import shorten

from .metric_descriptions import METRIC_DESCRIPTIONS, Better
from .metrics.feature_extractors import INCEPTION

SOURCES = {
    "fid": "frechet", "fd": "frechet", "precision": "prdc", "recall": "prdc", "density": "prdc", "coverage": "prdc",
    "spectrum_error": "sharpness", "laplacian_gap": "sharpness", "kurtosis_gap": "sharpness",
    "coherence": "sharpness", "lpips_alex": "lpips", "lpips_random": "lpips", "bits_per_dim": "elbo",
    "iwae_bits_per_dim": "iwae",
}  # fmt: skip
"""Name in `evaluate.metrics` of a metric of reconstructions, samples or likelihoods whose key has another name."""


def check_deciding_metric(
    metric: str, source: str, evaluate: EvaluateConfig, model: Section, better: Better | None = None
) -> None:
    """Check that a metric is measured, and that one of its directions is better.

    Args:
        metric: Its key, without the network of its features.
        source: Setting that names it, for messages.
        evaluate: The evaluation of the runs.
        model: Their `model` section.
        better: Direction that must be the better one; None: either.

    Raises:
        UserError: It is not measured, or neither direction is better, or the other one.
    """
    judging = [
        key
        for key, description in METRIC_DESCRIPTIONS.items()
        if (description.better is not None if better is None else description.better == better)
    ]
    other_frechet = "/fd" if evaluate.features == INCEPTION else "/fid"
    other_lpips = "lpips_alex" if get_evaluation_lpips_name("alex") == "random" else "lpips_random"
    named = [key for key in judging if _get_source(key) in evaluate.metrics]
    allowed = [
        key for key in named if not key.endswith((other_frechet, other_lpips)) and _is_measured(key, evaluate, model)
    ]
    if metric in allowed:
        return
    if metric in judging and metric not in named:
        problem = "not among those that evaluate.metrics names"
    elif metric in judging and metric.endswith(other_lpips):
        problem = "not its name on this machine, by the weights of AlexNet that are there or missing"
    elif metric.endswith(other_frechet) and metric in judging:
        problem = f"not its name in features of {evaluate.features}"
    elif metric in judging:
        problem = "not measured of such a model"
    elif metric in METRIC_DESCRIPTIONS and better is not None:
        problem = f"no metric of which {'less' if better == 'lower' else 'more'} is better"
    else:
        problem = "no metric that can decide"
    raise UserError(
        f"{source}: {shorten(metric)}: {problem}{suggest_nearest(metric, allowed)}; allowed: {', '.join(allowed)}"
    )


def _get_source(key: str) -> str:
    """Return the name in `evaluate.metrics` that gives a metric."""
    kind, slash, name = key.partition("/")
    if not slash:
        return SOURCES.get(key, key)
    return SOURCES.get(name, name) if kind in ("reconstruction", "sample") else kind


def _is_measured(key: str, evaluate: EvaluateConfig, model: Section) -> bool:
    """Return whether a metric that `evaluate.metrics` names is measured of a model."""
    kind, _, name = key.partition("/")
    if kind == "sample":
        return evaluate.density is not None or not isinstance(model, AEFamilyConfig | VQVAEConfig)
    if kind in ("gap", "completion"):
        return isinstance(model, GaussianConfig)
    if kind == "augmentation":
        return getattr(model, "labels", None) is not None
    if name == "auc_realness":
        return isinstance(model, GANConfig) and get_packing(model) == 1
    if kind in ("elbo", "bits_per_dim", "iwae", "iwae_bits_per_dim", "calibration") or name.startswith("auc_elbo"):
        return isinstance(model, ELBOConfig) and model.likelihood != "bernoulli"
    return True
