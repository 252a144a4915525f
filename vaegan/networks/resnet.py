"""Residual trunks (He et al. 2016, pre-activation): ``depth`` blocks at each resolution."""

import math

from torch import Tensor, nn

from .sizes import count_groups, count_levels, get_channels


class Block(nn.Module):
    """(shortcut + two convolutions) / sqrt 2, which keeps the variance without a norm (Karras et al. 2020)."""

    def __init__(self, inputs: int, outputs: int, normalise: bool) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            *_activation(inputs, normalise),
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=not normalise),
            *_activation(outputs, normalise),
            nn.Conv2d(outputs, outputs, 3, padding=1),
        )
        self.shortcut = nn.Conv2d(inputs, outputs, 1, bias=False) if inputs != outputs else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, inputs, s, s) => (N, outputs, s, s)."""
        total: Tensor = self.shortcut(features) + self.residual(features)
        return total / math.sqrt(2)


class Down(nn.Module):
    """Image to features; the arguments of `conv.Down`."""

    def __init__(self, image_shape: tuple[int, int, int], width: int, depth: int, normalise: bool) -> None:
        super().__init__()
        channels, side, _ = image_shape
        count, base = count_levels(side)
        self.enter = nn.Conv2d(channels, width, 3, padding=1)
        self.stages = nn.ModuleList()
        for level in range(count + 1):
            wide = get_channels(width, level)
            shrink = [nn.AvgPool2d(2)] if level else []
            enter = Block(get_channels(width, max(level - 1, 0)), wide, normalise)
            self.stages.append(nn.Sequential(*shrink, enter, *(Block(wide, wide, normalise) for _ in range(depth - 1))))
        self.leave = nn.Sequential(*_activation(wide, normalise))
        self.features = wide * base * base

    def forward(self, images: Tensor) -> list[Tensor]:
        """Images (N, C, S, S) => the features of each resolution, the last with `features` values an image."""
        stages = [self.enter(images)]
        for stage in self.stages:
            stages.append(stage(stages[-1]))
        return [*stages[1:-1], self.leave(stages[-1])]


class Up(nn.Module):
    """Code to image, `Down` mirrored."""

    def __init__(self, image_shape: tuple[int, int, int], width: int, depth: int, latent_size: int) -> None:
        super().__init__()
        channels, side, _ = image_shape
        count, base = count_levels(side)
        deep = get_channels(width, count)
        self.enter = nn.Sequential(nn.Linear(latent_size, deep * base * base), nn.Unflatten(1, (deep, base, base)))
        stages: list[nn.Module] = []
        for level in reversed(range(count + 1)):
            wide = get_channels(width, level)
            if level < count:
                stages.append(nn.Upsample(scale_factor=2))
            stages.append(Block(get_channels(width, min(level + 1, count)), wide, True))
            stages += [Block(wide, wide, True) for _ in range(depth - 1)]
        self.stages = nn.Sequential(*stages)
        self.out = nn.Sequential(*_activation(width, True), nn.Conv2d(width, channels, 3, padding=1))

    def forward(self, codes: Tensor) -> Tensor:
        """Codes (N, d) => unbounded pixels (N, C, S, S)."""
        image: Tensor = self.out(self.stages(self.enter(codes)))
        return image


def _activation(channels: int, normalise: bool) -> list[nn.Module]:
    return [nn.GroupNorm(count_groups(channels), channels), nn.SiLU()] if normalise else [nn.LeakyReLU(0.2)]
