"""Grids of images: fixed real images with their reconstructions, and samples of fixed codes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from vaegan.data import Data, Images
from vaegan.images import draw_image_grid, draw_pairs, to_float
from vaegan.io import replace_file
from vaegan.models import Model

GRID_IMAGES = 32
"""Number of images in a grid."""


def select_fixed_images(data: Data) -> tuple[Images, Tensor]:
    """Return the split that every grid of a run shows images of, and their indices in it, int64, shape (N,)."""
    images = data.validation if len(data.validation) else data.train
    return images, images.select_evenly(GRID_IMAGES)


@torch.no_grad()
def draw_grids(model: Any, real: Tensor, labels: Tensor | None, seed: int) -> dict[str, Image.Image]:
    """Draw the grids that a model names, and return them by name.

    They are `reconstruction`, real images above their reconstructions, and `sample`, images from the prior; those of a
    conditional model have its classes in turn.

    Args:
        model: The averaged model.
        real: Real images, uint8, shape (N, C, S, S).
        labels: Their classes, int64, shape (N,); None unless the model is conditional.
        seed: Seed of the samples' codes.
    """
    grids = {}
    if "reconstruction" in model.grid_names:
        parameter = next(model.parameters())
        real = real.to(parameter.device)
        grids["reconstruction"] = draw_pairs(real, model.reconstruct(to_float(real, parameter.dtype), labels))
    if "sample" in model.grid_names:
        grids["sample"] = draw_image_grid(model.sample(GRID_IMAGES, seed), columns=8)
    return grids


def write_grids(grids: Mapping[str, Image.Image], folder: Path, step: int) -> None:
    """Write the grids of a step into a folder; the file of the last one shows that all of them are written."""
    folder.mkdir(exist_ok=True)
    for name, grid in grids.items():
        with replace_file(_get_file(folder, step, name)) as partial:
            grid.save(partial, format="png")


def are_written(folder: Path, step: int, model: Model) -> bool:
    """Return whether the grids of a step are in a folder."""
    return all(_get_file(folder, step, name).exists() for name in model.grid_names[-1:])


def _get_file(folder: Path, step: int, name: str) -> Path:
    return folder / f"step_{step:08d}_{name}.png"
