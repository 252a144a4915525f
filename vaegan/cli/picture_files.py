"""Pictures that commands write, still and moving."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import PIL.Image
from PIL.Image import Image, registered_extensions

from vaegan.errors import Failure
from vaegan.text import get_reason

from .console import Console

ALPHA_SUFFIXES = (".png", ".tif", ".tiff", ".webp")
"""Endings of pictures that keep alpha; in others it is laid on white."""
FRAME_MILLISECONDS = 120
"""Time for which each picture of an animation is shown."""


def write_image(picture: Image, file: Path, console: Console) -> None:
    """Save a picture and print its name and size; create its folder if that does not exist.

    Raises:
        Failure: The file cannot be written.
    """
    if picture.has_transparency_data and file.suffix.lower() not in ALPHA_SUFFIXES:
        white = PIL.Image.new("RGBA", picture.size, "white")
        picture = PIL.Image.alpha_composite(white, picture.convert("RGBA")).convert("RGB")
    save_picture(picture, file)
    console.say(f"{file}: {picture.width} x {picture.height} pixels")


def write_animation(frames: Sequence[Image], file: Path, console: Console) -> None:
    """Save a moving picture without end and print its name and size; create its folder if that does not exist.

    Raises:
        Failure: The file cannot be written.
    """
    save_picture(frames[0], file, save_all=True, append_images=frames[1:], duration=FRAME_MILLISECONDS, loop=0)
    console.say(f"{file}: {len(frames)} frames of {frames[0].width} x {frames[0].height} pixels")


def save_picture(picture: Image, file: Path, **options: Any) -> None:
    """Write a picture into a file, with options of Pillow's format; create its folder if that does not exist.

    Raises:
        Failure: The file cannot be written.
    """
    try:
        contents = BytesIO()
        picture.save(contents, registered_extensions()[file.suffix.lower()], **options)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(contents.getbuffer())  # what cannot be encoded leaves an older file as it is
    except (OSError, ValueError) as error:
        raise Failure(f"--output {file}: {get_reason(error)}") from None
