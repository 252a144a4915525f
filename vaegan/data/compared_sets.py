"""Two sets of images that are compared: what lies in each of them, their common size, and which images are pairs."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch

from vaegan.config.data import Fit
from vaegan.config.source_files import ARRAY_SUFFIXES
from vaegan.distributed import count_cpu_cores
from vaegan.errors import UserError
from vaegan.io import hash_file
from vaegan.progress import ProgressCallback
from vaegan.text import make_printable

from .arrays import open_arrays
from .dataset import ImageReader, Images
from .folder import WholeFileReader, open_folder
from .image_file import StoredImage
from .reading import Notify, describe_broken, visit_images

MIN_SIDE_PIXELS, MAX_SIDE_PIXELS = 8, 4096
"""Smallest and largest side in pixels at which sets are compared."""
GREY_MODES = {"1", "L", "LA", "I;16", "I;16B", "I;16L"}
"""Pillow's names of the pixels of grey images."""
OPTION = "--images"
"""Option that names the sets, for messages."""


@dataclass(frozen=True)
class FoundSet:
    """The images of a folder or of a file of an array, before they are decoded."""

    path: Path
    """The folder or file."""
    reader: ImageReader
    """Decoder of the images, at a size that is not theirs."""
    indices: tuple[int, ...]
    """Indices of the images that can be used, in the reader."""
    names: tuple[str, ...] | None
    """Path of each of them under the folder; None: the images of an array have no names."""
    sizes: frozenset[tuple[int, int]]
    """Widths and heights that occur, in pixels."""
    is_grey: bool
    """True if all images are grey."""
    digest: str
    """Digest of the names and bytes of the images, hexadecimal."""

    def select(self, positions: Sequence[int], size: int | None, channels: int, fit: Fit) -> Images:
        """Return some of the images, decoded on access to uint8 pixels, shape (channels, size, size).

        Without a size each has its own, (channels, H, W), so that they are to be read one by one.
        """
        reader: Any = self.reader
        if size is None:
            reader = WholeFileReader(reader.root, reader.names, 0, channels)
        else:
            reader = replace(reader, size=size, channels=channels, fit=fit)
        indices = torch.tensor([self.indices[position] for position in positions], dtype=torch.int64)
        return Images(reader, indices, None, ())


def find_image_set(path: Path, notify: Notify, progress: ProgressCallback) -> FoundSet:
    """Return what a folder of image files, as a training finds them, or a file of an array holds.

    Files that are no images are left out, with a note.

    Args:
        path: The folder or file.
        notify: Called with one-line notes.
        progress: Called with (images looked at, images in all).

    Raises:
        UserError: There is no such set, or no image in it can be used.
    """
    is_array = path.suffix.lower() in ARRAY_SUFFIXES and not path.is_dir()
    try:
        source = (open_arrays if is_array else open_folder)(path, MIN_SIDE_PIXELS, 3, notify=notify)
    except UserError as error:
        raise UserError(f"{OPTION}: {str(error).removeprefix('data.root: ')}") from None
    reader, count = source.reader, len(source.reader)
    if is_array:
        stored = reader.describe(0)
        assert stored is not None
        sizes, is_grey = frozenset({(stored.width, stored.height)}), stored.mode in GREY_MODES
        return FoundSet(path, reader, tuple(range(count)), None, sizes, is_grey, hash_file(path))
    images: list[StoredImage | None] = [None] * count
    digests = [""] * count

    def look(index: int) -> None:
        reader.check(index)
        digests[index] = reader.compute_image_digest(index, b"")
        images[index] = reader.describe(index)

    broken = visit_images(count, look, count_cpu_cores(), progress)
    named = describe_broken([broken[index] for index in sorted(broken)])
    if len(broken) == count:
        raise UserError(f"{OPTION}: {path}: none of the {count} files can be used as an image: {named}")
    if broken:
        notify(f"{path}: {len(broken)} file{'s' * (len(broken) > 1)} that cannot be used as images skipped: {named}")
    known = {index: image for index, image in enumerate(images) if image is not None and index not in broken}
    names = tuple(reader.get_name(index) for index in known)
    digest = blake2b(digest_size=16)
    for index, name in zip(known, names, strict=True):
        digest.update(os.fsencode(f"{name}\0{digests[index]}\0"))
    found_sizes = frozenset((image.width, image.height) for image in known.values())
    is_grey = all(image.mode in GREY_MODES for image in known.values())
    return FoundSet(path, reader, tuple(known), names, found_sizes, is_grey, digest.hexdigest())


def choose_size(sets: Sequence[FoundSet], size: int | None) -> int:
    """Return the side at which sets are compared: the given one, or else that of all their images.

    Raises:
        UserError: No size is given, and the images have several, are no squares, or are too small or too large.
    """
    if size is not None:
        return size
    sizes = sorted(frozenset().union(*(found.sizes for found in sets)))
    (width, height), (last_width, last_height) = sizes[0], sizes[-1]
    mend = "give --image-size, to which they are resized and cropped, or --native-size"
    if len(sizes) > 1:
        raise UserError(f"{OPTION}: images of {width} x {height} to {last_width} x {last_height} pixels; {mend}")
    if width != height:
        raise UserError(f"{OPTION}: images of {width} x {height} pixels are no squares; {mend}")
    if not MIN_SIDE_PIXELS <= width <= MAX_SIDE_PIXELS:
        limits = f"from {MIN_SIDE_PIXELS} to {MAX_SIDE_PIXELS:,}"
        raise UserError(f"{OPTION}: images of {width} x {height} pixels, and a side is {limits}; {mend}")
    return width


def check_native_size(sets: Sequence[FoundSet]) -> None:
    """Check that sets can be compared with each image in its own size.

    Raises:
        UserError: A set is an array, whose images have one size.
    """
    for found in sets:
        if found.names is None:
            raise UserError(f"--native-size: {found.path}: an array; give folders of image files, or --image-size")


def pair_by_name(real: FoundSet, fake: FoundSet) -> tuple[tuple[int, int], ...]:
    """Return the positions of images with the same path, without its suffix, in two sets, in the order of the first.

    Raises:
        UserError: Several images of a set have the same path without suffix as one of the other.
    """
    by_name, by_other_name = _index_names(real), _index_names(fake)
    common = [name for name in by_name if name in by_other_name]
    for found, index in ((real, by_name), (fake, by_other_name)):
        for name in common:
            if len(index[name]) > 1:
                assert found.names is not None
                files = " and ".join(make_printable(found.names[position]) for position in index[name][:2])
                raise UserError(f"{OPTION}: {found.path}: {files} have the same name without suffix; rename one")
    return tuple((by_name[name][0], by_other_name[name][0]) for name in common)


def pair_by_index(real: FoundSet, fake: FoundSet) -> tuple[tuple[int, int], ...]:
    """Return the positions of images at the same place in two sets.

    Raises:
        UserError: The sets have different numbers of images, or some of their files cannot be used.
    """
    for found in (real, fake):
        if len(found.indices) != len(found.reader):
            raise UserError(f"--paired-by-index: some files of {found.path} cannot be used; restore them")
    if len(real.indices) != len(fake.indices):
        counts = f"{len(real.indices):,} images of {real.path} and {len(fake.indices):,} of {fake.path}"
        raise UserError(f"--paired-by-index: {counts}; give as many of each, or leave it out")
    return tuple((index, index) for index in range(len(real.indices)))


def _index_names(found: FoundSet) -> Mapping[str, list[int]]:
    index: dict[str, list[int]] = {}
    for position, name in enumerate(found.names or ()):
        index.setdefault(os.path.splitext(name)[0], []).append(position)
    return index
