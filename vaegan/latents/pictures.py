"""Pictures that are decoded from codes into a folder: their names, and the mark of the folder."""

import json
import os
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np

from vaegan.errors import UserError
from vaegan.io import read_bytes, write_text
from vaegan.paths import check_no_other_files
from vaegan.text import shorten

MARK_FILE = "decoded.json"
"""File that says what the pictures of a folder were decoded from."""


def check_name(name: str) -> str:
    """Return the name of an image, a path with forward slashes under a folder.

    Raises:
        ValueError: It leads out of the folder.
    """
    parts = name.split("/")
    leads_out = any(part in ("", ".", "..") for part in parts) or os.path.isabs(name) or os.path.splitdrive(name)[0]
    if leads_out or "\0" in name or (os.sep != "/" and os.sep in name):
        raise ValueError(f"the name {shorten(name)} leads out of a folder")
    return name


def name_pictures(names: Sequence[str]) -> "PictureNames":
    """Return the path of the picture of each row: the name of its image, with the ending .png in the place of its own.

    If two images differ in their ending alone, or a picture would have the path of a folder of images, every picture
    keeps the ending of its image in front of .png.
    """
    stems = np.fromiter((_hash(_cut_ending(name)) for name in names), dtype=np.uint64, count=len(names))
    folders = _list_folders_of_pictures(names)
    hidden = bool(folders) and any(_cut_ending(name) + ".png" in folders for name in names)
    return PictureNames(names, len(np.unique(stems)) == len(names) and not hidden)


class PictureNames:
    """Paths of pictures by their row, made of the names of images when they are needed.

    Args:
        names: Names of the images.
        cut: Whether the ending of an image is left out.
    """

    def __init__(self, names: Sequence[str], cut: bool) -> None:
        self.names, self.cut = names, cut

    def __getitem__(self, row: int) -> str:
        name = self.names[row]
        return (_cut_ending(name) if self.cut else name) + ".png"


def begin_pictures(output: Path, mark: Mapping[str, object], codes: str) -> None:
    """Mark a folder as that of the pictures of some codes, if it is empty or marked already.

    Args:
        output: The folder; created if it does not exist.
        mark: What the pictures are decoded from, as JSON holds it.
        codes: Name of the codes, for messages.

    Raises:
        UserError: It holds other files, or the pictures of other codes.
    """
    output.mkdir(parents=True, exist_ok=True)
    if not (output / MARK_FILE).exists():
        check_no_other_files(output, {f"{MARK_FILE}.partial"})
        write_text(output / MARK_FILE, json.dumps(mark, indent=1) + "\n")
        return
    try:
        found = json.loads(read_bytes(output / MARK_FILE))
    except (OSError, ValueError, RecursionError):
        found = None
    if found != mark:
        raise UserError(f"--output {output}: holds pictures of other {codes}; name another folder")


def _cut_ending(name: str) -> str:
    return os.path.splitext(name)[0]


def _list_folders_of_pictures(names: Sequence[str]) -> set[str]:
    """Return the folders of names, also those of folders, that are named as a picture may be."""
    folders = set[str]()
    for name in names:
        folder = name.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    return {folder for folder in folders if folder.endswith(".png")}


def _hash(name: str) -> int:
    return int.from_bytes(blake2b(os.fsencode(name), digest_size=8).digest(), "little")
