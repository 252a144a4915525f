"""Files whose headers were found intact, kept in the cache folder so that a second start opens none of them."""

import os
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vaegan.data.dataset import ImageReader
from vaegan.data.verdicts import FileState
from vaegan.io import open_regular_file, replace_file

Marks = NDArray[np.uint64]


class HeaderChecks:
    """The files of a set whose headers are intact, each as 8 bytes that are a function of its name and state.

    A file that was written or replaced has another state, so that it is checked again; a chance of one in 10^12 that
    it is passed over remains with ten million files.

    Args:
        file: File of the checks; None: they are not kept.
        count: Number of images of the set.
    """

    def __init__(self, file: Path | None, count: int) -> None:
        self.file = file
        self.known = _load(file) if file is not None else np.empty(0, dtype="<u8")
        self.intact = np.zeros(count, dtype="<u8")
        self.opened = np.zeros(count, dtype=bool)

    def check(self, reader: ImageReader, index: int, state: FileState) -> None:
        """Check the header of an image, unless that was done before.

        Args:
            reader: The set.
            index: Index of the image in it.
            state: State of its file.

        Raises:
            UnreadableImageError: The header is broken.
        """
        mark = _hash(reader.get_name(index), state)
        place = int(np.searchsorted(self.known, mark))
        if place == len(self.known) or self.known[place] != mark:
            self.opened[index] = True
            reader.check(index)
            if reader.get_state(index) != state:  # written meanwhile
                return
        self.intact[index] = mark

    def save(self) -> None:
        """Write the checks, if there are new ones and they can be written."""
        if self.file is None or not self.opened.any():
            return
        with suppress(OSError):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with replace_file(self.file, f".{os.getpid()}") as partial:  # other processes may write the same file
                np.unique(self.intact[self.intact > 0]).tofile(partial)


def _hash(name: str, state: FileState) -> np.uint64:
    text = f"{name}\0{tuple(state)}".encode("utf-8", "surrogatepass")
    return np.uint64(int.from_bytes(blake2b(text, digest_size=8).digest(), "little"))


def _load(file: Path) -> Marks:
    """Return the checks in a file, sorted, uint64, shape (N,); none if it is missing or damaged."""
    try:
        with open_regular_file(file) as stream:
            return np.memmap(stream, dtype="<u8", mode="r")
    except (OSError, ValueError):
        return np.empty(0, dtype="<u8")
