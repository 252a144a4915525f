"""The file of compressed images: the message of each, and behind them an index, a description and a digest of both.

The messages begin behind `MAGIC` and follow one another. The index holds arrays of little-endian numbers of all images,
compressed by zlib: bytes of each message, its CRC-32, bytes of each name; of a PixelCNN the CRC-32 of the symbols; of a
conditional model the class; of images that keep their sizes height and width; then the names. The end of the file,
`END`, has the sizes of index and description and the SHA-256 of both.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, BinaryIO, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from vaegan.config.section import Count, Section
from vaegan.data.large_sets.packed_names import PackedNames
from vaegan.errors import Failure, UserError
from vaegan.io import MAX_TEXT_FILE_BYTES, open_regular_file, replace_file
from vaegan.latents.pictures import check_name
from vaegan.storage.run_folder import ImageShape
from vaegan.text import get_reason, shorten

from .prior import Digest

MAGIC = b"\x89VAEGAN\n"
"""Beginning of every such file."""
VERSION = 1
"""Version of the format, which stands behind the magic."""
END = struct.Struct("<QQ32s")
"""Bytes of the compressed index, bytes of the description, SHA-256 of what both are made of."""
MAX_INDEX_BYTES, MAX_ENTRY_BYTES = 2**31, 2**13
"""Most bytes of an index, and of one image in it, which has a path of 4,096 bytes at most."""
MAX_PIXELS = 2**28
"""Most pixels of an image that keeps its size, more than are read from a file."""
START_BYTES = len(MAGIC) + 1


class CompressedDescription(Section):
    """What the images of a file were compressed by."""

    weights: Digest
    """SHA-256 of the file of the weights of the model."""
    prior: Digest
    """Digest of the prior of its codes."""
    image_shape: ImageShape
    """Shape (C, S, S) of the images of the model."""
    tile_side: Annotated[int, Field(ge=0)] | None = None
    """Side of the tiles of larger images, in pixels, where images keep their sizes; 0: they stay whole; None: all
    images have the shape `image_shape`."""
    coder: Literal["values", "indices", "pixelcnn"]
    """Values of vectors or grids under tables, indices under a table, or indices under a PixelCNN."""
    multiple: Count
    """The step of values, in units of two cells of the prior; 1 of indices."""
    step: float
    """The step of values; 1 of indices."""
    classes: Annotated[int, Field(ge=1)] | None
    """Number of classes of the model; None: it is unconditional."""
    batch_size: Count
    """Images that are decoded at a time."""
    images: Count
    """Number of images."""

    @property
    def columns(self) -> list[str]:
        """Names of the arrays of the index."""
        checks = ["symbol_checks"] if self.coder == "pixelcnn" else []
        labels = ["labels"] if self.classes is not None else []
        sides = ["heights", "widths"] if self.tile_side is not None else []
        return ["sizes", "checks", "name_sizes", *checks, *labels, *sides]


class Message(NamedTuple):
    """The message of an image."""

    name: str
    """Path of the image, with forward slashes, that leads nowhere else."""
    content: bytes
    """The message."""
    symbol_check: int
    """CRC-32 of the symbols."""
    label: int
    """Class of the image; 0 if there are none."""
    height: int
    """Rows of the image."""
    width: int
    """Columns of the image."""


class CompressedWriter:
    """A writer of messages one after another.

    Args:
        file: The open file.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._columns: dict[str, bytearray] = {
            name: bytearray()
            for name in ("sizes", "checks", "name_sizes", "symbol_checks", "labels", "heights", "widths")
        }
        self._names = bytearray()
        self.images = self.message_bytes = self.pixels = 0
        file.write(MAGIC + bytes([VERSION]))

    def add(self, message: Message) -> None:
        """Append a message.

        Raises:
            OSError: The file cannot be written.
        """
        name = os.fsencode(message.name)
        numbers = {
            "sizes": len(message.content), "checks": zlib.crc32(message.content), "name_sizes": len(name),
            "symbol_checks": message.symbol_check, "labels": message.label, "heights": message.height,
            "widths": message.width,
        }  # fmt: skip
        for key, number in numbers.items():
            self._columns[key] += number.to_bytes(4, "little")
        self._names += name
        self._file.write(message.content)
        self.images += 1
        self.message_bytes += len(message.content)
        self.pixels += message.height * message.width

    def finish(self, description: CompressedDescription) -> None:
        """Write what stands behind the messages.

        Raises:
            OSError: The file cannot be written.
        """
        compressor = zlib.compressobj(9)
        parts = [bytes(self._columns[name]) for name in description.columns] + [bytes(self._names)]
        index = b"".join([compressor.compress(part) for part in parts]) + compressor.flush()
        text = description.model_dump_json(exclude_defaults=True).encode()
        self._file.write(index + text + END.pack(len(index), len(text), _hash(index, text)))


@contextmanager
def write_compressed(file: Path) -> Iterator[CompressedWriter]:
    """Yield a writer of a file that takes its place when the block has finished it; its folder need not exist.

    Raises:
        OSError: The file cannot be written; the error names it.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(file) as partial, partial.open("xb") as stream:
            yield CompressedWriter(stream)
    except OSError as error:  # on a full disk it names no file
        raise OSError(error.errno, error.strerror, error.filename or str(file)) from error


@dataclass(frozen=True, eq=False)
class CompressedFile:
    """The index of a file of compressed images, of which any one can be read.

    Attributes:
        path: The file.
        description: What the images were compressed by.
        digest: SHA-256 of index and description, hexadecimal, and so of all messages by their checks.
        file_bytes: Size of the file.
        ends: Place behind each message, int64, shape (N,).
        names: Name of each image.
        columns: The other arrays of the index, by their names.
    """

    path: Path
    description: CompressedDescription
    digest: str
    file_bytes: int
    ends: NDArray[np.int64]
    names: PackedNames
    columns: dict[str, NDArray[np.uint32]]

    @property
    def message_bytes(self) -> int:
        """Bytes of all messages."""
        return int(self.ends[-1]) - START_BYTES

    def get_size(self, row: int) -> tuple[int, int] | None:
        """Return height and width of an image that keeps its size; None: all images have the size of the model."""
        if self.description.tile_side is None:
            return None
        return int(self.columns["heights"][row]), int(self.columns["widths"][row])

    def read_messages(self, rows: list[int]) -> list[bytes]:
        """Read the messages of some images.

        Raises:
            Failure: One is damaged.
            OSError: The file cannot be read.
        """
        messages = []
        with open_regular_file(self.path) as stream:
            for row in rows:
                end, size = int(self.ends[row]), int(self.columns["sizes"][row])
                stream.seek(end - size)
                message = stream.read(size)
                if len(message) != size or zlib.crc32(message) != self.columns["checks"][row]:
                    raise Failure(f"{self.path}: damaged ({shorten(self.names[row])} does not match its checksum)")
                messages.append(message)
        return messages


def read_compressed(file: Path) -> CompressedFile:
    """Read the index of a file of compressed images.

    Raises:
        UserError: There is no such file, it is another one, of a later version, or it is torn or damaged.
    """
    try:
        with open_regular_file(file) as stream:
            return _read(file, stream)
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"{file}: {get_reason(error)}; give a file that `vaegan compress` has written") from None
    except (ValueError, KeyError, zlib.error, struct.error) as error:
        raise UserError(f"{file}: torn or damaged ({get_reason(error)}); copy or compress it again") from None


def _read(file: Path, stream: BinaryIO) -> CompressedFile:
    """Read the index of an open file.

    Raises:
        UserError: It is another file.
        ValueError: It is damaged.
    """
    start = stream.read(START_BYTES)
    if start[: len(MAGIC)] != MAGIC:
        raise UserError(f"{file}: no compressed images; give a file that `vaegan compress` has written")
    if start[len(MAGIC) :] != bytes([VERSION]):
        version = start[-1] if len(start) == START_BYTES else "none"
        raise UserError(f"{file}: of version {version} of the format, and this vaegan reads {VERSION}; install its own")
    total = stream.seek(0, os.SEEK_END)
    stream.seek(max(START_BYTES, total - END.size))
    index_bytes, text_bytes, digest = END.unpack(stream.read())
    place = total - END.size - index_bytes - text_bytes
    if place < START_BYTES or text_bytes > MAX_TEXT_FILE_BYTES:
        raise ValueError("its end is missing")
    stream.seek(place)
    index, text = stream.read(index_bytes), stream.read(text_bytes)
    if _hash(index, text) != digest:
        raise ValueError("its end does not match its digest")
    description = CompressedDescription.model_validate_json(text)
    count, columns, inflater = description.images, {}, zlib.decompressobj()
    content = inflater.decompress(index, min(MAX_INDEX_BYTES, count * MAX_ENTRY_BYTES))
    for number, name in enumerate(description.columns):
        columns[name] = np.frombuffer(content, dtype="<u4", count=count, offset=4 * count * number)
    blob = np.frombuffer(content, dtype=np.uint8, offset=4 * count * len(columns))
    name_ends = columns["name_sizes"].cumsum(dtype=np.int64)
    ends = START_BYTES + columns["sizes"].cumsum(dtype=np.int64)
    if name_ends[-1] != len(blob) or ends[-1] != place:
        raise ValueError("its index is not that of its messages")
    _check_columns(description, columns)
    names = PackedNames(blob, name_ends)
    for name in names:
        check_name(name)
    return CompressedFile(file, description, digest.hex(), total, ends, names, columns)


def _check_columns(description: CompressedDescription, columns: dict[str, NDArray[np.uint32]]) -> None:
    """Check the classes and the sizes of images.

    Raises:
        ValueError: One is none of the model, or of no image that is read.
    """
    if description.classes is not None and columns["labels"].max() >= description.classes:
        raise ValueError("a class is none of its model")
    if description.tile_side is not None:
        pixels = columns["heights"].astype(np.uint64) * columns["widths"]
        if description.batch_size != 1 or pixels.min() < 1 or pixels.max() > MAX_PIXELS:
            raise ValueError("a size is that of no image")


def _hash(index: bytes, text: bytes) -> bytes:
    sizes = struct.pack("<QQ", len(index), len(text))
    return sha256(MAGIC + bytes([VERSION]) + sizes + index + text).digest()
