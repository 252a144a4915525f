"""LPIPS of reconstructions, a distance in the features of a network."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from vaegan.losses.perceptual import (
    MIN_SIDE_PIXELS,
    Backbone,
    build_random_lpips_network,
    load_lpips_network,
    lpips_distance,
)
from vaegan.pretrained import WEIGHT_FILES, hash_weights

from .metric import ImagePairs, PerImage


class LPIPS(PerImage):
    """Mean of the images' `lpips_distance`: lpips_alex, lpips_vgg, lpips_squeeze; without unit, at least 0.

    Without AlexNet's weights random ones stand in for them, and the metric is called lpips_random. For the other
    networks there is no stand-in.

    Args:
        backbone: Network of the features.
        size: S, side of the images in pixels.
        notify: Called with one line on what is used instead of missing weights.

    Raises:
        UserError: The file of weights is damaged or missing.
    """

    def __init__(self, backbone: Backbone, size: int, notify: Callable[[str], None]) -> None:
        self.size, self.backbone, file = size, backbone, WEIGHT_FILES[backbone]
        self.trained = file.exists or backbone != "alex"
        self.network = load_lpips_network(backbone) if self.trained else build_random_lpips_network()
        self.key = f"reconstruction/lpips_{backbone if self.trained else 'random'}"
        self.hash = hash_weights(self.network)
        if not self.trained:
            notify(
                f"lpips: random features, reported as lpips_random; for real ones put {file.url} at {file.path}, as"
                " `vaegan weights --fetch` does"
            )

    def get_protocol(self) -> dict[str, Any]:
        """Return the network and how images are given to it."""
        return {
            "network": self.backbone if self.trained else f"{self.backbone}, random and uncalibrated",
            "weights": self.hash,
            "dtype": "float32",
            "resolution": max(self.size, MIN_SIDE_PIXELS),
            "resize": "bilinear" if self.size < MIN_SIDE_PIXELS else None,
        }

    def measure(self, pairs: ImagePairs) -> Tensor:
        """Compute `lpips_distance` of each pair, shape (N,)."""
        self.network.to(pairs.real.device)
        return lpips_distance(self.network, pairs.real, pairs.reconstruction)
