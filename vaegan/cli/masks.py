"""Masks: image files whose white pixels say what is to be filled."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from vaegan.config.data import DataVersion, Fit
from vaegan.data import UnreadableImageError, read_image, silence_pillow
from vaegan.data.image_file import describe_image
from vaegan.errors import UserError

from .console import Console

WHITE_FROM = 128
"""Least grey level of 0 to 255 that counts as white."""
TOUCHED_FROM = 8
"""Least grey level of a resized mask at which a pixel has a part of a white one in it."""


def read_mask(file: Path, image: Path, side: int, decoding: tuple[DataVersion, Fit], console: Console) -> Tensor:
    """Read a mask, and return where it is white, bool, shape (S, S).

    A mask of the image's size is resized and cropped as the image is. Then every pixel that has a part of a white one
    in it counts as white, and so do the pixels around it, into which the filter of the image mixes it.

    Args:
        file: The mask.
        image: The image that it belongs to.
        side: S, side of the model's images in pixels.
        decoding: The `data.version` and the `data.fit` of the run.
        console: Takes a note of grey pixels, and of what is resized.

    Raises:
        UserError: The mask is no image, of another size than the image and the model, or white everywhere or nowhere.
    """
    version, fit = decoding
    try:
        with silence_pillow():
            stored = describe_image(file, version)
            sizes = [(each.width, each.height) for each in (stored, describe_image(image, version))]
            pixels = torch.tensor(read_image(file, side, 1, version, console.note, fit))[0]
    except UnreadableImageError as error:
        raise UserError(f"{error.file}: {error.reason}") from None
    if sizes[0] == (side, side):
        holes, note, where = pixels >= WHITE_FROM, "", "in it"
        if grey := int(((pixels > 0) & (pixels < 255)).sum()):
            note = f"{file}: {grey} grey pixels; {WHITE_FROM} and above count as white"
    elif sizes[0] == sizes[1]:
        touched = (pixels >= TOUCHED_FROM).float()
        holes = F.max_pool2d(touched[None], 3, stride=1, padding=1)[0] > 0
        note = f"{file}: fitted to {side} x {side} with its image; pixels that touch white ones are filled too"
        where = f"in it, fitted to {side} x {side} with its image,"
    else:
        (width, height), given = sizes[1], " x ".join(map(str, sizes[0]))
        raise UserError(f"{file}: {given} pixels; give the image's {width} x {height}, or the model's {side} x {side}")
    if not holes.any():
        raise UserError(f"{file}: nothing {where} is white; white is what to fill")
    if holes.all():
        transparent = " (transparent pixels count as white)" if stored.mode.endswith("A") else ""
        raise UserError(f"{file}: all of it is white{transparent}; leave some of the image visible")
    if note:
        console.note(note)
    return holes
