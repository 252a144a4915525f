"""LPIPS of reconstructions, a distance in the features of a network."""

from collections.abc import Callable

from vaegan.config.objectives import PerceptualConfig
from vaegan.config.schema import EvaluateConfig
from vaegan.config.section import Section
from vaegan.errors import UserError
from vaegan.losses import perceptual
from vaegan.losses.perceptual import MIN_LPIPS_SIDE_PIXELS, Backbone
from vaegan.pretrained import hash_weights

from .metric import PerImage

LPIPS_BACKBONES: dict[str, Backbone] = {"lpips": "alex", "lpips_vgg": "vgg", "lpips_squeeze": "squeeze"}
"""Network of each name of `evaluate.metrics`."""


def build_lpips(backbone: Backbone, size: int | None, notify: Callable[[str], None]) -> PerImage:
    """Return the mean of the images' `lpips_distance`: lpips_alex, lpips_vgg, lpips_squeeze; without unit, at least 0.

    Without AlexNet's weights random ones stand in for them, and the metric is called lpips_random. For the other
    networks there is no stand-in.

    Args:
        backbone: Network of the features.
        size: S, side of the images in pixels; None: each has its own size.
        notify: Called with one line on what is used instead of missing weights.

    Raises:
        UserError: The file of weights is damaged or missing.
    """
    network, name = perceptual.load_evaluation_lpips(backbone, notify)
    protocol = {
        "network": backbone if name == backbone else f"{backbone}, random and uncalibrated",
        "weights": hash_weights(network),
        "dtype": "float32",
        "resolution": "native" if size is None else max(size, MIN_LPIPS_SIDE_PIXELS),
        "resize": "bilinear" if size is None or size < MIN_LPIPS_SIDE_PIXELS else None,
    }
    return PerImage(
        f"reconstruction/lpips_{name}",
        lambda images, reconstruction: perceptual.lpips_distance(network.to(images.device), images, reconstruction),
        protocol,
    )


def check_lpips_networks_differ(config: EvaluateConfig, model_config: Section) -> None:
    """Check that LPIPS is not measured by the network that the model was trained in.

    Args:
        config: Names of the metrics.
        model_config: The `model` section of the run.

    Raises:
        UserError: `evaluate.metrics` names LPIPS of the network of `model.perceptual_network`.
    """
    match model_config:
        case PerceptualConfig(perceptual=weight, perceptual_network=network) if weight:
            if (name := f"lpips_{network}") in config.metrics:
                raise UserError(
                    f"evaluate.metrics: {name}: model.perceptual trains in that network;"
                    " leave one of them out, or take another network"
                )
