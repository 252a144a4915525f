"""Paths that a user names, and destinations that are tried before any work."""

import os
import tempfile
from collections.abc import Set
from contextlib import suppress
from os import PathLike
from pathlib import Path

from .errors import FileFailure, UserError
from .text import get_reason, shorten

HUB_PREFIX = "hf://"
"""Beginning of a name on the Hugging Face Hub."""
HUB_FOLDER = "hf:"
"""First part of the path that such a name becomes."""


def expand_path(name: str, path: "str | PathLike[str]") -> Path:
    """Return a path with ~ replaced by the home folder.

    Args:
        name: Option, argument or setting that gives the path, for messages.
        path: The path.

    Raises:
        UserError: It is empty, which would be the working folder, holds a null character, or names no known home.
    """
    text = os.fspath(path)
    if not text:
        raise UserError(f"{name}: empty; name a folder or a file")
    if "\0" in text:
        raise UserError(f"{name}: a path cannot hold a null character")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise UserError(f"{name}: {shorten(text)}: this home folder is not known; write the whole path") from None


def refuse_hub_name(name: str, value: str) -> None:
    """Check that a path is not the name of a model on the Hub, of which there is no folder with all of a run.

    Args:
        name: Option or argument that gives it, for the message.
        value: The path.

    Raises:
        UserError: It is.
    """
    if value.startswith(HUB_PREFIX):
        problem = "a model on the Hub has no training images, no discriminator and no evaluation"
        raise UserError(f"{name}: {shorten(value)}: {problem}; name a folder on this machine")


def check_no_other_files(folder: Path, own: Set[str] = frozenset()) -> None:
    """Check that an output folder, which may not exist, holds no files but its own.

    Args:
        folder: The folder.
        own: Names of the files that it may hold.

    Raises:
        UserError: It holds others.
    """
    if folder.exists() and (others := {path.name for path in folder.iterdir()} - own):
        raise UserError(f"--output {folder}: holds other files, such as {min(others)}; name an empty or a new folder")


def check_folder_is_writable(folder: Path, advice: str = "name another place") -> None:
    """Check that files can be created in a folder, or that it can be created itself; nothing is left there.

    Args:
        folder: The folder.
        advice: End of the message.

    Raises:
        FileFailure: They cannot be.
    """
    try:
        nearest = next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))
        tempfile.TemporaryFile(dir=nearest).close()
    except OSError as error:
        raise FileFailure(f"{folder}: cannot be written ({get_reason(error)}); {advice}") from None


def check_file_is_writable(file: Path) -> None:
    """Check that a file can be created or overwritten; it is not changed.

    Raises:
        FileFailure: It cannot be.
    """
    try:
        if not os.path.exists(file):
            with suppress(FileNotFoundError):
                os.lstat(file)  # a name may be too long
            check_folder_is_writable(file.parent)
        elif not os.access(file, os.W_OK):
            raise FileFailure(f"{file}: cannot be written (permission denied); name another file")
    except OSError as error:
        raise FileFailure(f"{file}: cannot be written ({get_reason(error)}); name another file") from None


def is_searched(path: Path, folder: Path) -> bool:
    """Return whether a path, which may not exist yet, leads into a folder of images, by whatever links.

    Hidden folders in it are not searched for images.
    """
    place, root = Path(os.path.realpath(path)), Path(os.path.realpath(folder))
    return place.is_relative_to(root) and not any(part.startswith(".") for part in place.relative_to(root).parts)
