"""Reading CIFAR-10's pickled batches without running anything that a pickle may ask for."""

import io
import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaegan.errors import UserError
from vaegan.io import read_bytes
from vaegan.text import to_one_line

MAX_BATCH_FILE_BYTES = 2**30
"""Bytes of a file."""
MAX_TUPLES = 100
"""Of one file, which needs three for an array. Python crashes on a million of them inside one another."""


class _Type:
    """Stands for a numpy.dtype; only bytes are read."""

    def __init__(self, code: object = None, *_: object) -> None:
        if code != "u1":
            raise pickle.UnpicklingError("an array that is not of bytes")

    def __setstate__(self, state: object) -> None:
        """Nothing in it is needed."""


class _Array:
    """Stands for a numpy.ndarray: keeps what the pickle says of it."""

    def __init__(self, *_: object) -> None:
        self.shape: Any = ()
        self.content: Any = b""

    def __setstate__(self, state: Any) -> None:
        """Keep shape and content of numpy's (version, shape, dtype, is_fortran, content)."""
        _, self.shape, _, fortran, self.content = state
        if fortran:
            raise pickle.UnpicklingError("an array in Fortran order")

    def numpy(self) -> NDArray[np.uint8]:
        """The array."""
        content = self.content.encode("latin1") if isinstance(self.content, str) else self.content
        return np.frombuffer(content, dtype=np.uint8).reshape(self.shape)


class _Bytes:
    """Stands for codecs.encode, with which Python 3 writes bytes into a protocol 2 pickle."""

    def __new__(cls, text: str, encoding: str) -> Any:
        """The bytes; not an instance."""
        if encoding != "latin1":
            raise pickle.UnpicklingError("text that is not Latin-1")
        return text.encode("latin1")

    def __setstate__(self, state: object) -> None:
        """Without it a pickle could set attributes of this class."""


ALLOWED_GLOBALS: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _Bytes,
}
"""All that a batch file may name, and what stands for it."""


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED_GLOBALS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return ALLOWED_GLOBALS[module, name]


def read_cifar_batch(path: Path) -> dict[str, Any]:
    """A mapping of strings, numbers, lists and byte arrays, pickled by Python 2 or 3.

    Raises:
        UserError: The file is damaged, or asks for anything else. Nothing of it has then been run.
    """
    try:
        data = read_bytes(path, MAX_BATCH_FILE_BYTES)
        if sum(opcode.name.startswith("TUPLE") for opcode, _, _ in pickletools.genops(data)) > MAX_TUPLES:
            raise pickle.UnpicklingError(f"more than {MAX_TUPLES} tuples")
        tree = _Reader(io.BytesIO(data), encoding="latin1").load()
        if not isinstance(tree, dict):
            raise pickle.UnpicklingError("not a mapping")
        return {key: value.numpy() if isinstance(value, _Array) else value for key, value in tree.items()}
    except Exception as error:  # damaged pickles raise nearly anything
        reason = to_one_line(error) or type(error).__name__
        raise UserError(f"data.root: {path}: refused as a CIFAR-10 batch file: {reason}") from error
