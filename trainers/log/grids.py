"""The pictures of a run: fixed images with what the model makes of them, and samples of fixed codes."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import torch
from PIL import Image
from torch import Tensor

from vaegan.config.schema import TrainConfig
from vaegan.data import Data, Images
from vaegan.images import draw_image_grid, draw_pairs, to_float
from vaegan.models import Autoencoder, Model

GRID_IMAGES = 32
"""Of a picture."""


def draw_reconstructions(model: Autoencoder, real: Tensor, labels: Tensor | None, seed: int) -> Image.Image:
    """Real images above their reconstructions."""
    some = next(model.parameters())
    real = real.to(some.device)
    return draw_pairs(real, model.reconstruct(to_float(real, some.dtype), labels))


def draw_samples(model: Autoencoder, real: Tensor, labels: Tensor | None, seed: int) -> Image.Image:
    """Images from the prior; of a conditional model its classes in turn."""
    return draw_image_grid(model.sample(GRID_IMAGES, seed), columns=8)


Draw: TypeAlias = Callable[[Any, Tensor, Tensor | None, int], Image.Image]
GRIDS: Mapping[str, Draw] = {"reconstruction": draw_reconstructions, "sample": draw_samples}
"""How each of the pictures is drawn that a `Model` names."""


def is_due(step: int, config: TrainConfig, model: Model) -> bool:
    """Whether a model has pictures, and they are to be drawn after a step."""
    every = config.sample_every
    return bool(model.pictures) and (step == config.steps or (every is not None and step % every == 0))


def select_fixed_images(data: Data) -> tuple[Images, Tensor]:
    """The split whose images every picture of a run shows, and their numbers in it, int64."""
    images = data.validation if len(data.validation) else data.train
    return images, images.select_evenly(GRID_IMAGES)


@torch.no_grad()
def draw_grids(model: Model, real: Tensor, labels: Tensor | None, seed: int) -> dict[str, Image.Image]:
    """The pictures of a model by their names.

    Args:
        model: The averaged one.
        real: Real images, uint8 of shape (N, C, S, S).
        labels: Their classes, int64, shape (N,), where the model is conditional.
        seed: Root of the samples' codes.
    """
    return {name: GRIDS[name](model, real, labels, seed) for name in model.pictures}


def write_grids(pictures: Mapping[str, Image.Image], folder: Path, step: int) -> None:
    """Put the pictures of a step into a folder, the last one when the others are whole."""
    folder.mkdir(exist_ok=True)
    for name, picture in pictures.items():
        file = _file(folder, step, name)
        beside_it = file.with_suffix(".partial")
        beside_it.unlink(missing_ok=True)  # a link would be followed
        picture.save(beside_it, format="png")
        beside_it.replace(file)


def are_written(folder: Path, step: int, model: Model) -> bool:
    """Whether the pictures of a step are there."""
    return all(_file(folder, step, name).exists() for name in model.pictures[-1:])


def _file(folder: Path, step: int, name: str) -> Path:
    return folder / f"step_{step:08d}_{name}.png"
