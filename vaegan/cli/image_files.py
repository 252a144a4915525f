"""What the commands that make pictures do beside asking the model: read, go through it in batches, write."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor

from vaegan.data import UnreadableImageError, find_images, read_image
from vaegan.errors import Failure, UserError
from vaegan.images import to_float, to_uint8
from vaegan.models import Autoencoder
from vaegan.progress import ProgressCallback
from vaegan.text import get_reason

from .console import Console

BATCH_IMAGES = 64
"""Images made at a time."""


def read_images(paths: Sequence[Path], model: Autoencoder, most: int) -> Tensor:
    """Image files, and those in folders, fitted to a model: shape (N, C, S, S) in [-1, 1], of its type.

    Raises:
        UserError: A file is no image, a folder holds none, or there are more than ``most``.
    """
    found = [[path / name for name in find_images(path)] if path.is_dir() else [path] for path in paths]
    files = [file for each in found for file in each]
    if len(files) > most:
        raise UserError(f"{len(files)} images: one picture holds at most {most}; name fewer")
    channels, side, _ = model.image_shape
    try:
        pixels = torch.from_numpy(np.stack([read_image(file, side, channels) for file in files]))
    except UnreadableImageError as error:
        raise UserError(f"{error.file}: {error.reason}") from None
    return to_float(pixels, next(model.parameters()).dtype)


def run_in_batches(
    what: str, given: Tensor, function: Callable[[Tensor, ProgressCallback], Tensor], console: Console
) -> Tensor:
    """The images that a function makes of codes or images, some at a time, as uint8.

    Args:
        what: What is being done, for the progress bar.
        given: Shape (N, ...).
        function: Makes images in [-1, 1], one of each, and may tell how far with them it is.
        console: Where progress goes.
    """
    made: list[Tensor] = []
    with console.progress(what, "images") as progress:
        for chunk in given.split(BATCH_IMAGES):
            before, count = len(made) * BATCH_IMAGES, len(chunk)
            inside = partial(_within, progress, before, count, len(given))
            made.append(to_uint8(function(chunk, inside)))
            progress(before + count, len(given))
    return torch.cat(made)


def _within(progress: ProgressCallback, before: int, count: int, whole: int, done: int, total: int) -> None:
    """``done`` of the ``total`` parts in which ``count`` images come about at once, behind ``before`` others."""
    progress(before + count * done // total, whole)


def write_image(picture: Image, file: Path, console: Console) -> None:
    """Save a picture, in a folder that is made where it does not exist, and say so.

    Raises:
        Failure: It cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        picture.save(file)
    except (OSError, ValueError) as error:
        raise Failure(f"--output {file}: {get_reason(error)}") from None
    console.say(f"{file}: {picture.width} x {picture.height} pixels")
