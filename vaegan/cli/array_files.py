"""NumPy files that commands write beside their pictures."""

from pathlib import Path
from typing import TYPE_CHECKING

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

    from vaegan.io import replace_file
    from vaegan.text import get_reason

    array = values.cpu().numpy()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(file) as partial, partial.open("wb") as stream:
            np.save(stream, array, allow_pickle=False)
    except OSError as error:
        raise Failure(f"{file}: {get_reason(error)}") from None
    console.say(f"{file}: {array.dtype}, shape {' x '.join(map(str, array.shape))}")
