"""LPIPS of reconstructions."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from vaegan.perceptual import MINIMUM, Backbone, distance, random_network, trained_network
from vaegan.weights import FILES, fingerprint

from .metric import Pairs, PerImage


class LPIPS(PerImage):
    """Mean of the images' `distance`: lpips_alex, lpips_vgg, lpips_squeeze; without unit, at least 0.

    Without AlexNet's weights random ones stand in for them, and the figure is called lpips_random. For the other
    networks there is no stand-in.

    Args:
        backbone: The network.
        size: S, side of the images in pixels.
        notify: Told, in one line, what is used instead of missing weights.

    Raises:
        Mistake: The file of weights is damaged or missing.
    """

    def __init__(self, backbone: Backbone, size: int, notify: Callable[[str], None]) -> None:
        self.size, self.backbone, file = size, backbone, FILES[backbone]
        self.trained = file.there or backbone != "alex"
        self.network = trained_network(backbone) if self.trained else random_network()
        self.key = f"reconstruction/lpips_{backbone if self.trained else 'random'}"
        self.hash = fingerprint(self.network)
        if not self.trained:
            notify(
                f"lpips: random features, reported as lpips_random; for real ones put {file.url} at {file.path}, as"
                " `vaegan weights --fetch` does"
            )

    def protocol(self) -> dict[str, Any]:
        """The network and what it is shown."""
        return {
            "network": self.backbone if self.trained else f"{self.backbone}, random and uncalibrated",
            "weights": self.hash,
            "dtype": "float32",
            "resolution": max(self.size, MINIMUM),
            "resize": "bilinear" if self.size < MINIMUM else None,
        }

    def measure(self, pairs: Pairs) -> Tensor:
        """`distance`."""
        self.network.to(pairs.real.device)
        return distance(self.network, pairs.real, pairs.reconstruction)
