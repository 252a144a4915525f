"""Resolutions and channels of the convolutional trunks, and the layer by which a code enters them."""

from collections.abc import Sequence

from torch import nn


def count_levels(side: int) -> tuple[int, int]:
    """Return how often a side is halved until it is at most 4 or odd, and the side that is left.

    32 => (3, 4), 24 => (3, 3).
    """
    count = 0
    while side > 4 and side % 2 == 0:
        side //= 2
        count += 1
    return count, side


def get_channels(width: int, level: int) -> int:
    """Return the channels after ``level`` halvings: doubled at each, at most 8 times the width."""
    return int(width * min(2**level, 8))


def count_groups(channels: int) -> int:
    """Return the groups of a GroupNorm: of 8 channels each, so that no bias before it is without effect."""
    return channels // 8


def count_code_levels(side: int, code_shape: Sequence[int]) -> int:
    """Return how often a side is halved down to a code: to the side of a grid (C, h, w), or of `count_levels`."""
    return count_levels(side)[0] if len(code_shape) == 1 else (side // code_shape[1]).bit_length() - 1


def build_entrance(code_shape: Sequence[int], channels: int, side: int) -> nn.Module:
    """Build the layer from a code, one vector (d,) or a grid (C, h, w), to a decoder's first features.

    Args:
        code_shape: Shape of the code; a grid may have any sides.
        channels: Channels of the features.
        side: Side of the features of one vector.
    """
    if len(code_shape) > 1:
        return nn.Conv2d(code_shape[0], channels, 3, padding=1)
    return nn.Sequential(nn.Linear(code_shape[0], channels * side * side), nn.Unflatten(1, (channels, side, side)))
