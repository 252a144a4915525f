"""Many names in one block of bytes, as a sequence of text."""

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray


class PackedNames(Sequence[str]):
    """An immutable sequence of names, held as one block of bytes and the place where each ends.

    Ten million names of 22 characters take 260 MB in place of 790, and processes that are forked share them: no name is
    an object whose count of references a reader would write to.

    Args:
        blob: The names one after another, encoded as file names are, uint8, shape (bytes,); may be mapped into memory.
        ends: Position in the block after each name, integers, shape (N,).
    """

    __slots__ = ("blob", "ends")

    def __init__(self, blob: NDArray[np.uint8], ends: NDArray[np.integer]) -> None:
        self.blob, self.ends = blob, ends

    @classmethod
    def pack(cls, names: Iterable[str]) -> "PackedNames":
        """Return names as such a sequence; their text may hold bytes that are not UTF-8, as `os.fsdecode` gives it."""
        if isinstance(names, PackedNames):
            return names
        blob, lengths = bytearray(), []
        for name in names:
            encoded = os.fsencode(name)
            blob += encoded
            lengths.append(len(encoded))
        ends = np.cumsum(np.asarray(lengths, dtype=np.int64))
        small = len(blob) < 2**32
        return cls(np.frombuffer(bytes(blob), dtype=np.uint8), ends.astype(np.uint32) if small else ends)

    def get_bytes(self, index: int) -> bytes:
        """Return a name as bytes, by its index from 0 to N - 1."""
        start = int(self.ends[index - 1]) if index else 0
        return self.blob[start : int(self.ends[index])].tobytes()

    def __len__(self) -> int:
        return len(self.ends)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return tuple(self[number] for number in range(*index.indices(len(self))))
        number = index + len(self) if index < 0 else index
        if not 0 <= number < len(self):
            raise IndexError("index out of range")
        return os.fsdecode(self.get_bytes(number))

    def __iter__(self) -> Iterator[str]:
        return (self[number] for number in range(len(self)))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, PackedNames):
            return np.array_equal(self.ends, other.ends) and np.array_equal(self.blob, other.blob)
        if isinstance(other, tuple | list):
            return len(self) == len(other) and all(one == two for one, two in zip(self, other, strict=True))
        return NotImplemented

    def __hash__(self) -> int:
        return hash((len(self), self.blob[:4096].tobytes()))

    def __repr__(self) -> str:
        shown = [repr(name) for name in self[:3]] + ["..."] * (len(self) > 3)
        return f"PackedNames({len(self):,}: {', '.join(shown)})"
