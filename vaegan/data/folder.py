"""A tree of image files."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import torch

from vaegan.errors import UserError

from .dataset import Source, UInt8Image
from .image_file import check_image, read_image

IMAGE_SUFFIXES = frozenset(
    ".avif .bmp .gif .jfif .jp2 .jpe .jpeg .jpg .pbm .pgm .png .pnm .ppm .tga .tif .tiff .webp".split()
)
"""Endings, in lower case, of the files that are taken for images; others in the tree are not looked at."""


@dataclass(frozen=True)
class FileReader:
    """Image files, decoded and fitted when asked for."""

    root: Path
    names: tuple[str, ...]
    """Paths under the root, with forward slashes."""
    size: int
    channels: int

    def __len__(self) -> int:
        return len(self.names)

    def __call__(self, index: int) -> UInt8Image:
        """Image ``index``, shape (C, S, S)."""
        return read_image(os.path.join(self.root, self.names[index]), self.size, self.channels)

    def check(self, index: int) -> None:
        """Read the header."""
        check_image(os.path.join(self.root, self.names[index]))

    def digest(self) -> bytes:
        """Names and sizes, hashed."""
        digest = blake2b()
        for name in self.names:
            digest.update(os.fsencode(f"{name}\0{_size(os.path.join(self.root, name))}\0"))
        return digest.digest()


def open_folder(root: Path, size: int, channels: int) -> Source:
    """Every image file in a tree, in the order of the paths.

    The folder that an image lies in, named by its path under the root, is its label; where images lie in the
    root itself, the set has no labels.
    """
    try:
        names = find_images(root)
    except UserError as mistake:
        raise UserError(f"data.root: {mistake}") from mistake
    parents = [name.rpartition("/")[0] for name in names]
    classes = tuple(sorted(set(parents)))
    if "" in classes:
        return Source(FileReader(root, names, size, channels))
    number = {name: position for position, name in enumerate(classes)}
    return Source(
        FileReader(root, names, size, channels), classes, torch.tensor([number[parent] for parent in parents])
    )


def find_images(root: Path) -> tuple[str, ...]:
    """Paths of the image files under a folder, relative to it with forward slashes, in code point order.

    Links are followed; a folder that is reached a second time, as by a link to one of its parents, is passed
    over. Hidden files and folders are not looked at.

    Raises:
        UserError: There is no such folder, it may not be read, or no file in it ends like an image's.
    """
    if not root.exists():
        raise UserError(f"{root}: no such folder")
    if not root.is_dir():
        raise UserError(f"{root}: a file, not a folder of images")
    names: list[str] = []
    folders, links, seen = [""], list[str](), set[tuple[int, int]]()
    while folders or links:
        here = folders.pop() if folders else links.pop()
        status = os.stat(os.path.join(root, here))
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        for entry in _entries(root, here):
            name = f"{here}/{entry.name}" if here else entry.name
            if entry.is_dir():
                (links if entry.is_symlink() else folders).append(name)
            elif os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES:
                names.append(name)
        links.sort(reverse=True)
    if not names:
        raise UserError(f"{root}: no image in it; files ending in {_listed(IMAGE_SUFFIXES)} are taken for images")
    return tuple(sorted(names))


def _size(path: str) -> int | None:
    try:
        return os.stat(path).st_size
    except OSError:  # a link that leads nowhere; it is reported when it is read
        return None


def _entries(root: Path, name: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(os.path.join(root, name)) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise UserError(f"{os.path.join(root, name)}: {(error.strerror or str(error)).lower()}") from error


def _listed(suffixes: frozenset[str]) -> str:
    words: Sequence[str] = sorted(suffixes)
    return f"{', '.join(words[:-1])} or {words[-1]}"
