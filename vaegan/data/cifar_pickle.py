"""Reading of CIFAR-10's pickled batches without running any code that a pickle names."""

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
"""Largest size of a batch file."""
MAX_TUPLES = 100
"""Tuples in one file, which needs three for an array. Python crashes on a million nested ones."""


class _DtypeStandIn:
    """Stand-in for `numpy.dtype`; accepts unsigned bytes alone."""

    def __init__(self, code: object = None, *_: object) -> None:
        if code != "u1":
            raise pickle.UnpicklingError("an array that is not of bytes")

    def __setstate__(self, state: object) -> None:
        """Ignore the state, which is not needed."""


class _ArrayStandIn:
    """Stand-in for `numpy.ndarray`: holds the shape and content that the pickle gives."""

    def __init__(self, *_: object) -> None:
        self.shape: Any = ()
        self.content: Any = b""

    def __setstate__(self, state: Any) -> None:
        """Set shape and content from numpy's state (version, shape, dtype, is_fortran, content)."""
        _, self.shape, _, fortran, self.content = state
        if fortran:
            raise pickle.UnpicklingError("an array in Fortran order")

    def numpy(self) -> NDArray[np.uint8]:
        """Return the array, uint8."""
        content = self.content.encode("latin1") if isinstance(self.content, str) else self.content
        return np.frombuffer(content, dtype=np.uint8).reshape(self.shape)


class _EncodeStandIn:
    """Stand-in for `codecs.encode`, with which Python 3 writes bytes into a pickle of protocol 2."""

    def __new__(cls, text: str, encoding: str) -> Any:
        """Return the bytes, not an instance."""
        if encoding != "latin1":
            raise pickle.UnpicklingError("text that is not Latin-1")
        return text.encode("latin1")

    def __setstate__(self, state: object) -> None:
        """Ignore the state; without this method a pickle could set attributes of the class."""


ALLOWED_GLOBALS: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _ArrayStandIn,
    ("numpy._core.multiarray", "_reconstruct"): _ArrayStandIn,
    ("numpy", "ndarray"): _ArrayStandIn,
    ("numpy", "dtype"): _DtypeStandIn,
    ("_codecs", "encode"): _EncodeStandIn,
}
"""All globals that a batch file may name, and their stand-ins."""


class _SafeUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED_GLOBALS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return ALLOWED_GLOBALS[module, name]


def read_cifar_batch(path: Path) -> dict[str, Any]:
    """Read a mapping of strings, numbers, lists and byte arrays that Python 2 or 3 pickled.

    Raises:
        UserError: The file is damaged, or names another global. No code from it has been run.
    """
    try:
        data = read_bytes(path, MAX_BATCH_FILE_BYTES)
        if sum(opcode.name.startswith("TUPLE") for opcode, _, _ in pickletools.genops(data)) > MAX_TUPLES:
            raise pickle.UnpicklingError(f"more than {MAX_TUPLES} tuples")
        tree = _SafeUnpickler(io.BytesIO(data), encoding="latin1").load()
        if not isinstance(tree, dict):
            raise pickle.UnpicklingError("not a mapping")
        return {key: value.numpy() if isinstance(value, _ArrayStandIn) else value for key, value in tree.items()}
    except Exception as error:  # damaged pickles raise nearly anything
        reason = to_one_line(error) or type(error).__name__
        raise UserError(f"data.root: {path}: refused as a CIFAR-10 batch file: {reason}") from error
