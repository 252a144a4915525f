"""Arrays of an uncompressed `.npz` file, which stay in the file until parts of them are read."""

import struct
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

CHECKED_BYTES = 2**20
"""Bytes that are read at a time for the checksum."""
LOCAL_HEADER_BYTES = 30
"""Bytes in front of the name of an entry of a zip file, of which the last four are the lengths of name and extras."""


def map_stored_array(file: Path, name: str) -> NDArray[Any] | None:
    """Return an array of an `.npz` file as a memory map; None: that takes a copy in memory, or no array has this name.

    It does if the array is compressed, empty, or made of Python's objects.

    The array is read once, for its checksum.

    Raises:
        Exception: The file is torn, of a class that is the reader's.
    """
    with ZipFile(file) as archive:
        if f"{name}.npy" not in archive.namelist():
            return None
        entry = archive.getinfo(f"{name}.npy")
        if entry.compress_type != ZIP_STORED:
            return None
        with archive.open(entry) as stream:
            while stream.read(CHECKED_BYTES):
                pass
    with file.open("rb") as raw:
        raw.seek(entry.header_offset)
        lengths: tuple[int, int] = struct.unpack("<HH", raw.read(LOCAL_HEADER_BYTES)[-4:])
        raw.seek(sum(lengths), 1)
        version = npy.read_magic(raw)
        if version > (2, 0):
            return None
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, is_fortran, dtype = read_header(raw)
        if dtype.hasobject or not dtype.itemsize or 0 in shape or not shape:
            return None
        return np.memmap(file, dtype, "r", raw.tell(), shape, "F" if is_fortran else "C")
