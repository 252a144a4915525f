"""Small images to be enlarged, read as they are or made of larger ones."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from vaegan.applications.linear_operators import Reduce
from vaegan.config.data import DataVersion, Fit
from vaegan.data import read_image
from vaegan.data.image_file import describe_image
from vaegan.errors import UserError
from vaegan.images import to_float, to_uint8
from vaegan.models import Autoencoder
from vaegan.workflows.image_files import ImageFile, read_each

from .console import Console


def read_small_images(
    files: Sequence[ImageFile], model: Autoencoder, factor: int, decoding: tuple[DataVersion, Fit], console: Console
) -> tuple[list[Tensor | None], Tensor, list[ImageFile]]:
    """Read images that a model is to enlarge; of those found in folders, skip what is no image.

    Args:
        files: The files.
        model: The model.
        factor: How many times larger a side becomes; it divides S.
        decoding: The `data.version` and the `data.fit` of its run.
        console: Takes a note of what is skipped, and of each very large picture.

    Returns:
        Original of each image, uint8, shape (C, S, S), if it is not the small one itself; the small images, uint8,
        shape (N, C, S / factor, S / factor); and the file of each of them.

    Raises:
        UserError: An image is neither of the small size nor as large as the model's, or a file that was named, or each
            of those that were found, is no image.
    """
    (channels, side, _), (version, fit) = model.image_shape, decoding
    small_side = side // factor

    def read(path: Path) -> tuple[Tensor | None, Tensor]:
        stored = describe_image(path, version, min_side=1)
        short = min(stored.width, stored.height)
        if short != small_side and short < side:
            raise UserError(
                f"{path}: {stored.width} x {stored.height} pixels; give images of {small_side} on the short side"
                f" (the model's {side} / {factor}), or of {side} or more, which are reduced first"
            )
        size = small_side if short == small_side else side
        pixels = torch.tensor(read_image(path, size, channels, version, console.note, fit, min_side=1))
        if size == small_side:
            return None, pixels
        return pixels, to_uint8(Reduce(factor).apply(to_float(pixels)))

    images, found = read_each(files, read, version, console)
    return [original for original, _ in images], torch.stack([small for _, small in images]), found
