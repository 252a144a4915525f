"""What a set of images is: sources that decode single images, and splits of them."""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaegan.errors import Failure, UserError

from .image_file import UnreadableImageError, silence_pillow

UInt8Image = NDArray[np.uint8]


class ImageReader(Protocol):
    """The images of a source, one by one. It is pickled into the processes that decode ahead."""

    def __len__(self) -> int:
        """Number of images."""

    def __call__(self, index: int) -> UInt8Image:
        """Image ``index``, shape (C, S, S).

        Raises:
            Unreadable: Its file is not an image, or is gone.
        """

    def check(self, index: int) -> None:
        """Look at image ``index`` without decoding it; raises Unreadable where that shows it to be broken."""

    def digest(self) -> bytes:
        """What tells this source's images from others'."""


@dataclass(frozen=True)
class SplitIndices:
    """Which images of a source are in which split: int64 indices."""

    train: Tensor
    validation: Tensor
    test: Tensor


@dataclass(frozen=True)
class Source:
    """A set before its splits are drawn and its images cached."""

    decoder: ImageReader
    """The images."""
    classes: tuple[str, ...] = ()
    """Class names; () if there are no labels."""
    labels: Tensor | None = None
    """Class of each image, int64, shape (N,)."""
    parts: SplitIndices | None = None
    """The splits that the source itself sets; None: they are drawn."""
    held_out: Tensor | None = None
    """The images of the official test split; None: it is drawn as well."""


@dataclass(frozen=True, eq=False)
class Images:
    """A split of a set, in memory or decoded when asked for."""

    store: Tensor | ImageReader
    """The whole set: uint8 pixels (N, C, S, S), or what decodes it."""
    part: Tensor
    """The images of the set that are in this split, int64, shape (M,)."""
    labels: Tensor | None
    """Class of each image of this split, int64, shape (M,); None if the set has no labels."""
    classes: tuple[str, ...]
    """Class names."""
    _copies: dict[torch.device, Tensor] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.part)

    def __getitem__(self, indices: Tensor) -> Tensor:
        """Images by number: int64, shape (B,) => uint8, shape (B, C, S, S), on the CPU.

        Raises:
            Failure: An image that was readable when the set was opened no longer is.
        """
        chosen = self.part[indices]
        if isinstance(self.store, Tensor):
            return self.store[chosen]
        try:
            with silence_pillow():
                return torch.from_numpy(np.stack([self.store(index) for index in chosen.tolist()]))
        except UnreadableImageError as error:
            raise Failure(f"{error.file}: {error.reason}; mend or restore this image, then resume") from error

    def select_evenly(self, count: int) -> Tensor:
        """The numbers of ``count`` images at even distances, int64; all of them if there are no more.

        Sets are often sorted by class, so that the first images would be of one class.
        """
        count = min(count, len(self))
        return torch.arange(count) * len(self) // max(1, count)

    def label(self, index: int) -> str | None:
        """Class name of an image; None if the set has no labels."""
        return None if self.labels is None else self.classes[int(self.labels[index])]

    def require_labels(self, key: str, classes: int) -> Tensor:
        """The class of each image, int64, shape (M,), for who has learnt or is to learn so many ``classes``.

        Args:
            key: The setting that says how many they are.
            classes: What it says.

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

    def get_labels(self, indices: Tensor, classes: int | None) -> Tensor | None:
        """The classes of images by number, int64, shape (B,), for a model of so many; None for an unconditional one.

        Raises:
            UserError: As `require_labels`.
        """
        return None if classes is None else self.require_labels("model.labels", classes)[indices]

    @property
    def in_memory(self) -> bool:
        """Whether the pixels are in memory."""
        return isinstance(self.store, Tensor)

    @property
    def nbytes(self) -> int:
        """Bytes of this split's pixels in memory; 0 if they are not."""
        return len(self) * self.store[0].nbytes if isinstance(self.store, Tensor) else 0

    def on(self, device: torch.device) -> Tensor:
        """All pixels of this split on a device, uint8, shape (M, C, S, S); copied there once."""
        if device not in self._copies:
            self._copies[device] = self[torch.arange(len(self))].to(device)
        return self._copies[device]


@dataclass(frozen=True, eq=False)
class Data:
    """A set of images and its three splits, which never overlap."""

    train: Images
    validation: Images
    test: Images
    classes: tuple[str, ...]
    """Class names; () if the set has no labels."""
    fingerprint: str
    """Hex digest of the set as configured: of its pixels, or under ``cache: none`` of its files' names and sizes."""
