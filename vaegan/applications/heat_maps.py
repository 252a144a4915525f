"""Pictures of one value per pixel."""

import torch
from torch import Tensor

from vaegan.extras import check_packages

COLOUR_MAP = "magma"
"""Matplotlib's colour map of heat maps: black is 0, and lightness rises evenly."""


def draw_heat_maps(values: Tensor, largest: float | None = None) -> Tensor:
    """Draw values of pixels as colours from black, for 0, to light yellow: (N, H, W) => uint8 (N, 3, H, W).

    Args:
        values: Finite values, at least 0, shape (N, H, W).
        largest: Value of the lightest colour, and of what is above; None: the largest of all maps.

    Raises:
        UserError: Matplotlib is not installed.
    """
    check_packages(["matplotlib"])
    from matplotlib import colormaps

    top = values.max().item() if largest is None else largest
    scaled = (values / top if top > 0 else values * 0).clamp(0, 1).cpu().double().numpy()
    colours = torch.from_numpy(colormaps[COLOUR_MAP](scaled, bytes=True))
    return colours[..., :3].movedim(-1, 1).contiguous()
