"""Resolutions and channels of the convolutional trunks."""


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
