"""Plain convolutional trunks: ``depth`` convolutions at each resolution, the first of which changes it."""

from collections.abc import Sequence

from torch import Tensor, nn

from .checkpointing import Stages
from .group_norm import GroupNorm
from .sizes import build_entrance, count_code_levels, count_groups, count_levels, get_channels
from .trunk import UpTrunk


class Down(nn.Module):
    """Trunk from an image to features.

    Args:
        image_shape: (C, S, S) of the images.
        width: Channels at full resolution.
        depth: Convolutions at each resolution.
        normalise: GroupNorm and SiLU (generators), or leaky ReLU alone (discriminators).
        levels: Number of halvings; None: that of `count_levels`.

    Attributes:
        channels: Channels of the last stage.
        feature_size: Number of features of an image in the last stage.
    """

    def __init__(
        self, image_shape: tuple[int, int, int], width: int, depth: int, normalise: bool, levels: int | None = None
    ) -> None:
        super().__init__()
        channels, side, _ = image_shape
        count = count_levels(side)[0] if levels is None else levels
        self.stages = Stages()
        for level in range(count + 1):
            outputs = get_channels(width, level)
            first = self.build_change(channels, outputs) if level else _build_convolution(channels, outputs)
            rest = [_build_convolution(outputs, outputs) for _ in range(depth - 1)]
            self.stages.append(nn.Sequential(*(_add_activation(layer, outputs, normalise) for layer in (first, *rest))))
            channels = outputs
        self.channels, self.feature_size = channels, channels * (side >> count) ** 2

    @staticmethod
    def build_change(inputs: int, outputs: int) -> nn.Module:
        """Build the layer that halves the resolution."""
        return nn.Conv2d(inputs, outputs, 4, stride=2, padding=1)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the features of images (N, C, S, S) at each resolution, the last of `feature_size` values an image."""
        stages = [images]
        for stage in self.stages:
            stages.append(self.stages.run(stage, stages[-1]))
        return stages[1:]


class Up(UpTrunk):
    """Trunk from a code to an image, `Down` mirrored.

    The kernel of its transposed convolutions is a multiple of their stride, so that every pixel is reached equally
    often (Odena et al. 2016).

    Args:
        image_shape: (C, S, S) of the images.
        width: Channels at full resolution.
        depth: Convolutions at each resolution.
        code_shape: Shape of a code: (d,) of one vector, or (C, h, w) of a grid.
    """

    def __init__(self, image_shape: tuple[int, int, int], width: int, depth: int, code_shape: Sequence[int]) -> None:
        super().__init__()
        channels, side, _ = image_shape
        count = count_code_levels(side, code_shape)
        self.enter = build_entrance(code_shape, get_channels(width, count), side >> count)
        stages: list[nn.Module] = []
        for level in reversed(range(count + 1)):
            outputs = get_channels(width, level)
            inputs = get_channels(width, min(level + 1, count))
            first = self.build_change(inputs, outputs) if level < count else _build_convolution(inputs, outputs)
            rest = [_build_convolution(outputs, outputs) for _ in range(depth - 1)]
            stages += [_add_activation(layer, outputs, normalise=True) for layer in (first, *rest)]
        self.stages = Stages(*stages)
        self.out = nn.Conv2d(width, channels, 3, padding=1)

    @staticmethod
    def build_change(inputs: int, outputs: int) -> nn.Module:
        """Build the layer that doubles the resolution."""
        return nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)


def _build_convolution(inputs: int, outputs: int) -> nn.Module:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def _add_activation(layer: nn.Module, channels: int, normalise: bool) -> nn.Module:
    if normalise:
        return nn.Sequential(layer, GroupNorm(count_groups(channels), channels), nn.SiLU())
    return nn.Sequential(layer, nn.LeakyReLU(0.2))
