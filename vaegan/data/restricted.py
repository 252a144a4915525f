"""Reading CIFAR-10's pickled batches without running anything that a pickle may ask for."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaegan.errors import Mistake


class _Type:
    """Stands for a numpy.dtype; only bytes are read."""

    def __init__(self, code: object = None, *_: object) -> None:
        if code != "u1":
            raise pickle.UnpicklingError(f"an array of {code!r}, not of bytes")

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


def _latin1(text: str, encoding: str) -> bytes:
    """Stands for codecs.encode, with which Python 3 writes bytes into a protocol 2 pickle."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"text in {encoding!r}")
    return text.encode("latin1")


ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _latin1,
}
"""All that a batch file may name, and what stands for it."""


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return ALLOWED[module, name]


def read_batch(path: Path) -> dict[str, Any]:
    """A mapping of strings, numbers, lists and byte arrays, pickled by Python 2 or 3.

    Raises:
        Mistake: The file is damaged, or asks for anything else. Nothing of it has then been run.
    """
    try:
        with path.open("rb") as file:
            tree = _Reader(file, encoding="latin1").load()
        if not isinstance(tree, dict):
            raise pickle.UnpicklingError("not a mapping")
        return {key: value.numpy() if isinstance(value, _Array) else value for key, value in tree.items()}
    except Exception as error:  # damaged pickles raise nearly anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise Mistake(f"data.root: {path}: refused as a CIFAR-10 batch file: {reason}") from error
