"""Checks, before a command does its work, that it can write the results."""

import os
from collections.abc import Iterable, Mapping
from io import BytesIO
from itertools import chain
from pathlib import Path

from vaegan.distributed import get_rank
from vaegan.errors import UserError
from vaegan.paths import check_file_is_writable, is_searched

ANY_SIDE = 2**31 - 1
PICTURE_SUFFIXES = {
    ".png": ANY_SIDE, ".jpg": 65_500, ".jpeg": 65_500, ".jpe": 65_500, ".jfif": 65_500, ".webp": 16_383,
    ".tif": ANY_SIDE, ".tiff": ANY_SIDE, ".bmp": ANY_SIDE, ".ppm": ANY_SIDE, ".pnm": ANY_SIDE, ".tga": 65_535,
    ".jp2": ANY_SIDE, ".avif": 65_535,
}  # fmt: skip
"""Endings of files that hold any picture as it is drawn (JPEG, WebP and AVIF with some loss), and the most pixels of a
side."""
MAX_PICTURE_IMAGES = 10_000
"""Most images of one picture."""
ANIMATION_SUFFIXES = {".gif": 65_535, ".webp": 16_383}
"""Endings of files that hold moving pictures, and the most pixels of a side."""


def check_picture_file(file: Path, suffixes: Mapping[str, int] = PICTURE_SUFFIXES) -> None:
    """Check that a picture can be written into a file.

    Args:
        file: The file.
        suffixes: Endings that its name may have, with the most pixels of a side.

    Raises:
        UserError: The name has no such ending, or the path is a folder, a pipe or a device.
        FileFailure: The file cannot be written.
    """
    from PIL import Image

    suffix = file.suffix.lower()
    try:
        if suffix not in suffixes:
            raise ValueError
        Image.new("RGB", (32, 32)).save(BytesIO(), Image.registered_extensions()[suffix])
    except (KeyError, OSError, ValueError):  # Pillow is built without some of the codecs
        problem = f"{suffix} cannot hold every picture" if suffix in Image.registered_extensions() else "not a picture"
        raise UserError(f"--output {file}: {problem}; let it end in .png or .jpg") from None
    if os.path.isdir(file):
        raise UserError(f"--output {file}: a folder, not a file")
    if os.path.exists(file) and not os.path.isfile(file):
        raise UserError(f"--output {file}: a pipe or a device, not a regular file; name another file")
    check_file_is_writable(file)


def check_picture_size(file: Path, width: int, height: int) -> None:
    """Check that the format of a file holds a picture of a size in pixels, before it is drawn.

    Raises:
        UserError: It does not.
    """
    most = (PICTURE_SUFFIXES | ANIMATION_SUFFIXES)[file.suffix.lower()]
    if max(width, height) > most:
        problem = f"{width} x {height} pixels, and a side of {file.suffix} has at most {most:,}"
        raise UserError(f"--output {file}: {problem}; let it end in .png, or draw fewer images")


def check_output_is_no_input(output: Path, files: Iterable[Path], folders: Iterable[Path]) -> None:
    """Check that a picture would not replace an image that it is made of, nor be read as one of them the next time.

    Args:
        output: The file.
        files: Images that are read.
        folders: Folders in which images are searched.

    Raises:
        UserError: It would.
    """
    folders = list(folders)
    for folder in folders:
        if is_searched(output, folder):
            problem = f"inside {folder}, whose images are read, and the next time it would be one of them"
            raise UserError(f"--output {output}: {problem}; name a file elsewhere")
    if not output.exists():
        return
    for file in chain(files, *map(_list_images, folders)):
        if file.exists() and output.samefile(file):  # by a link, for example
            raise UserError(f"--output {output}: the image {file} itself, which it would replace; name another file")


def check_file_path(path: Path, suffix: str, option: str = "--output") -> None:
    """Check that a file of one ending can be written.

    Args:
        path: The file.
        suffix: The ending, with its dot.
        option: Option that names it, for messages.

    Raises:
        UserError: Its name ends otherwise, or the path or its folder is something else already.
        FileFailure: It cannot be written.
    """
    if path.suffix.lower() != suffix:
        raise UserError(f"{option} {path}: let it end in {suffix}")
    check_parents(path, path.parent, option)
    if get_rank() == 0:
        check_regular_file(path, option)


def check_parents(path: Path, folder: Path, option: str = "--output") -> None:
    """Check that a folder can be made: the one that will hold ``path``, or ``path`` itself.

    Args:
        path: The path that an option names.
        folder: The folder.
        option: The option, for messages.

    Raises:
        UserError: The folder, or one above it, is a file.
    """
    for place in (folder, *folder.parents):
        if os.path.exists(place) and not place.is_dir():
            raise UserError(f"{option} {path}: {place} is a file, not a folder")


def check_is_no_other(folder: Path, file: str, content: str) -> None:
    """Check that an output folder does not hold something else, which would be mixed up with what is written.

    Args:
        folder: The folder.
        file: Name of a file that the other has.
        content: What that is, for the message.

    Raises:
        UserError: The file is there.
    """
    if (folder / file).is_file():
        raise UserError(f"--output {folder}: holds {content} ({file}); name another folder")


def check_regular_file(path: Path, option: str = "--output") -> None:
    """Check that ``path``, which an option names, is no folder, pipe or device, and that it can be written.

    Raises:
        UserError: It is something else than a regular file already.
        FileFailure: It cannot be written.
    """
    if os.path.isdir(path):
        raise UserError(f"{option} {path}: a folder, not a file")
    if os.path.exists(path) and not os.path.isfile(path):
        raise UserError(f"{option} {path}: a pipe or a device, not a regular file; name another file")
    check_file_is_writable(path)


def _list_images(folder: Path) -> list[Path]:
    """Return the images of a folder; [] if there are none, which its reader then reports."""
    from vaegan.data.image_tree import find_images

    try:
        return [folder / name for name in find_images(folder)]
    except UserError:
        return []
