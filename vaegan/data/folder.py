"""The source `folder`: a tree of image files."""

import os
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import torch

from vaegan.errors import UserError

from .dataset import ImageReader, Source, UInt8Image
from .image_file import DATA_VERSION, StoredImage, check_image, describe_image, read_image

IMAGE_SUFFIXES = ".avif .bmp .gif .jfif .jp2 .jpe .jpeg .jpg .pbm .pgm .png .pnm .ppm .tga .tif .tiff .webp".split()
"""Suffixes, in lower case, of image files; other files in the tree are ignored."""

HEIF_SUFFIXES = [".heic", ".heif", ".hif"]
"""Suffixes of HEIF files, which are read if pillow-heif is installed."""


@dataclass(frozen=True)
class FileReader(ImageReader):
    """Image files, decoded and resized on access."""

    root: Path
    names: tuple[str, ...]
    """Paths under the root, with forward slashes."""
    size: int
    channels: int
    version: int = DATA_VERSION
    """The `data.version`, by which they are decoded."""

    def __len__(self) -> int:
        return len(self.names)

    def __call__(self, index: int) -> UInt8Image:
        """Decode image ``index`` into uint8 pixels, shape (C, S, S)."""
        return read_image(os.path.join(self.root, self.names[index]), self.size, self.channels, self.version)

    def get_name(self, index: int) -> str:
        """Return the path of image ``index`` under the root."""
        return self.names[index]

    def describe(self, index: int) -> StoredImage:
        """Read size, mode and format of image ``index`` from its header.

        Raises:
            UnreadableImageError: The file has no valid header, or cannot be read.
        """
        return describe_image(os.path.join(self.root, self.names[index]), self.version)

    def check(self, index: int) -> None:
        """Check the header of image ``index``.

        Raises:
            UnreadableImageError: The file has no valid header, or cannot be read.
        """
        check_image(os.path.join(self.root, self.names[index]), self.version)

    def compute_digest(self) -> bytes:
        """Return a digest of the files' names and sizes."""
        sizes = (f"{name}\0{_get_file_size(os.path.join(self.root, name))}\0" for name in self.names)
        return blake2b(b"".join(map(os.fsencode, sizes))).digest()


def open_folder(root: Path, size: int, channels: int, version: int = DATA_VERSION) -> Source:
    """Open every image file in a tree, in the order of the paths.

    The folder of an image, named by its path under the root, is its label. If the root itself holds images, the set
    has no labels.

    Raises:
        UserError: There is no such folder, it may not be read, or no file in it has an image's suffix.
    """
    try:
        names = find_images(root, version)
    except UserError as error:
        raise UserError(f"data.root: {error}") from error
    reader, parents = FileReader(root, names, size, channels, version), [name.rpartition("/")[0] for name in names]
    if "" in parents:
        return Source(reader)
    classes = tuple(sorted(set(parents)))
    numbers = {name: number for number, name in enumerate(classes)}
    return Source(reader, classes, torch.tensor([numbers[parent] for parent in parents]))


def find_images(root: Path, version: int = DATA_VERSION) -> tuple[str, ...]:
    """Return the paths of the image files under a folder, relative to it with forward slashes, in code point order.

    Links are followed, but no folder is visited twice (a link may lead to a parent). Hidden files and folders are
    ignored, and in `data.version` 1 those of `HEIF_SUFFIXES`.

    Raises:
        UserError: There is no such folder, it may not be read, or no file in it has an image's suffix.
    """
    if not root.exists():
        raise UserError(f"{root}: no such folder")
    if not root.is_dir():
        raise UserError(f"{root}: a file, not a folder of images")
    names: list[str] = []
    suffixes = IMAGE_SUFFIXES if version == 1 else IMAGE_SUFFIXES + HEIF_SUFFIXES
    folders, links, seen = [""], list[str](), set[tuple[int, int]]()
    while folders or links:
        folder = folders.pop() if folders else links.pop()
        status = os.stat(os.path.join(root, folder))
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        for entry in _list_entries(root, folder):
            name = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_dir():
                (links if entry.is_symlink() else folders).append(name)
            elif os.path.splitext(entry.name)[1].lower() in suffixes:
                names.append(name)
        links.sort(reverse=True)
    if not names:
        *others, last = suffixes
        raise UserError(f"{root}: no image in it; files ending in {', '.join(others)} or {last} are taken for images")
    return tuple(sorted(names))


def _get_file_size(path: str) -> int | None:
    try:
        return os.stat(path).st_size
    except OSError:  # a broken link, which is reported when it is read
        return None


def _list_entries(root: Path, name: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(os.path.join(root, name)) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise UserError(f"{os.path.join(root, name)}: {(error.strerror or str(error)).lower()}") from error
