"""LPIPS (Zhang et al. 2018): distance of an image and its reconstruction in the features of an image classifier.

Unlike the other losses it needs a network, so this module also builds one and loads its published weights.
"""

import warnings
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vaegan.errors import UserError
from vaegan.images import lay_on_white
from vaegan.precision import full_precision
from vaegan.pretrained import WEIGHT_FILES, load_weights
from vaegan.randomness import seed_global_generator

from .per_image import assert_per_image

Backbone = Literal["alex", "vgg", "squeeze"]
"""AlexNet, VGG-16 or SqueezeNet 1.1."""

MIN_LPIPS_SIDE_PIXELS = 64
"""Side in pixels to which smaller images are enlarged: that of the patches that LPIPS was calibrated on (Zhang et al.
2018, section 2.1), and just above the smallest that AlexNet takes, 63."""


@cache
def get_training_lpips_network(name: Backbone | Literal["random"], device: torch.device) -> nn.Module:
    """Return the LPIPS network of the training loss, the same one at each call.

    Args:
        name: Backbone with trained weights; `random`: random weights, other ones than the metric's.
        device: Device of the network.

    Raises:
        UserError: The file of weights is missing, or is not the published one.
    """
    return (build_random_lpips_network("training") if name == "random" else load_lpips_network(name)).to(device)


def get_evaluation_lpips_name(backbone: Backbone) -> Backbone | Literal["random"]:
    """Return the name that the LPIPS of an evaluation is reported by: `random` for AlexNet without its weights.

    Args:
        backbone: Network whose features are to be compared.
    """
    return "random" if backbone == "alex" and not WEIGHT_FILES["alex"].exists else backbone


def load_evaluation_lpips(
    backbone: Backbone, notify: Callable[[str], None]
) -> tuple[nn.Module, Backbone | Literal["random"]]:
    """Load the LPIPS network of an evaluation, and return it and its `get_evaluation_lpips_name`.

    Without AlexNet's weights random ones stand in for them. For the other networks there is no stand-in.

    Args:
        backbone: Network whose features are compared.
        notify: Called with one line on what is used instead of missing weights.

    Raises:
        UserError: The file of weights is damaged or missing.
    """
    name = get_evaluation_lpips_name(backbone)
    if name != "random":
        return load_lpips_network(name), name
    file = WEIGHT_FILES[backbone]
    notify(
        f"lpips: random features, reported as lpips_random; for real ones put {file.url} at {file.path}, as"
        " `vaegan weights --fetch` does"
    )
    return build_random_lpips_network(), name


def load_lpips_network(backbone: Backbone) -> nn.Module:
    """Load LPIPS v0.1: the backbone's trained weights, and the calibration weights that the package `lpips` ships.

    Args:
        backbone: Network whose features are compared.

    Raises:
        UserError: The file of weights is missing, or is not the published one.
    """
    file = WEIGHT_FILES[backbone]
    trained, network = file.read(), _build_network(backbone, lpips=True)
    layers = network.get_submodule("net")
    try:
        layers.load_state_dict({key: trained[f"features.{key.split('.', 1)[1]}"] for key in layers.state_dict()})
    except Exception:  # what is no file of weights raises nearly anything
        raise UserError(f"{file.path}: not the weights that are published at {file.url}") from None
    calibration = load_weights(Path(str(files("lpips").joinpath("weights", "v0.1", f"{backbone}.pth"))))
    with torch.no_grad():
        for name, tensor in calibration.items():
            network.get_parameter(name).copy_(tensor)
    return network


def build_random_lpips_network(use: Literal["metric", "training"] = "metric") -> nn.Module:
    """Build AlexNet's layers with random weights, always the same ones, and no calibration weights.

    The calibration belongs to trained weights. The distance is the sum over five layers of the mean squared difference
    of normalised features.

    Args:
        use: Use of the network; the two have different weights, so that no model is evaluated by the network that it
            was trained with.
    """
    with seed_global_generator(0, "lpips", *([] if use == "metric" else [use])):
        return _build_network("alex", lpips=False)


def lpips_distance(network: nn.Module, images: Tensor, reconstruction: Tensor) -> Tensor:
    """Compute the LPIPS of each pair, at least 0, float32 whatever the images' type and autocast, shape (N,).

    Grey is repeated to three channels; images smaller than `MIN_LPIPS_SIDE_PIXELS` are enlarged, bilinearly.

    Args:
        network: Network of `load_lpips_network` or `build_random_lpips_network`, on the images' device.
        images: Shape (N, C, S, S) in [-1, 1], C = 1 to 4; those with alpha are laid on white.
        reconstruction: Shape (N, C, S, S) in [-1, 1].
    """
    with full_precision(images.device):
        distances: Tensor = network(_prepare(images), _prepare(reconstruction))
    return assert_per_image(distances.flatten(), images)


def lpips_map(network: nn.Module, images: Tensor, reconstruction: Tensor) -> Tensor:
    """Compute the LPIPS of each pair at each pixel, at least 0, float32, shape (N, S, S).

    The distances of each layer are enlarged to the images, so that the mean of a map is about the `lpips_distance`.

    Args:
        network: Network of `load_lpips_network` or `build_random_lpips_network`, on the images' device.
        images: Shape (N, C, S, S) in [-1, 1], C = 1 to 4; those with alpha are laid on white.
        reconstruction: Shape (N, C, S, S) in [-1, 1].
    """
    network.spatial = True  # type: ignore[assignment]  # a switch of the package
    try:
        with full_precision(images.device):
            distances = network(_prepare(images), _prepare(reconstruction))
    finally:
        network.spatial = False  # type: ignore[assignment]
    return F.interpolate(distances, images.shape[-2:], mode="area")[:, 0]


def _build_network(backbone: Backbone, lpips: bool) -> nn.Module:
    """Build the module of the package `lpips` with random weights, for which torchvision downloads nothing."""
    from lpips import LPIPS as Package  # slow to import

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torchvision's, on how lpips names its arguments
        network: nn.Module = Package(net=backbone, pnet_rand=True, pretrained=False, lpips=lpips, verbose=False)
    return network.requires_grad_(False)


def _prepare(images: Tensor) -> Tensor:
    colour = lay_on_white(images.float()).expand(-1, 3, -1, -1)
    if (short := min(colour.shape[-2:])) >= MIN_LPIPS_SIDE_PIXELS:
        return colour
    height, width = (round(side * MIN_LPIPS_SIDE_PIXELS / short) for side in colour.shape[-2:])
    return F.interpolate(colour, size=(height, width), mode="bilinear", align_corners=False)
