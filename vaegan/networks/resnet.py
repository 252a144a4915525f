"""Residual trunks (He et al. 2016, pre-activation): ``depth`` blocks at each resolution."""

import math
from collections.abc import Sequence

from torch import Tensor, nn

from .checkpointing import Stages
from .group_norm import GroupNorm
from .sizes import build_entrance, count_code_levels, count_groups, count_levels, get_channels
from .trunk import UpTrunk


class Block(nn.Module):
    """(shortcut + two convolutions) / sqrt 2, which keeps the variance without a norm (Karras et al. 2020).

    Args:
        inputs: Channels of the input.
        outputs: Channels of the output.
        normalise: GroupNorm and SiLU before each convolution (generators), or leaky ReLU alone (discriminators).
    """

    def __init__(self, inputs: int, outputs: int, normalise: bool) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            *_build_activation(inputs, normalise),
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=not normalise),
            *_build_activation(outputs, normalise),
            nn.Conv2d(outputs, outputs, 3, padding=1),
        )
        self.shortcut = nn.Conv2d(inputs, outputs, 1, bias=False) if inputs != outputs else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        """Return the block's output (N, outputs, s, s) for features (N, inputs, s, s)."""
        total: Tensor = self.shortcut(features) + self.residual(features)
        return total / math.sqrt(2)


class Down(nn.Module):
    """Trunk from an image to features.

    Args:
        image_shape: (C, S, S) of the images.
        width: Channels at full resolution.
        depth: Blocks at each resolution.
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
        self.enter = nn.Conv2d(channels, width, 3, padding=1)
        self.stages = Stages()
        for level in range(count + 1):
            outputs = get_channels(width, level)
            shrink = [nn.AvgPool2d(2)] if level else []
            first = Block(get_channels(width, max(level - 1, 0)), outputs, normalise)
            rest = [Block(outputs, outputs, normalise) for _ in range(depth - 1)]
            self.stages.append(nn.Sequential(*shrink, first, *rest))
        self.leave = nn.Sequential(*_build_activation(outputs, normalise))
        self.channels, self.feature_size = outputs, outputs * (side >> count) ** 2

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the features of images (N, C, S, S) at each resolution, the last of `feature_size` values an image."""
        stages = [self.enter(images)]
        for stage in self.stages:
            stages.append(self.stages.run(stage, stages[-1]))
        return [*stages[1:-1], self.leave(stages[-1])]


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
        stages: list[nn.Module] = []
        for level in reversed(range(count + 1)):
            outputs = get_channels(width, level)
            if level < count:
                stages.append(nn.Upsample(scale_factor=2))
            stages.append(Block(get_channels(width, min(level + 1, count)), outputs, True))
            stages += [Block(outputs, outputs, True) for _ in range(depth - 1)]
        self.stages = Stages(*stages)
        self.out = nn.Sequential(*_build_activation(width, True), nn.Conv2d(width, channels, 3, padding=1))


def _build_activation(channels: int, normalise: bool) -> list[nn.Module]:
    return [GroupNorm(count_groups(channels), channels), nn.SiLU()] if normalise else [nn.LeakyReLU(0.2)]
