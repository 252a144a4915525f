"""Changes of the resolution by the binomial filter (1, 2, 1) x (1, 2, 1) / 16, which do not alias (Zhang 2019)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Blur(nn.Module):
    """Filter each channel by (1, 2, 1) x (1, 2, 1) / 16; the border is repeated outwards.

    Args:
        channels: Channels of the features.
        stride: Step of the filter.
    """

    filter: Tensor
    """Weights of each channel, shape (C, 1, 3, 3)."""

    def __init__(self, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        row = torch.tensor([1.0, 2.0, 1.0]) / 4
        self.register_buffer("filter", torch.outer(row, row).repeat(channels, 1, 1, 1), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Return features (N, C, ceil(h / stride), ceil(w / stride)) of features (N, C, h, w)."""
        return F.conv2d(
            repeat_border(features), self.filter.to(features.dtype), stride=self.stride, groups=len(self.filter)
        )


class BlurPool(Blur):
    """Halve the resolution behind the filter (Zhang 2019, section 3.2).

    Args:
        channels: Channels of the features.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, stride=2)


class BlurUpsample(Blur):
    """Double the resolution by bilinear interpolation: each value four times, before the filter.

    Its gradient is a sum in a fixed order, unlike the gradient of torch's bilinear interpolation on a GPU.

    Args:
        channels: Channels of the features.
    """

    def forward(self, features: Tensor) -> Tensor:
        """Return features (N, C, 2 h, 2 w) of features (N, C, h, w)."""
        return super().forward(F.interpolate(features, scale_factor=2))


def repeat_border(features: Tensor) -> Tensor:
    """Return features (N, C, h + 2, w + 2) of features (N, C, h, w), whose border is repeated outwards.

    On a GPU torch's padding, which is the faster one on a CPU, adds up its gradient in no fixed order.
    """
    if features.device.type == "cpu":
        return F.pad(features, (1, 1, 1, 1), mode="replicate")
    return join_border(features)


def join_border(features: Tensor) -> Tensor:
    """Return what `repeat_border` does, by operations whose gradients are sums in a fixed order on every device."""
    wide = torch.cat([features[..., :1], features, features[..., -1:]], -1)
    return torch.cat([wide[..., :1, :], wide, wide[..., -1:, :]], -2)
