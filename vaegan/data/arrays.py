"""The source `arrays`: images and labels in files of NumPy or safetensors."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vaegan.config.data import Crop, Fit
from vaegan.config.source_files import ARRAY_SUFFIXES
from vaegan.errors import UserError
from vaegan.io import open_regular_file
from vaegan.progress import ignore_notice
from vaegan.text import get_reason, make_printable

from .dataset import ImageReader, Source, UInt8Image
from .fit import fit_to_square, make_canvas, to_pil
from .image_file import MIN_IMAGE_SIDE_PIXELS, StoredImage
from .labels import check_labels
from .stored_npz import map_stored_array
from .verdicts import FileState, get_file_state

IMAGES, LABELS = "images", "labels"
"""Names of the two arrays in a file, or of their files in a folder."""
FIRST_ARRAY = "arr_0"
"""Name that NumPy gives to the first array of an `.npz` file, which samples are exchanged under; it stands for `IMAGES`
where these are missing."""
ARRAY_CHANNELS = (1, 2, 3, 4)
"""Channels that images in an array may have."""
ARRAY_MODES = ("L", "LA", "RGB", "RGBA")
"""Pillow's name of the pixels of 1 to 4 channels."""


class StoredArray(Protocol):
    """An array in memory or in a file, of which parts are read: a NumPy array, a memory map, a safetensors slice."""

    def __getitem__(self, index: Any, /) -> NDArray[Any]:
        """Return a part of the array."""


OpenedArray: TypeAlias = tuple[StoredArray, tuple[int, ...], str]
"""An array, its shape and the name of its dtype."""
ReadArray: TypeAlias = Callable[[str], OpenedArray]
"""Opens an array of a file by its name."""


@dataclass(frozen=True, eq=False)
class StoredArrayReader(ImageReader):
    """Images of an array in a file, fitted to the size of the config on access.

    It is pickled without the array, which the receiver opens again.
    """

    file: Path
    """File of the array, with an ending of `ARRAY_SUFFIXES`."""
    shape: tuple[int, ...]
    """Shape of the array: (N, H, W), (N, C, H, W) or (N, H, W, C)."""
    size: int
    channels: int
    fit: Fit = "crop"
    """The setting `data.fit`."""

    has_files: ClassVar[bool] = False

    @cached_property
    def array(self) -> StoredArray:
        """The array, uint8, memory-mapped; of a compressed `.npz` file it is in memory."""
        return open_array(self.file, IMAGES)[0]

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "array"}

    def __len__(self) -> int:
        return self.shape[0]

    def __call__(self, index: int) -> UInt8Image:
        """Return the pixels of image ``index``, uint8, shape (C, S, S)."""
        pixels = self._get_pixels(index)
        if pixels.shape == (self.channels, self.size, self.size):
            return pixels
        return fit_to_square(to_pil(pixels), self.size, self.channels, fit=self.fit)

    def load_canvas(self, index: int, crop: Crop) -> UInt8Image:
        """Return the pixels that random crops of image ``index`` are taken from, uint8, shape (C, H, W)."""
        return make_canvas(to_pil(self._get_pixels(index)), self.size, self.channels, crop)

    def _get_pixels(self, index: int) -> UInt8Image:
        """Return image ``index`` as it is stored, uint8, shape (C, H, W)."""
        pixels = np.array(self.array[index])
        if pixels.ndim == 3 and self.shape[1] not in ARRAY_CHANNELS:
            pixels = pixels.transpose(2, 0, 1)
        return np.ascontiguousarray(pixels.reshape(-1, *pixels.shape[-2:]))

    def describe(self, index: int) -> StoredImage:
        """Return the size of the images of the array, which are all alike."""
        lengths = self.shape[1:]
        first = len(lengths) == 3 and lengths[0] in ARRAY_CHANNELS
        height, width = lengths[1:] if first else lengths[:2]
        channels = 1 if len(lengths) == 2 else lengths[0 if first else 2]
        return StoredImage(width, height, ARRAY_MODES[channels - 1], self.file.suffix.lower().lstrip("."))

    def get_state(self, index: int) -> FileState:
        """Return the size of the file and the time of its last change, which are those of every image in it."""
        return get_file_state(self.file)

    def compute_digest(self) -> bytes:
        """Return a digest of the file's path, size and time of change."""
        return blake2b(repr((self.file, self.shape, self.get_state(0))).encode()).digest()


def open_arrays(root: Path, size: int, channels: int, notify: Callable[[str], None] = ignore_notice) -> Source:
    """Open images, and labels if there are any, of a `.npy`, `.npz` or `.safetensors` file or of a folder.

    A `.npy` file holds the images alone. The other files hold ``images`` (in an `.npz` the name may be ``arr_0``) and
    perhaps ``labels``, and a folder the files ``images.npy`` and perhaps ``labels.npy``. Images are uint8, shape
    (N, C, H, W), (N, H, W, C) or (N, H, W); labels are N integers from 0. The names of the classes are their numbers.

    Args:
        root: The file or folder.
        size: Height and width of the images.
        channels: Their channels.
        notify: Called with one line about arrays that may be labels by another name.

    Raises:
        UserError: A file is missing, torn or of another kind, or the arrays are not of these types and shapes.
    """
    images_file, labels_file = root, root
    if root.is_dir():
        images_file, labels_file = root / f"{IMAGES}.npy", root / f"{LABELS}.npy"
        if not os.path.lexists(images_file):
            raise UserError(f"data.root: {root}: no {images_file.name} in this folder; name a file, or put one there")
    elif root.suffix.lower() not in ARRAY_SUFFIXES:
        problem = "no such file" if not root.exists() else "not a file of arrays"
        raise UserError(f"data.root: {root}: {problem}; source=arrays reads {', '.join(ARRAY_SUFFIXES)}")
    array, shape, dtype = open_array(images_file, IMAGES)
    reader = StoredArrayReader(images_file, check_images(images_file, shape, dtype), size, channels)
    reader.__dict__["array"] = array  # which need not be opened twice
    labels = _read_labels(labels_file, shape[0], notify)
    classes = () if labels is None else tuple(map(str, range(int(labels.max()) + 1)))
    return Source(reader, classes, labels)


def check_images(file: Path, shape: tuple[int, ...], dtype: str) -> tuple[int, ...]:
    """Return the shape of an array, which can be one of images.

    Raises:
        UserError: It cannot, or it holds no image.
    """
    if dtype != "uint8":
        raise UserError(f"data.root: {file}: {IMAGES} of {dtype}; store uint8 pixels, 0 to 255")
    channels_at = [axis for axis in (1, 3) if len(shape) == 4 and shape[axis] in ARRAY_CHANNELS]
    sides = [length for axis, length in enumerate(shape) if axis > 0 and axis not in channels_at]
    if len(sides) != 2 or len(shape) not in (3, 4):
        raise UserError(
            f"data.root: {file}: {IMAGES} of shape {shape}; store (N, C, H, W), (N, H, W, C) or (N, H, W), C = 1 to 4"
        )
    if not shape[0]:
        raise UserError(f"data.root: {file}: there are no images in it")
    if min(sides) < MIN_IMAGE_SIDE_PIXELS:
        raise UserError(
            f"data.root: {file}: images of {sides[1]}x{sides[0]} pixels, fewer than {MIN_IMAGE_SIDE_PIXELS} on a side"
        )
    return shape


def open_array(file: Path, key: str, optional: bool = False) -> OpenedArray:
    """Open an array: a memory map of a `.npy` file, an entry of an `.npz` or `.safetensors` file.

    An entry of a compressed `.npz` is read into memory.

    Nothing that a file could name is run or unpickled.

    Args:
        file: The file.
        key: Name of the array; a `.npy` file has one array, without a name.
        optional: Whether to raise `KeyError` where the file has no such array.

    Returns:
        The array, its shape and the name of its dtype.

    Raises:
        UserError: The file is missing, torn or of another kind, or has no such array.
        KeyError: The file has no such array, and it is optional; its arguments are the names that the file has.
    """
    with _explain_errors(file):
        with open_regular_file(file):  # a pipe would be waited for
            pass
        kind = file.suffix.lower()
        if kind == ".npy":
            array = np.load(file, mmap_mode="r", allow_pickle=False)
            if not isinstance(array, np.ndarray):
                raise ValueError("an archive of arrays; rename it to .npz")
            return array, array.shape, str(array.dtype)
        names, read = (_open_npz if kind == ".npz" else _open_safetensors)(file)
        if kind == ".npz" and key == IMAGES and key not in names and FIRST_ARRAY in names:
            key = FIRST_ARRAY
        if key in names:
            return read(key)
    if optional:
        raise KeyError(*sorted(names))
    found = f"only {', '.join(sorted(names)[:5])}" if names else "nothing"
    raise UserError(f"data.root: {file}: no array {key} in it, {found}; store the pixels under the name {key}")


def _open_npz(file: Path) -> tuple[list[str], ReadArray]:
    archive = np.load(file, allow_pickle=False)
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise ValueError("a single array, not an archive of arrays; rename it to .npy")

    def read(key: str) -> OpenedArray:
        mapped = map_stored_array(file, key)
        array = archive[key] if mapped is None else mapped
        if not isinstance(array, np.ndarray):
            raise ValueError(f"{key} is not an array")
        return array, array.shape, str(array.dtype)

    return list(archive.files), read


def _open_safetensors(file: Path) -> tuple[list[str], ReadArray]:
    from safetensors import safe_open

    tensors: Any = safe_open(file, "np")  # its methods have no types

    def read(key: str) -> OpenedArray:
        part = tensors.get_slice(key)
        kind = part.get_dtype()
        return part, tuple(part.get_shape()), "uint8" if kind == "U8" else kind

    return list(tensors.keys()), read


def _read_labels(file: Path, count: int, notify: Callable[[str], None]) -> Tensor | None:
    """Return the labels of a file, int64, shape (N,); None: there are none.

    Raises:
        UserError: The file is torn, or they are not ``count`` integers from 0.
    """
    if file.suffix.lower() == ".npy" and (file.stem != LABELS or not os.path.lexists(file)):
        return None
    try:
        array, shape, _ = open_array(file, LABELS, optional=True)
    except KeyError as error:
        if others := [make_printable(name) for name in error.args if name not in (IMAGES, FIRST_ARRAY)]:
            named = ", ".join(others[:5])
            notify(f"data.root: {file}: no array {LABELS} in it, only {named}; the images have no labels")
        return None
    with _explain_errors(file):  # of a type that NumPy does not know, for example
        values = array[:] if shape else array
    try:
        return check_labels(values, count)
    except UserError as error:
        raise UserError(f"data.root: {file}: {str(error).removeprefix('data: ')}") from None


@contextmanager
def _explain_errors(file: Path) -> Iterator[None]:
    try:
        yield
    except MemoryError as error:
        raise UserError(f"data.root: {file}: too large for the memory; store it as .npy or .safetensors") from error
    except Exception as error:  # torn archives make their readers raise nearly anything
        reason = get_reason(error)
        reason = reason[:1].lower() + reason[1:] or type(error).__name__
        raise UserError(f"data.root: {file}: cannot be read as {file.suffix.lower()}: {reason}") from error
