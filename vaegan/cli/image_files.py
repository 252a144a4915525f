"""Image files that a command reads and writes, and the batches in which a model computes images."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor

from vaegan.config.schema import DataVersion
from vaegan.data import UnreadableImageError, find_images, read_image, silence_pillow
from vaegan.errors import Failure, UserError
from vaegan.images import to_float, to_uint8
from vaegan.models import Autoencoder
from vaegan.progress import ProgressCallback, nest_progress
from vaegan.text import get_reason

from .console import Console

BATCH_IMAGES = 64
"""Images that a model computes at a time."""


def read_images(
    paths: Sequence[Path], model: Autoencoder, max_images: int, version: DataVersion, console: Console
) -> Tensor:
    """Read image files, and those in folders, as a model takes them: in [-1, 1], shape (N, C, S, S), of its dtype.

    Args:
        paths: Files and folders.
        model: The model.
        max_images: Most images that there may be.
        version: The `data.version` of its run.
        console: Takes a note of each very large picture.

    Raises:
        UserError: A file is no image, a folder holds none, or there are more than ``max_images``.
    """
    files: list[Path] = []
    for path in paths:
        files += [path / name for name in find_images(path, version)] if path.is_dir() else [path]
    if len(files) > max_images:
        raise UserError(f"{len(files)} images: one picture holds at most {max_images}; name fewer")
    channels, side, _ = model.image_shape
    try:
        with silence_pillow():
            pixels = [read_image(file, side, channels, version, console.note) for file in files]
    except UnreadableImageError as error:
        raise UserError(f"{error.file}: {error.reason}") from None
    return to_float(torch.from_numpy(np.stack(pixels)), next(model.parameters()).dtype)


def run_in_batches(
    title: str, inputs: Tensor, function: Callable[[Tensor, ProgressCallback], Tensor], console: Console
) -> Tensor:
    """Apply a function that makes images to batches of `BATCH_IMAGES` inputs, and return the images as uint8.

    Args:
        title: Name of the work, for the progress bar.
        inputs: Codes, indices or images, shape (N, ...).
        function: Makes images in [-1, 1], one of each input of a batch, and may report the progress inside the batch.
        console: Shows the progress.

    Returns:
        The images, shape (N, C, S, S).
    """
    batches: list[Tensor] = []
    with console.progress(title, "images") as progress:
        for batch in inputs.split(BATCH_IMAGES):
            report = nest_progress(progress, len(batches) * BATCH_IMAGES, len(batch), len(inputs))
            batches.append(to_uint8(function(batch, report)))
            report(1, 1)
    return torch.cat(batches)


def write_image(picture: Image, file: Path, console: Console) -> None:
    """Save a picture and print its name and size; create its folder if that does not exist.

    Raises:
        Failure: The file cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        picture.save(file)
    except (OSError, ValueError) as error:
        raise Failure(f"--output {file}: {get_reason(error)}") from None
    console.say(f"{file}: {picture.width} x {picture.height} pixels")
