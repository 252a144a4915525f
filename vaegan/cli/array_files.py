"""NumPy files that commands write, beside their pictures or in the place of one."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from vaegan.errors import Failure, UserError
from vaegan.paths import check_file_is_writable

from .console import Console

if TYPE_CHECKING:
    from torch import Tensor


def check_array_file(picture: Path) -> Path:
    """Check that the `.npy` file of a picture's name can be written beside it, and return its path.

    Raises:
        UserError: It is a folder.
        FileFailure: It cannot be written.
    """
    file = picture.with_suffix(".npy")
    if file.is_dir():
        raise UserError(f"--output {picture}: {file}, the array beside the picture, is a folder; name another picture")
    check_file_is_writable(file)
    return file


def write_array(values: "Tensor", file: Path, console: Console) -> None:
    """Save values as a NumPy file, which is replaced as a whole, and print its name, shape and type.

    Raises:
        Failure: The file cannot be written.
    """
    import numpy as np

    array = values.cpu().numpy()
    _write(file, lambda stream: np.save(stream, array, allow_pickle=False))
    console.say(f"{file}: {array.dtype}, shape {' x '.join(map(str, array.shape))}")


def write_samples(images: "Tensor", file: Path, console: Console) -> None:
    """Save images as the array `arr_0` of an `.npz` file, uint8, shape (N, S, S, C), as evaluators of samples take it.

    Args:
        images: uint8, shape (N, C, S, S).
        file: The file, which is replaced as a whole.
        console: Takes its name, shape and type.

    Raises:
        Failure: The file cannot be written.
    """
    import numpy as np

    from vaegan.images import to_colour_arrays

    array = to_colour_arrays(images)
    _write(file, lambda stream: np.savez(stream, array))
    console.say(f"{file}: arr_0, {array.dtype}, shape {' x '.join(map(str, array.shape))}")


def _write(file: Path, save: Callable[[BinaryIO], None]) -> None:
    from vaegan.io import replace_file
    from vaegan.text import get_reason

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(file) as partial, partial.open("wb") as stream:
            save(stream)
    except OSError as error:
        raise Failure(f"{file}: {get_reason(error)}") from None
