"""The pictures of a run: fixed images with what the model makes of them, and samples of fixed codes."""

from collections.abc import Mapping
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from vaegan.images import beside, grid, to_float
from vaegan.models import Autoencoder

IMAGES = 32
"""Of a picture."""


@torch.no_grad()
def draw(model: Autoencoder, real: Tensor, seed: int) -> dict[str, Image.Image]:
    """The pictures of a model by their names.

    Args:
        model: The averaged one.
        real: Real images, uint8 of shape (N, C, S, S).
        seed: Root of the samples' codes.
    """
    some = next(model.parameters())
    real = real.to(some.device)
    fake = model.reconstruct(to_float(real, some.dtype))
    pictures = {"reconstruction": beside(real, fake)}
    if model.has_prior:
        pictures["sample"] = grid(model.sample(IMAGES, seed), columns=8)
    return pictures


def write(pictures: Mapping[str, Image.Image], folder: Path, step: int) -> None:
    """Put the pictures of a step into a folder, the last one when the others are whole."""
    folder.mkdir(exist_ok=True)
    for name, picture in pictures.items():
        file = _file(folder, step, name)
        beside_it = file.with_suffix(".partial")
        beside_it.unlink(missing_ok=True)  # a link would be followed
        picture.save(beside_it, format="png")
        beside_it.replace(file)


def written(folder: Path, step: int, model: Autoencoder) -> bool:
    """Whether the pictures of a step are there."""
    return _file(folder, step, "sample" if model.has_prior else "reconstruction").exists()


def _file(folder: Path, step: int, name: str) -> Path:
    return folder / f"step_{step:08d}_{name}.png"
