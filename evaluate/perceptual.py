"""LPIPS: the distance of an image and its reconstruction in the features of AlexNet."""

import warnings
from collections.abc import Callable
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vaegan.checkpoints import digest
from vaegan.errors import Mistake
from vaegan.randomness import seeded

from .metric import Metric, Pairs, Result
from .sums import Sums, mean, summed

BACKBONE = "alexnet-owt-7be5be79.pth"
"""torchvision's AlexNet trained on ImageNet; the digits begin the SHA-256 of the file."""

SOURCE = "https://download.pytorch.org/models/"
"""Where the file is published."""

MINIMUM = 64
"""Side in pixels to which smaller images are enlarged: the patches that LPIPS was calibrated on (Zhang et al. 2018,
section 2.1), and just above the least that AlexNet takes, 63."""


def backbone_path() -> Path:
    """Where torchvision would keep the backbone's weights."""
    return Path(torch.hub.get_dir()) / "checkpoints" / BACKBONE


def backbone() -> str | None:
    """What tells the backbone that `LPIPS` uses from others: its file's name, with its hash; None: there is no file."""
    return BACKBONE if backbone_path().is_file() else None


def trained_network(path: Path) -> nn.Module:
    """LPIPS v0.1 with AlexNet's trained weights and the calibrated weights that the package `lpips` ships.

    Both files are read as plain tensors: nothing in them can run code.

    Args:
        path: AlexNet's state dict, named ``<name>-<first digits of its SHA-256>.pth``.

    Raises:
        Mistake: The file is not what its name says.
    """
    digits = path.stem.rpartition("-")[2]
    if not digest(path).startswith(digits):
        raise Mistake(f"{path}: damaged or another file (its SHA-256 does not begin with {digits}); fetch it again")
    network = _network(lpips=True)
    layers = network.get_submodule("net")
    try:
        backbone = _read(path)
        layers.load_state_dict({key: backbone[f"features.{key.split('.', 1)[1]}"] for key in layers.state_dict()})
    except Exception:  # what is no file of weights raises nearly anything
        raise Mistake(f"{path}: not the weights of torchvision's AlexNet; fetch them from {SOURCE}{BACKBONE}") from None
    calibration = _read(Path(str(files("lpips").joinpath("weights", "v0.1", "alex.pth"))))
    with torch.no_grad():
        for name, tensor in calibration.items():
            network.get_parameter(name).copy_(tensor)
    return network


def random_network() -> nn.Module:
    """The same layers with random weights, always the same, and no calibration: its weights belong to trained ones.

    The distance is then the sum over five layers of the mean squared difference of normalised features.
    """
    with seeded(0, "lpips"):
        return _network(lpips=False)


def distance(network: nn.Module, images: Tensor, reconstruction: Tensor) -> Tensor:
    """LPIPS of each pair, in float32 whatever the images' type and the arithmetic around it.

    Grey is repeated to three channels; images smaller than `MINIMUM` are enlarged, bilinearly.

    Args:
        network: `trained_network` or `random_network`, on the images' device.
        images: Shape (N, C, S, S) in [-1, 1], C = 1 or 3.
        reconstruction: The same shape.

    Returns:
        At least 0, float32, shape (N,).
    """
    cudnn = torch.backends.cudnn
    exact = cudnn.flags(enabled=cudnn.enabled, deterministic=True, allow_tf32=False)
    with torch.autocast(images.device.type, enabled=False), exact:
        value: Tensor = network(_prepared(images), _prepared(reconstruction))
    return value.flatten()


class LPIPS(Metric):
    """Mean of the images' `distance`, called lpips_alex, or lpips_random where AlexNet's weights are not there.

    Args:
        size: S, side of the images in pixels.
        notify: Told, in one line, what is used instead of missing weights.

    Raises:
        Mistake: The weights' file is damaged.
    """

    def __init__(self, size: int, notify: Callable[[str], None]) -> None:
        self.size = size
        path = backbone_path()
        if path.is_file():
            self.name, self.network = "lpips_alex", trained_network(path)
        else:
            self.name, self.network = "lpips_random", random_network()
            notify(f"lpips: random features, reported as lpips_random; for real ones put {SOURCE}{BACKBONE} at {path}")
        self.hash = _digits(self.network)

    def protocol(self) -> dict[str, Any]:
        """The network and what it is shown."""
        return {
            "network": "alex" if self.name == "lpips_alex" else "alex, random and uncalibrated",
            "weights": self.hash,
            "dtype": "float32",
            "resolution": max(self.size, MINIMUM),
            "resize": "bilinear" if self.size < MINIMUM else None,
        }

    def pairs(self, pairs: Pairs) -> Sums:
        """Of the images' own figures."""
        self.network.to(pairs.real.device)
        return summed(distance(self.network, pairs.real, pairs.reconstruction))

    def result(self, sums: Sums) -> Result:
        """Without unit, at least 0."""
        return Result({f"reconstruction/{self.name}": mean(sums)})


def _network(lpips: bool) -> nn.Module:
    """The package's module with random weights; torchvision is never asked to fetch any."""
    from lpips import LPIPS as Package  # slow to import

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torchvision's, on how lpips names its arguments
        network: nn.Module = Package(net="alex", pnet_rand=True, pretrained=False, lpips=lpips, verbose=False)
    return network.requires_grad_(False)


def _read(path: Path) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return tensors


def _prepared(images: Tensor) -> Tensor:
    colour = images.float().expand(-1, 3, -1, -1)
    if colour.shape[-1] >= MINIMUM:
        return colour
    return F.interpolate(colour, size=(MINIMUM, MINIMUM), mode="bilinear", align_corners=False)


def _digits(network: nn.Module) -> str:
    """First 8 hexadecimal digits of the SHA-256 of all weights."""
    state = sha256()
    for tensor in network.state_dict().values():
        state.update(tensor.contiguous().numpy().tobytes())
    return state.hexdigest()[:8]
