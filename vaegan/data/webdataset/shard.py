"""The images of one shard: the entries of a tar archive that have the same name up to its first dot are one sample."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from vaegan.data.image_file import (
    EncodedImage,
    UnreadableImageError,
    check_body,
    check_image,
    read_image,
    silence_pillow,
)
from vaegan.data.image_tree import IMAGE_SUFFIXES
from vaegan.data.labels import MAX_CLASSES
from vaegan.data.large_sets.packed_names import PackedNames
from vaegan.data.members import hash_name
from vaegan.errors import UserError
from vaegan.io import open_regular_file
from vaegan.text import format_value, make_printable

from .tar_entries import TarEntry, iterate_entries

DIGEST_BYTES = 16
"""Bytes of the digest of an image's contents."""
LABEL_KEYS = ("label", "cls", "class")
"""Keys of a `.json` entry that are taken for the label; the first that is there counts."""
MAX_LABEL_BYTES = 2**20
"""Largest size of an entry that a label is read from."""
SAMPLE_NAME = re.compile(r"((?:.*/)?[^./][^./]*)\.([^/]+)", re.DOTALL)
"""A name whose file is not hidden: the key of the sample, and what of it the entry is (`jpg`, `cls`, `json`)."""

Label = int | str | None


@dataclass(frozen=True, eq=False)
class Shard:
    """The images of one shard, in the order of the archive."""

    names: PackedNames
    """Names of the images: that of the shard, a slash, and that of the entry."""
    offsets: NDArray[np.int64]
    """Position of the contents of each image in the file of the shard, shape (N,)."""
    sizes: NDArray[np.int64]
    """Bytes of each image, shape (N,)."""
    digests: NDArray[np.uint8]
    """BLAKE2b of the contents of each image, shape (N, `DIGEST_BYTES`)."""
    hashes: NDArray[np.float64]
    """Number of each image that decides its split, as `hash_name` returns it, shape (N,)."""
    labels: list[Label]
    """Label of each image; None: it has none."""
    broken: dict[int, str] = field(default_factory=dict)
    """Problem of each image that cannot be used, by its index in the shard."""
    links: list[str] = field(default_factory=list)
    """Names of entries that are links, sparse files or devices, and are passed over."""
    without_image: int = 0
    """Number of samples without an image."""


def read_shard(path: Path, name: str, decode: bool) -> Shard:
    """Read the images of a shard once.

    Args:
        path: The tar archive.
        name: Its name, the first part of the names of its images.
        decode: Whether the images are decoded, which finds all that are damaged; else their headers are checked.

    Raises:
        UserError: The archive is torn, has an entry twice or two images of one sample, or a label is none.
        OSError: It cannot be read.
    """
    images, labels, links = dict[str, TarEntry](), dict[str, tuple[int, Label]](), list[str]()
    seen, rows, broken = set[str](), list[tuple[bytes, float]](), dict[int, str]()
    with open_regular_file(path) as file, silence_pillow():
        for entry in iterate_entries(file, path):
            if entry.name in seen:
                problem = "is in it twice; pack it again without the copies"
                raise UserError(f"{make_printable(path)}: {make_printable(entry.name)} {problem}")
            seen.add(entry.name)
            if (found := SAMPLE_NAME.fullmatch(entry.name)) is None:
                continue
            key, part = found[1], found[2].lower()
            if f".{part}" in IMAGE_SUFFIXES:
                if entry.kind != "file":
                    links.append(entry.name)
                    continue
                if key in images:
                    problem = f"{make_printable(images[key].name)} and {make_printable(entry.name)} are images of one"
                    raise UserError(f"{make_printable(path)}: {problem} sample; keep one of them")
                content = _read(file, entry)
                if (reason := find_problem(EncodedImage(entry.name, content), decode)) is not None:
                    broken[len(images)] = reason
                images[key] = entry
                digest = blake2b(content, digest_size=DIGEST_BYTES).digest()
                rows.append((digest, hash_name(f"{name}/{entry.name}")))
            elif part in ("cls", "json") and entry.kind == "file":
                with _name_entry(path, entry):
                    label = _read_label(part, _read(file, entry))
                rank = int(part == "json")  # a .cls counts before a .json
                if label is not None and rank <= labels.get(key, (rank, None))[0]:
                    labels[key] = rank, label
            elif part in ("cls", "json"):
                links.append(entry.name)
    entries = list(images.values())
    return Shard(
        names=PackedNames.pack(f"{name}/{entry.name}" for entry in entries),
        offsets=np.array([entry.offset for entry in entries], dtype=np.int64),
        sizes=np.array([entry.size for entry in entries], dtype=np.int64),
        digests=np.frombuffer(b"".join(digest for digest, _ in rows), dtype=np.uint8).reshape(-1, DIGEST_BYTES),
        hashes=np.array([number for _, number in rows], dtype=np.float64),
        labels=[labels.get(key, (0, None))[1] for key in images],
        broken=broken,
        links=links,
        without_image=len(labels.keys() - images.keys()),
    )


def find_problem(image: EncodedImage, decode: bool) -> str | None:
    """Return why an image cannot be used; None: it can.

    Args:
        image: The image.
        decode: Whether it is decoded; else its header is checked.
    """
    try:
        if decode:
            read_image(image, 8, 4)
            check_body(image)
        else:
            check_image(image)
    except UnreadableImageError as error:
        return error.reason
    return None


def _read(file: BinaryIO, entry: TarEntry) -> bytes:
    file.seek(entry.offset)
    return file.read(entry.size)


def _read_label(part: str, content: bytes) -> Label:
    """Return the label in an entry `.cls` or `.json`; None: the JSON has none.

    Raises:
        ValueError: It is neither a number from 0 nor text.
    """
    if len(content) > MAX_LABEL_BYTES:
        raise ValueError(f"more than {MAX_LABEL_BYTES:,} bytes")
    text = content.decode()
    if part == "cls":
        value: object = int(text) if re.fullmatch(r"\s*[+-]?\d{1,18}\s*", text) else text.strip()
    else:
        tree = json.loads(text)
        values = [tree[key] for key in LABEL_KEYS if isinstance(tree, dict) and tree.get(key) is not None]
        value = values[0] if values else None
    if value is None or (isinstance(value, str) and value):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MAX_CLASSES:
        return value
    raise ValueError(f"{format_value(value)} is no label; labels are numbers from 0 to {MAX_CLASSES - 1:,}, or text")


@contextmanager
def _name_entry(path: Path, entry: TarEntry) -> Iterator[None]:
    """Turn what is wrong with a label into one line that names the archive and the entry."""
    try:
        yield
    except (ValueError, RecursionError) as error:
        if isinstance(error, UserError):
            raise
        reason = "no JSON" if isinstance(error, json.JSONDecodeError | RecursionError) else str(error)
        if isinstance(error, UnicodeDecodeError):
            reason = "no text in UTF-8"
        raise UserError(f"{make_printable(path)}: {make_printable(entry.name)}: {reason}") from error
