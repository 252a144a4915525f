"""LPIPS: the distance of an image and its reconstruction in the features of a network trained on photographs."""

import warnings
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vaegan.errors import UserError
from vaegan.precision import full_precision
from vaegan.pretrained import WEIGHT_FILES, load_weights
from vaegan.randomness import seed_global_generator

Backbone = Literal["alex", "vgg", "squeeze"]
"""AlexNet, VGG-16 or SqueezeNet 1.1."""

MIN_SIDE_PIXELS = 64
"""Side in pixels to which smaller images are enlarged: the patches that LPIPS was calibrated on (Zhang et al. 2018,
section 2.1), and just above the least that AlexNet takes, 63."""


@cache
def get_training_lpips_network(name: Backbone | Literal["random"], device: torch.device) -> nn.Module:
    """What reconstructions are trained in: `load_lpips_network`, or a random one that is not the metric's.

    It is the same one at each call.
    """
    return (build_random_lpips_network("training") if name == "random" else load_lpips_network(name)).to(device)


def load_lpips_network(backbone: Backbone) -> nn.Module:
    """LPIPS v0.1: a network's trained weights, and the calibrated ones that the package `lpips` ships.

    Raises:
        UserError: The file of weights is not there, or another one.
    """
    file = WEIGHT_FILES[backbone]
    trained, network = file.read(), _network(backbone, lpips=True)
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
    """AlexNet's layers with random weights, always the same, and no calibration: its weights belong to trained ones.

    The distance is then the sum over five layers of the mean squared difference of normalised features.

    Args:
        use: What it is for; who is judged by one network was not trained in it.
    """
    with seed_global_generator(0, "lpips", *([] if use == "metric" else [use])):
        return _network("alex", lpips=False)


def lpips_distance(network: nn.Module, images: Tensor, reconstruction: Tensor) -> Tensor:
    """LPIPS of each pair, in float32 whatever the images' type and the arithmetic around it.

    Grey is repeated to three channels; images smaller than `MIN_SIDE_PIXELS` are enlarged, bilinearly.

    Args:
        network: `load_lpips_network` or `build_random_lpips_network`, on the images' device.
        images: Shape (N, C, S, S) in [-1, 1], C = 1 or 3.
        reconstruction: The same shape.

    Returns:
        At least 0, float32, shape (N,).
    """
    with full_precision(images.device):
        value: Tensor = network(_prepared(images), _prepared(reconstruction))
    return value.flatten()


def _network(backbone: Backbone, lpips: bool) -> nn.Module:
    """The package's module with random weights; torchvision is never asked to fetch any."""
    from lpips import LPIPS as Package  # slow to import

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torchvision's, on how lpips names its arguments
        network: nn.Module = Package(net=backbone, pnet_rand=True, pretrained=False, lpips=lpips, verbose=False)
    return network.requires_grad_(False)


def _prepared(images: Tensor) -> Tensor:
    colour = images.float().expand(-1, 3, -1, -1)
    if colour.shape[-1] >= MIN_SIDE_PIXELS:
        return colour
    return F.interpolate(colour, size=(MIN_SIDE_PIXELS, MIN_SIDE_PIXELS), mode="bilinear", align_corners=False)
