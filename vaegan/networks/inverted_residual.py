"""Trunks of inverted residual blocks without a norm (Huang et al. 2024, *The GAN is dead; long live the GAN!*, R3GAN).

A block begins as the identity, so that its depth needs no norm; resolutions change by bilinear filters outside of the
blocks, which leave no grid of lines.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from .blur import BlurPool, BlurUpsample
from .checkpointing import Stages
from .initialise import ZeroConv2d
from .sizes import build_entrance, count_code_levels, count_levels, get_channels
from .trunk import UpTrunk

EXPANSION = 2
"""Channels inside a block for each channel of its input."""
GROUP_CHANNELS = 8
"""Channels of a group of the grouped convolution."""


class Block(nn.Module):
    """Features + (1x1 convolution to more channels, grouped 3x3 convolution, 1x1 convolution back, which begins at 0).

    Args:
        channels: Channels of input and output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = EXPANSION * channels
        self.residual = nn.Sequential(
            nn.Conv2d(channels, inner, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(inner, inner, 3, padding=1, groups=inner // GROUP_CHANNELS),
            nn.LeakyReLU(0.2),
            ZeroConv2d(inner, channels, 1, bias=False),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return the block's output, of the shape (N, channels, h, w) of the features."""
        total: Tensor = features + self.residual(features)
        return total


class Down(nn.Module):
    """Trunk from an image to features.

    Args:
        image_shape: (C, S, S) of the images.
        width: Channels at full resolution.
        depth: Blocks at each resolution.
        normalise: Without effect: neither generators nor discriminators of this kind have a norm.
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
        self.enter = nn.Conv2d(channels, width, 3, padding=1)
        self.stages = Stages()
        for level in range(count + 1):
            outputs = get_channels(width, level)
            shrink = [BlurPool(get_channels(width, level - 1))] if level else []
            change = _build_change(get_channels(width, max(level - 1, 0)), outputs)
            self.stages.append(nn.Sequential(*shrink, *change, *(Block(outputs) for _ in range(depth))))
        self.channels, self.feature_size = outputs, outputs * (side >> count) ** 2

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the features of images (N, C, S, S) at each resolution, the last of `feature_size` values an image."""
        stages = [self.enter(images)]
        for stage in self.stages:
            stages.append(self.stages.run(stage, stages[-1]))
        return stages[1:]


class Up(UpTrunk):
    """Trunk from a code to an image, `Down` mirrored.

    Args:
        image_shape: (C, S, S) of the images.
        width: Channels at full resolution.
        depth: Blocks at each resolution.
        code_shape: Shape of a code: (d,) of one vector, or (C, h, w) of a grid.
    """

    def __init__(self, image_shape: tuple[int, int, int], width: int, depth: int, code_shape: Sequence[int]) -> None:
        super().__init__()
        channels, side, _ = image_shape
        count = count_code_levels(side, code_shape)
        self.enter = build_entrance(code_shape, get_channels(width, count), side >> count)
        self.stages = Stages()
        for level in reversed(range(count + 1)):
            outputs = get_channels(width, level)
            enlarge = [BlurUpsample(outputs)] if level < count else []
            change = _build_change(get_channels(width, min(level + 1, count)), outputs)
            self.stages.append(nn.Sequential(*change, *enlarge, *(Block(outputs) for _ in range(depth))))
        self.out = nn.Conv2d(width, channels, 3, padding=1)


def _build_change(inputs: int, outputs: int) -> list[nn.Module]:
    """Return the layer that changes the number of channels; none if it stays."""
    return [] if inputs == outputs else [nn.Conv2d(inputs, outputs, 1, bias=False)]
