"""The source `folder`: a tree of image files."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from vaegan.config.data import Crop, Fit
from vaegan.data.large_sets.packed_names import PackedNames
from vaegan.errors import UserError
from vaegan.io import open_regular_file
from vaegan.progress import ignore_notice
from vaegan.text import get_reason, make_encodable, make_printable

from .dataset import ImageReader, Source, UInt8Image
from .fit import DATA_VERSION
from .image_file import (
    StoredImage,
    UnreadableImageError,
    check_body,
    check_image,
    describe_image,
    read_canvas,
    read_image,
    read_whole_image,
)
from .image_tree import find_images
from .verdicts import FileState, get_file_state


@dataclass(frozen=True)
class FileReader(ImageReader):
    """Image files, decoded and resized on access."""

    root: Path
    names: Sequence[str]
    """Paths under the root, with forward slashes."""
    size: int
    channels: int
    version: int = DATA_VERSION
    """The `data.version`, by which they are decoded."""
    fit: Fit = "crop"
    """The setting `data.fit`."""

    def __len__(self) -> int:
        return len(self.names)

    def __call__(self, index: int) -> UInt8Image:
        """Decode image ``index`` into uint8 pixels, shape (C, S, S)."""
        path = os.path.join(self.root, self.names[index])
        return read_image(path, self.size, self.channels, self.version, fit=self.fit)

    def load_canvas(self, index: int, crop: Crop) -> UInt8Image:
        """Return the pixels that random crops of image ``index`` are taken from, uint8, shape (C, H, W)."""
        return read_canvas(os.path.join(self.root, self.names[index]), self.size, self.channels, crop)

    def get_name(self, index: int) -> str:
        """Return the path of image ``index`` under the root."""
        return self.names[index]

    def locate(self, index: int) -> str:
        """Return the path of image ``index``, printable."""
        return make_printable(os.path.join(self.root, self.names[index]))

    def get_state(self, index: int) -> FileState:
        """Return the size of the file of image ``index`` and the time of its last change."""
        return get_file_state(os.path.join(self.root, self.names[index]))

    def compute_image_digest(self, index: int, pixels_digest: bytes) -> str:
        """Return a digest of the bytes of the file of image ``index``, hexadecimal.

        Raises:
            UnreadableImageError: The file cannot be read.
        """
        digest = blake2b(digest_size=16)
        try:
            with open_regular_file(os.path.join(self.root, self.names[index])) as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        except OSError as error:
            raise UnreadableImageError(self.locate(index), get_reason(error)) from error
        return digest.hexdigest()

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

    def check_body(self, index: int) -> None:
        """Check that image ``index`` has all of its pixels.

        Raises:
            UnreadableImageError: Some are missing or damaged, or the file cannot be read.
        """
        check_body(os.path.join(self.root, self.names[index]))

    def compute_digest(self) -> bytes:
        """Return a digest of the files' names and sizes."""
        sizes = (f"{name}\0{_get_file_size(os.path.join(self.root, name))}\0" for name in self.names)
        return blake2b(b"".join(map(os.fsencode, sizes))).digest()


class WholeFileReader(FileReader):
    """Image files, decoded on access in their own size."""

    def __call__(self, index: int) -> UInt8Image:
        """Decode image ``index`` into uint8 pixels, shape (C, H, W)."""
        return read_whole_image(os.path.join(self.root, self.names[index]), self.channels)


def open_folder(
    root: Path,
    size: int,
    channels: int,
    version: int = DATA_VERSION,
    notify: Callable[[str], None] = ignore_notice,
) -> Source:
    """Open every image file in a tree, in the order of the paths.

    The folder of an image, named by its path under the root, is its label. If the root itself holds images, the set
    has no labels.

    Args:
        root: Folder of the tree.
        size: Height and width that the images are fitted to.
        channels: Channels that they are converted to.
        version: The `data.version`.
        notify: Called with one line about each folder or link that is passed over.

    Raises:
        UserError: There is no such folder, it may not be read, or no file in it has an image's suffix.
    """
    notes: list[str] = []
    try:
        names = find_images(root, version, notes.append)
    except UserError as error:
        raise UserError(f"data.root: {error}") from error
    finally:
        for note in notes:  # which is an error under `data.strict`
            notify(note)
    reader = FileReader(root, PackedNames.pack(names), size, channels, version)
    classes = tuple(sorted({name.rpartition("/")[0] for name in names}))
    if "" in classes:
        return Source(reader, label_by_folder=True)
    numbers = {name: number for number, name in enumerate(classes)}
    labels = np.fromiter((numbers[name.rpartition("/")[0]] for name in names), dtype=np.int64, count=len(names))
    return Source(reader, classes, torch.from_numpy(labels), label_by_folder=True)


def label_by_folder(names: Mapping[int, str]) -> tuple[tuple[str, ...], dict[int, str | None]]:
    """Return the classes of images, in order, and the class of each image by its key.

    The folder of an image is its class. If the root itself holds images, there are no classes.

    Args:
        names: Path of each image under the root.

    Raises:
        UserError: Two classes have the same name where it is written down.
    """
    folders = {key: name.rpartition("/")[0] for key, name in names.items()}
    if "" in folders.values():
        return (), dict.fromkeys(folders)
    label_of = {folder: str(make_encodable(folder)) for folder in sorted(set(folders.values()))}
    classes = tuple(sorted(label_of.values()))
    for one, other in pairwise(classes):
        if one == other:
            problem = "two folders have this name, one with bytes that are not UTF-8 and one with their escapes"
            raise UserError(f"data.root: {one}: {problem}; rename one of them")
    return classes, {key: label_of[folder] for key, folder in folders.items()}


def describe_strays(names: Sequence[str]) -> str:
    """Return a clause that names the few images beside the folders of a tree, which then are no labels; empty: none.

    Args:
        names: Path of each image under the root.
    """
    strays = [make_printable(name) for name in names if "/" not in name]
    if not strays or 2 * len(strays) >= len(names):
        return ""
    lie = f"{strays[0]} lies" if len(strays) == 1 else f"{strays[0]} and {len(strays) - 1} more lie"
    return f"its folders are no labels, since {lie} beside them"


def _get_file_size(path: str) -> int | None:
    try:
        return os.stat(path).st_size
    except OSError:  # a broken link, which is reported when it is read
        return None
