"""Fully connected trunks."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn


class Down(nn.Module):
    """Trunk from an image to features.

    Args:
        image_shape: (C, S, S) of the images.
        width: Units of each hidden layer.
        depth: Hidden layers.
        normalise: LayerNorm before each activation (generators) or none (discriminators).

    Attributes:
        feature_size: Number of features of an image in the last stage.
    """

    def __init__(self, image_shape: tuple[int, int, int], width: int, depth: int, normalise: bool) -> None:
        super().__init__()
        channels, side, _ = image_shape
        sizes = [channels * side * side] + [width] * depth
        self.stages = nn.ModuleList(_build_layer(*pair, normalise) for pair in pairwise(sizes))
        self.feature_size = width

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the features of images (N, C, S, S) of each hidden layer, the last of shape (N, `feature_size`)."""
        stages = [images.flatten(1)]
        for stage in self.stages:
            stages.append(stage(stages[-1]))
        return stages[1:]


class Up(nn.Module):
    """Trunk from a code to an image.

    Args:
        image_shape: (C, S, S) of the images.
        width: Units of each hidden layer.
        depth: Hidden layers.
        code_shape: Shape (d,) of a code.
    """

    def __init__(self, image_shape: tuple[int, int, int], width: int, depth: int, code_shape: Sequence[int]) -> None:
        super().__init__()
        channels, side, _ = image_shape
        sizes = [*code_shape] + [width] * depth
        self.layers = nn.Sequential(*(_build_layer(*pair, True) for pair in pairwise(sizes)))
        self.out = nn.Sequential(nn.Linear(width, channels * side * side), nn.Unflatten(1, image_shape))

    def forward(self, codes: Tensor) -> Tensor:
        """Return the unbounded pixels of codes (N, d), shape (N, C, S, S)."""
        image: Tensor = self.out(self.layers(codes))
        return image

    def get_last_layer(self) -> Tensor:
        """Return the weight of the last layer, which makes the pixels."""
        weight: Tensor = self.out[0].weight  # type: ignore[assignment] # of a layer
        return weight


def _build_layer(inputs: int, outputs: int, normalise: bool) -> nn.Module:
    if normalise:
        return nn.Sequential(nn.Linear(inputs, outputs), nn.LayerNorm(outputs), nn.SiLU())
    return nn.Sequential(nn.Linear(inputs, outputs), nn.LeakyReLU(0.2))
