"""Trunk of a discriminator that scores each patch of an image (Isola et al. 2017)."""

from torch import Tensor, nn

from .blur import BlurPool
from .group_norm import GroupNorm
from .sizes import count_groups, get_channels


class Down(nn.Module):
    """Trunk from an image to the features of its patches.

    Args:
        image_shape: (C, S, S) of the images, whose sides may be others.
        width: Channels at full resolution.
        depth: Number of halvings.
        normalise: Whether GroupNorm comes before each leaky ReLU but the first.

    Attributes:
        channels: Channels of the last stage.
    """

    def __init__(self, image_shape: tuple[int, int, int], width: int, depth: int, normalise: bool) -> None:
        super().__init__()
        self.stages = nn.ModuleList()
        self.channels = image_shape[0]
        for level in range(depth + 1):
            outputs = get_channels(width, level)
            layers: list[nn.Module] = [nn.Conv2d(self.channels, outputs, 3, padding=1)]
            layers += [GroupNorm(count_groups(outputs), outputs)] if normalise and level else []
            layers += [nn.LeakyReLU(0.2)]
            layers += [BlurPool(outputs)] if level < depth else []
            self.stages.append(nn.Sequential(*layers))
            self.channels = outputs

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the features of images (N, C, H, W) of each stage, the last of shape (N, C', h, w)."""
        stages = [images]
        for stage in self.stages:
            stages.append(stage(stages[-1]))
        return stages[1:]
