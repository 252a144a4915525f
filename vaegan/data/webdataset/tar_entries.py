"""The entries of a tar archive, read one after another without unpacking any."""

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

from vaegan.errors import UserError
from vaegan.text import get_reason, make_printable, shorten

BLOCK_BYTES = tarfile.BLOCKSIZE
"""Bytes of a block, of which a tar archive is made."""
PACKED = {
    b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"\x04\x22\x4d\x18": "lz4"
}  # fmt: skip
"""First bytes of compressed files, and the program that they are of."""


class TarEntry(NamedTuple):
    """An entry of an archive."""

    name: str
    """Its path in the archive, without ``./`` in front."""
    offset: int
    """Position of its contents in the file of the archive."""
    size: int
    """Bytes of its contents."""
    kind: Literal["file", "link", "other"]
    """A regular file, a hard or symbolic link, or a sparse file, a device or a pipe; folders are left out."""


def iterate_entries(file: BinaryIO, path: Path) -> Iterator[TarEntry]:
    """Yield the entries of an uncompressed tar archive (ustar, GNU or pax), in their order, with their whole names.

    Args:
        file: The archive, opened at its start. Its position may be changed between two entries.
        path: Its path, for messages.

    Raises:
        UserError: It is compressed, no archive, or torn: an entry is cut short, a header is damaged, or the empty block
            at its end is missing.
    """
    place, size = make_printable(path), os.fstat(file.fileno()).st_size
    head = file.read(8)
    file.seek(0)
    for magic, program in PACKED.items():
        if head.startswith(magic):
            problem = f"compressed by {program}, so that images in it cannot be read one by one"
            raise UserError(f"{place}: {problem}; decompress it")
    try:
        with tarfile.open(fileobj=file, mode="r:", encoding="utf-8", errors="surrogateescape") as archive:
            while (entry := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined]  # it would keep every entry
                if entry.isreg() and entry.offset_data + entry.size > size:
                    raise tarfile.ReadError(f"{shorten(entry.name)} is cut short")
                if not entry.isdir():
                    yield _describe(entry)
            end = archive.offset
    except (tarfile.TarError, ValueError, OSError, EOFError) as error:
        raise UserError(f"{place}: torn, or no tar archive ({get_reason(error)}); restore it") from error
    file.seek(end)
    block = file.read(BLOCK_BYTES)
    if end + BLOCK_BYTES > size:
        raise UserError(f"{place}: torn: it ends after {size:,} bytes without the mark of its end; restore it")
    if block.strip(b"\0"):
        raise UserError(f"{place}: damaged: no header of an entry at byte {end:,}; restore it")


def _describe(entry: tarfile.TarInfo) -> TarEntry:
    kind: Literal["file", "link", "other"] = "file" if entry.isreg() and not entry.issparse() else "other"
    if entry.islnk() or entry.issym():
        kind = "link"
    return TarEntry(entry.name.removeprefix("./"), entry.offset_data, entry.size, kind)
