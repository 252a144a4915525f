"""Image sets: readers that decode single images, the splits, and the images of a split."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaegan.config.data import Crop
from vaegan.errors import Failure, UserError
from vaegan.text import make_printable

from .crops import cut_crop
from .image_file import StoredImage, UnreadableImageError, silence_pillow
from .members import NO_DIFFERENCES, Differences, MemberList
from .verdicts import FileState

UInt8Image = NDArray[np.uint8]
"""Pixels of one image, uint8, shape (C, S, S)."""


class ImageReader(Protocol):
    """Random access to the images of a source. It is pickled into the processes that decode ahead.

    Attributes:
        thread_safe: Whether several threads may decode at once.
        has_files: Whether images are decoded from files, whose sizes tell one set of very many images from another.
    """

    thread_safe: ClassVar[bool] = True
    has_files: ClassVar[bool] = True

    def __len__(self) -> int:
        """Return the number of images."""

    def __call__(self, index: int) -> UInt8Image:
        """Decode image ``index`` into uint8 pixels, shape (C, S, S).

        Raises:
            UnreadableImageError: Its file is not an image, or no longer exists.
        """

    def load_canvas(self, index: int, crop: Crop) -> UInt8Image:
        """Return the pixels that random crops of image ``index`` are taken from, uint8, shape (C, H, W).

        Sources whose images are drawn as squares of the size of the config return these, shape (C, S, S).

        Raises:
            UnreadableImageError: Its file is not an image, or no longer exists.
        """
        return self(index)

    def get_name(self, index: int) -> str:
        """Return the name of image ``index``, by default its number."""
        return str(index)

    def locate(self, index: int) -> str:
        """Return where image ``index`` is, for a message; by default its name."""
        return make_printable(self.get_name(index))

    def get_state(self, index: int) -> FileState:
        """Return what changes when the file of image ``index`` is written; by default it never is."""
        return FileState()

    def compute_image_digest(self, index: int, pixels_digest: bytes) -> str:
        """Return a digest of the bytes of image ``index``, hexadecimal; by default that of its pixels, which is given.

        Raises:
            UnreadableImageError: Its file cannot be read.
        """
        return pixels_digest.hex()

    def describe(self, index: int) -> StoredImage | None:
        """Return what image ``index`` is before it is decoded; None, the default: it is drawn at any size.

        Raises:
            UnreadableImageError: Its file cannot be opened, or is no image.
        """
        return None

    def check(self, index: int) -> None:
        """Check image ``index`` without decoding it; by default it cannot be broken.

        Raises:
            UnreadableImageError: Its file can be seen to be broken.
        """
        return

    def check_body(self, index: int) -> None:
        """Check that image ``index``, which can be decoded, has all of its pixels; by default it has.

        Raises:
            UnreadableImageError: Some are missing or damaged.
        """
        return

    def compute_digest(self) -> bytes:
        """Return a digest that identifies the images of the source."""


class SplitIndices(NamedTuple):
    """Indices of the source's images in each split, int64."""

    train: Tensor
    validation: Tensor
    test: Tensor


@dataclass(frozen=True)
class Source:
    """An image set before it is split and cached."""

    reader: ImageReader
    """Decoder of its images."""
    classes: tuple[str, ...] = ()
    """Class names; () if there are no labels."""
    labels: Tensor | None = None
    """Class of each image, int64, shape (N,)."""
    splits: SplitIndices | None = None
    """Splits that the source defines; None: they are drawn."""
    test_indices: Tensor | None = None
    """Images of the official test split, int64; None: the test split is drawn too."""
    official_splits: tuple[str, ...] = ()
    """Split of each image of a set whose contents can change and that comes with splits; (): they are drawn."""
    label_by_folder: bool = False
    """True if the class of an image is the folder in its name, so that classes without a usable image are none."""

    def get_class_path(self, index: int) -> str:
        """Return the name of image ``index`` without the folder of its split, so that its folder is its class."""
        name = self.reader.get_name(index)
        return name.partition("/")[2] if self.official_splits else name


@contextmanager
def _explain_unreadable() -> Iterator[None]:
    try:
        with silence_pillow():
            yield
    except UnreadableImageError as error:
        raise Failure(f"{error.file}: {error.reason}; mend or restore this image, then resume") from error


@dataclass(frozen=True, eq=False)
class Images:
    """The images of one split, in memory or decoded on access."""

    store: Tensor | ImageReader
    """All images of the set: uint8 pixels, shape (N, C, S, S), or the reader that decodes it."""
    indices: Tensor
    """Indices in the set of this split's images, int64, shape (M,)."""
    labels: Tensor | None
    """Class of each image of this split, int64, shape (M,); None if the set has no labels."""
    classes: tuple[str, ...]
    """Class names."""
    canvases: Sequence[UInt8Image] | None = None
    """Images that random crops are cut from, uint8, shape (C, H, W), in memory; None: they are decoded on access."""
    _copies: dict[torch.device, Tensor] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, positions: Tensor) -> Tensor:
        """Return images by their position in the split: int64, shape (B,) => uint8, shape (B, C, S, S), on the CPU.

        Raises:
            Failure: An image that was readable when the set was opened no longer is.
        """
        indices = self.indices[positions]
        if isinstance(self.store, Tensor):
            return self.store[indices]
        with _explain_unreadable():
            return torch.from_numpy(np.stack([self.store(index) for index in indices.tolist()]))

    def cut_crops(self, positions: Tensor, numbers: Tensor, crop: Crop, size: int) -> Tensor:
        """Return random crops of images by their position in the split, on the CPU.

        Args:
            positions: The images, int64, shape (B,).
            numbers: What the crops are a function of, in [0, 1), float64, shape (B, `crops.CROP_NUMBERS`).
            crop: Kind of the crops.
            size: Their height and width S.

        Returns:
            uint8 pixels, shape (B, C, S, S).

        Raises:
            Failure: An image that was readable when the set was opened no longer is.
        """
        with _explain_unreadable():
            canvases = [self._load_canvas(position, crop) for position in positions.tolist()]
        pairs = zip(canvases, numbers.numpy(), strict=True)
        return torch.from_numpy(np.stack([cut_crop(canvas, size, crop, row) for canvas, row in pairs]))

    def _load_canvas(self, position: int, crop: Crop) -> UInt8Image:
        if self.canvases is not None:
            return self.canvases[position]
        assert not isinstance(self.store, Tensor), "pixels in memory were cropped already"
        return self.store.load_canvas(int(self.indices[position]), crop)

    def select_evenly(self, count: int) -> Tensor:
        """Return ``count`` evenly spaced positions in the split, int64; all positions if it has no more images.

        Sets are often sorted by class, so that the first images would be of one class.
        """
        count = min(count, len(self))
        return torch.arange(count) * len(self) // max(1, count)

    def require_labels(self, key: str, classes: int) -> Tensor:
        """Return the class of each image, int64, shape (M,), for a model of ``classes`` classes.

        Args:
            key: Setting that gives the number of classes, for the message.
            classes: Its value.

        Raises:
            UserError: The set has no labels, or another number of classes.
        """
        if self.labels is None or len(self.classes) < 2:
            raise UserError(
                "data.source: these images have no labels to learn; of source=folder the folder that an image lies in"
                " is its label: put the images of each class into one of their own",
                on_all_ranks=True,
            )
        if len(self.classes) != classes:
            raise UserError(
                f"{key}: {classes}, but the images of data.source have {len(self.classes)} classes;"
                f" give {key}={len(self.classes)}",
                on_all_ranks=True,
            )
        return self.labels

    def get_labels(self, positions: Tensor, classes: int | None) -> Tensor | None:
        """Return the classes of images by their position in the split, int64, shape (B,) => int64, shape (B,).

        Args:
            positions: The images.
            classes: Number of classes of the model; None: it is unconditional, and so is the result.

        Raises:
            UserError: The set has no labels, or another number of classes.
        """
        return None if classes is None else self.require_labels("model.labels", classes)[positions]

    @property
    def in_memory(self) -> bool:
        """True if the pixels are in memory."""
        return isinstance(self.store, Tensor)

    @property
    def nbytes(self) -> int:
        """Bytes of this split's pixels in memory; 0 if they are decoded on access."""
        return len(self) * self.store[0].nbytes if isinstance(self.store, Tensor) else 0

    def copy_to(self, device: torch.device) -> Tensor:
        """Return all pixels of this split on a device, uint8, shape (M, C, S, S); they are copied there once."""
        if device not in self._copies:
            self._copies[device] = self[torch.arange(len(self))].to(device)
        return self._copies[device]


@dataclass(frozen=True, eq=False)
class Data:
    """An image set and its three disjoint splits."""

    train: Images
    validation: Images
    test: Images
    classes: tuple[str, ...]
    """Class names; () if the set has no labels."""
    fingerprint: str
    """Hex digest of the set as configured: of names, classes and bytes of the images of each split. Under
    `data.version` 1, of its pixels, or under ``cache: none`` of its files' names and sizes."""
    members: MemberList | None = None
    """The list of its images, if its contents can change."""
    differences: Differences = NO_DIFFERENCES
    """Differences from the images of the run that it was opened for."""
