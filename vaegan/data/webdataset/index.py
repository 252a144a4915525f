"""The index of tar shards: place, name, label and digest of each image, in a file that is mapped into memory."""

import json
import os
from collections.abc import Sized
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor

from vaegan.config.source_files import SHARD_SUFFIX, is_hidden
from vaegan.data.large_sets.packed_names import PackedNames
from vaegan.data.verdicts import FileState, get_file_state
from vaegan.errors import UserError
from vaegan.io import load_tensors, open_regular_file
from vaegan.text import get_reason, make_printable, shorten

from .shard import DIGEST_BYTES

INDEX_NAME = "vaegan-index.safetensors"
"""Name of the index in a folder of shards; that of a single shard lies beside it, with this name after its own."""
PACKED_SUFFIXES = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst", ".tar.lz4")
"""Endings of compressed shards, which are not read."""
COMPARED_IMAGES = 7
"""Images but one whose bytes are compared where a shard has the size and the time that it had, but is another file."""
FORMAT = 1
"""Number that changes with what an index holds."""
COLUMNS = ("offsets", "sizes", "digests", "hashes")
"""Tensors of an index with a row for each image. The others are `names`, `ends`, `description` and perhaps `labels`."""


class ShardFile(NamedTuple):
    """A shard as it was when it was indexed."""

    name: str
    """Its path under the folder of the shards, with forward slashes."""
    state: FileState
    """State of its file."""
    images: int
    """Number of its images."""
    digest: str
    """Digest of names, places, contents and labels of its images, hexadecimal."""


@dataclass(frozen=True, eq=False)
class ShardIndex:
    """The images of tar shards. Arrays are mapped into memory, and shared by all processes of a machine."""

    shards: tuple[ShardFile, ...]
    """The shards, in the order of their names."""
    starts: NDArray[np.int64]
    """Index of the first image of each shard, and at last the number of images."""
    names: PackedNames
    """Names of the images."""
    offsets: NDArray[np.int64]
    """Position of each image in the file of its shard."""
    sizes: NDArray[np.int64]
    """Bytes of each image."""
    digests: NDArray[np.uint8]
    """Digest of each image's bytes, shape (N, `DIGEST_BYTES`)."""
    hashes: NDArray[np.float64]
    """Number of each image that decides its split."""
    labels: Tensor | None
    """Class of each image, int64, shape (N,); None: they have no labels."""
    classes: tuple[str, ...]
    """Names of the classes."""
    broken: dict[int, str]
    """Problem of each image that cannot be used, as far as indexing has found it."""
    decoded: bool
    """True if every image was decoded when it was indexed; else their headers were checked."""

    def __len__(self) -> int:
        return int(self.starts[-1])

    @cached_property
    def digest(self) -> str:
        """Digest of all shards and of what cannot be used, hexadecimal."""
        text = repr(([shard.digest for shard in self.shards], self.classes, sorted(self.broken.items())))
        return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES).hexdigest()

    def get_digest(self, index: int) -> bytes:
        """Return the digest of the bytes of an image."""
        return bytes(self.digests[index])

    def read(self, index: int, folder: Path) -> bytes | None:
        """Return the bytes of an image; None: those in its shard are not the ones that were indexed.

        Args:
            index: The image.
            folder: Folder of the shards.

        Raises:
            OSError: The shard cannot be read.
        """
        offset, size = int(self.offsets[index]), int(self.sizes[index])
        with open_regular_file(os.path.join(folder, self.find_shard(index).name)) as file:
            if min(offset, size) < 0 or offset + size > os.fstat(file.fileno()).st_size:
                return None
            file.seek(offset)
            content = file.read(size)
        return content if blake2b(content, digest_size=DIGEST_BYTES).digest() == self.get_digest(index) else None

    def holds(self, number: int, folder: Path) -> bool:
        """Return whether a shard, which may be a copy, holds its first image, its last, and a few between them.

        Args:
            number: Index of the shard.
            folder: Folder of the shards.

        Raises:
            OSError: The shard cannot be read.
        """
        images = range(int(self.starts[number]), int(self.starts[number + 1]))
        chosen = {images[step * (len(images) - 1) // COMPARED_IMAGES] for step in range(COMPARED_IMAGES + 1) if images}
        return all(self.read(image, folder) is not None for image in chosen)

    def find_shard(self, index: int) -> ShardFile:
        """Return the shard that an image lies in."""
        return self.shards[int(np.searchsorted(self.starts, index, side="right")) - 1]


def get_index_file(root: Path) -> Path:
    """Return the path of the index of a folder of shards, or of a single shard."""
    return root / INDEX_NAME if root.is_dir() else root.with_name(f"{root.name}.{INDEX_NAME}")


def find_shards(root: Path) -> list[Path]:
    """Return the shards of a folder and of the folders in it, in the order of their names, or a single shard.

    Raises:
        UserError: There are none, or they are compressed.
    """
    if not os.path.lexists(root):
        raise UserError(f"{make_printable(root)}: no such folder or file")
    if not root.is_dir():
        if root.suffix.lower() != SHARD_SUFFIX:
            raise UserError(f"{make_printable(root)}: neither a folder of shards nor a file ending in {SHARD_SUFFIX}")
        return [root]
    paths = sorted(path for path in root.rglob("*") if not (is_hidden(path.relative_to(root)) or path.is_dir()))
    if shards := [path for path in paths if path.suffix.lower() == SHARD_SUFFIX]:
        return shards
    if packed := [path for path in paths if path.name.lower().endswith(PACKED_SUFFIXES)]:
        problem = f"{shorten(packed[0].name)} is compressed, so that images in it cannot be read one by one"
        raise UserError(f"{make_printable(root)}: {problem}; decompress the shards")
    raise UserError(f"{make_printable(root)}: no shard in it; files ending in {SHARD_SUFFIX} are taken for shards")


def open_index(root: Path) -> ShardIndex:
    """Return the index of a folder of shards, or of a shard, checked against the files that are there.

    Raises:
        UserError: There is no index, it is damaged, or a shard was written, replaced, added or taken away since.
    """
    paths, file = find_shards(root), get_index_file(root)
    remedy = f"run `vaegan index {make_printable(root)}`"
    if not file.exists():
        raise UserError(f"{make_printable(root)}: its shards have no index; {remedy}")
    try:
        index = load_index(file, get_file_state(file))
    except UserError as error:
        raise UserError(f"{error}; {remedy} again") from error.__cause__
    folder, known = root if root.is_dir() else root.parent, {shard.name: shard for shard in index.shards}
    found = {path.relative_to(folder).as_posix(): path for path in paths}
    for kind, names in (("added to", found.keys() - known.keys()), ("taken from", known.keys() - found.keys())):
        if names:
            problem = f"{shorten(min(names))} was {kind} the shards since they were indexed"
            raise UserError(f"{make_printable(root)}: {problem}; {remedy} again")
    for number, shard in enumerate(index.shards):
        state = get_file_state(found[shard.name])
        is_same = state == shard.state or (state[:2] == shard.state[:2] and index.holds(number, folder))
        if not is_same:
            raise UserError(f"{make_printable(found[shard.name])}: written since it was indexed; {remedy} again")
    return index


@lru_cache(maxsize=4)
def load_index(file: Path, state: FileState) -> ShardIndex:
    """Return the index in a file, mapped into memory once in each process.

    Args:
        file: The file.
        state: Its state.

    Raises:
        UserError: It is missing, damaged, of another version, or has another state.
    """
    try:
        if get_file_state(file) != state:
            raise ValueError("written while it is in use")
        with open_regular_file(file):  # a pipe would be waited for
            pass
        return _parse_index(load_tensors(file))
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{make_printable(file)}: damaged, or of another version ({get_reason(error)})") from error


def _parse_index(tensors: dict[str, Tensor]) -> ShardIndex:
    """Return the index that tensors hold.

    Raises:
        ValueError: They are something else.
        KeyError: One is missing.
    """
    arrays: dict[str, NDArray[Any]] = {name: tensors[name].numpy() for name in COLUMNS}
    names = PackedNames(tensors["names"].numpy(), tensors["ends"].numpy())
    tree = json.loads(tensors["description"].numpy().tobytes())
    if tree["format"] != FORMAT:
        raise ValueError(f"format {shorten(tree['format'])}, not {FORMAT}")
    shards = tuple(
        ShardFile(str(name), FileState(*map(int, state)), int(images), str(digest))
        for name, state, images, digest in tree["shards"]
    )
    starts = np.cumsum([0, *(shard.images for shard in shards)])
    count, labels = int(starts[-1]), tensors.get("labels")
    rows: list[Sized] = [*arrays.values(), names, *([] if labels is None else [labels])]
    if count < 1 or any(len(row) != count for row in rows) or int(names.ends[-1]) != len(names.blob):
        raise ValueError("its parts are of several lengths")
    classes = tuple(map(str, tree["classes"]))
    if labels is not None and not 0 <= int(labels.min()) <= int(labels.max()) < len(classes):
        raise ValueError("labels beyond the classes")
    broken = {int(index): str(reason) for index, reason in tree["broken"].items()}
    decoded = bool(tree["decoded"])
    return ShardIndex(shards, starts, names, **arrays, labels=labels, classes=classes, broken=broken, decoded=decoded)
