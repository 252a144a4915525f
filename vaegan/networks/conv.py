"""Plain convolutional trunks: ``depth`` convolutions at each resolution, the first of which changes it."""

from torch import Tensor, nn

from .shapes import channels_at, groups, levels


class Down(nn.Module):
    """Image to features.

    Args:
        image_shape: (C, S, S) of the images.
        width: Channels at full resolution.
        depth: Convolutions at each resolution.
        normalise: GroupNorm and SiLU (generators), or leaky ReLU alone (discriminators).
    """

    def __init__(self, image_shape: tuple[int, int, int], width: int, depth: int, normalise: bool) -> None:
        super().__init__()
        channels, side, _ = image_shape
        count, base = levels(side)
        self.stages = nn.ModuleList()
        for level in range(count + 1):
            wide = channels_at(width, level)
            enter = _convolution(channels, wide, normalise, halve=level > 0)
            rest = [_convolution(wide, wide, normalise) for _ in range(depth - 1)]
            self.stages.append(nn.Sequential(enter, *rest))
            channels = wide
        self.features = channels * base * base

    def forward(self, images: Tensor) -> list[Tensor]:
        """Images (N, C, S, S) => the features of each resolution, the last with `features` values an image."""
        stages = [images]
        for stage in self.stages:
            stages.append(stage(stages[-1]))
        return stages[1:]


class Up(nn.Module):
    """Code to image, `Down` mirrored; nearest-neighbour enlarging leaves no checkerboard (Odena et al. 2016)."""

    def __init__(self, image_shape: tuple[int, int, int], width: int, depth: int, latent_size: int) -> None:
        super().__init__()
        channels, side, _ = image_shape
        count, base = levels(side)
        deep = channels_at(width, count)
        self.enter = nn.Sequential(nn.Linear(latent_size, deep * base * base), nn.Unflatten(1, (deep, base, base)))
        stages: list[nn.Module] = []
        for level in reversed(range(count + 1)):
            wide = channels_at(width, level)
            if level < count:
                stages.append(nn.Upsample(scale_factor=2))
            stages.append(_convolution(channels_at(width, min(level + 1, count)), wide, True))
            stages += [_convolution(wide, wide, True) for _ in range(depth - 1)]
        self.stages = nn.Sequential(*stages)
        self.out = nn.Conv2d(width, channels, 3, padding=1)

    def forward(self, codes: Tensor) -> Tensor:
        """Codes (N, d) => unbounded pixels (N, C, S, S)."""
        image: Tensor = self.out(self.stages(self.enter(codes)))
        return image


def _convolution(inputs: int, outputs: int, normalise: bool, halve: bool = False) -> nn.Module:
    kernel = {"kernel_size": 4, "stride": 2, "padding": 1} if halve else {"kernel_size": 3, "padding": 1}
    if normalise:
        normal = nn.GroupNorm(groups(outputs), outputs)
        return nn.Sequential(nn.Conv2d(inputs, outputs, bias=False, **kernel), normal, nn.SiLU())
    return nn.Sequential(nn.Conv2d(inputs, outputs, **kernel), nn.LeakyReLU(0.2))
