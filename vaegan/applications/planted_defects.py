"""Defects that are planted into images, so that it is known where they are."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from vaegan.images import ALPHA_CHANNELS
from vaegan.randomness import make_generator

PATCH_CANDIDATES = 8
"""Places that a pasted patch is drawn from, of which the one that changes the image most is taken; a patch of the
background on the background would be no defect."""


class PlantedDefects(NamedTuple):
    """Images with one defect each."""

    images: Tensor
    """uint8, shape (N, C, S, S)."""
    masks: Tensor
    """True where the defect is, bool, shape (N, S, S)."""
    kinds: list[str]
    """Name of each defect in `DEFECTS`."""


def plant_defects(pixels: Tensor, seed: int, start: int = 0) -> PlantedDefects:
    """Plant a defect into each image, a function of the image, the seed and the image's index alone.

    Args:
        pixels: uint8, shape (N, C, S, S), on the CPU.
        seed: Root of the kinds, places and sizes.
        start: Index of the first image.
    """
    images, masks, kinds = pixels.clone(), list[Tensor](), list[str]()
    for number, image in enumerate(images):
        generator = make_generator(seed, "defect", start + number)
        kind = list(DEFECTS)[_draw(len(DEFECTS), generator)]
        masks.append(DEFECTS[kind](image, generator))
        kinds.append(kind)
    return PlantedDefects(images, torch.stack(masks) if masks else pixels.new_zeros(0, *pixels.shape[2:]).bool(), kinds)


def paste_patch(image: Tensor, generator: torch.Generator) -> Tensor:
    """Paste a patch of the image at another place of it (CutPaste, Li et al. 2021, section 2.2), and return the mask.

    Args:
        image: uint8, shape (C, S, S), which is changed.
        generator: Source of the places and of the size, S/8 to 3S/8.
    """
    side = image.shape[-1]
    height, width = (_draw_between(side / 8, 3 * side / 8, generator) for _ in range(2))
    places = [
        [_draw(side - extent + 1, generator) for extent in (height, width, height, width)]
        for _ in range(PATCH_CANDIDATES)
    ]

    def cut(top: int, left: int) -> Tensor:
        return image[:, top : top + height, left : left + width]

    def measure_change(place: list[int]) -> int:
        return int((cut(*place[:2]).int() - cut(*place[2:]).int()).square().sum())

    source_top, source_left, top, left = max(places, key=measure_change)
    cut(top, left).copy_(cut(source_top, source_left).clone())
    return _mark(image, slice(top, top + height), slice(left, left + width))


def blank_box(image: Tensor, generator: torch.Generator) -> Tensor:
    """Paint a box of S/8 to 3S/8 pixels white, or black where the image is bright, and return the mask.

    Args:
        image: uint8, shape (C, S, S), which is changed.
        generator: Source of the place and of the size.
    """
    side = image.shape[-1]
    height, width = (_draw_between(side / 8, 3 * side / 8, generator) for _ in range(2))
    top, left = (_draw(side - extent + 1, generator) for extent in (height, width))
    mask = _mark(image, slice(top, top + height), slice(left, left + width))
    _paint(image, mask)
    return mask


def scratch(image: Tensor, generator: torch.Generator) -> Tensor:
    """Draw a straight line of S/32 pixels, at least 1, white or black where the image is bright, and return the mask.

    Args:
        image: uint8, shape (C, S, S), which is changed.
        generator: Source of the middle, the direction and the length, S/4 to S/2.
    """
    side = image.shape[-1]
    middle = (0.25 + 0.5 * torch.rand(2, generator=generator)) * (side - 1)
    angle = torch.rand((), generator=generator) * torch.pi
    half = side * (1 + torch.rand((), generator=generator)) / 8
    direction = torch.stack([angle.sin(), angle.cos()])
    grid = torch.stack(torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij"), -1) - middle
    along = grid @ direction
    across = grid @ torch.stack([direction[1], -direction[0]])
    mask = (along.abs() <= half) & (across.abs() <= max(1.0, side / 32) / 2)
    _paint(image, mask)
    return mask


DEFECTS: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "patch": paste_patch, "box": blank_box, "scratch": scratch
}  # fmt: skip
"""Kinds of defects, equally frequent: each changes an image (C, S, S) and returns where, bool (S, S)."""


def _draw(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (), generator=generator))


def _draw_between(least: float, most: float, generator: torch.Generator) -> int:
    return max(1, round(least + (most - least) * float(torch.rand((), generator=generator))))


def _mark(image: Tensor, rows: slice, columns: slice) -> Tensor:
    mask = torch.zeros(image.shape[-2:], dtype=torch.bool)
    mask[rows, columns] = True
    return mask


def _paint(image: Tensor, mask: Tensor) -> None:
    """Paint a part of an image in one colour, opaque, which differs from what was there."""
    colours = image[:-1] if len(image) in ALPHA_CHANNELS else image
    value = 0 if colours[:, mask].float().mean() > 127.5 else 255
    colours[:, mask] = value
    if len(image) in ALPHA_CHANNELS:
        image[-1, mask] = 255
