"""Images that are given in Python, as an array or a data set, instead of being read from where the config says."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, ClassVar, Protocol, TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vaegan.config.data import Crop, Fit
from vaegan.config.load import merge
from vaegan.config.section import LARGEST_SIDE, MULTIPLE_OF_SIDE, SMALLEST_SIDE
from vaegan.errors import UserError
from vaegan.progress import ProgressCallback, ignore_progress
from vaegan.text import shorten, to_one_line

from .dataset import ImageReader, Source, UInt8Image
from .fit import DATA_VERSION, fit_to_square, make_canvas, to_pil
from .image_file import turn_upright
from .labels import check_labels

GREY_MODES = ("1", "L", "LA", "I;16")
"""Modes of PIL images without colour."""


class RandomAccess(Protocol):
    """Items by their index: an array, a tensor, a list, a `torch.utils.data.Dataset`."""

    def __len__(self) -> int:
        """Return the number of items."""

    def __getitem__(self, index: int, /) -> Any:
        """Return an item."""


GivenImages: TypeAlias = RandomAccess | tuple[RandomAccess, Sequence[int] | Tensor]
"""Images as an array or tensor, uint8, shape (N, C, S, S); or a pair (images, labels) of such an array and integers of
shape (N,); or any data set with random access, whose items are a uint8 array or tensor of shape (C, S, S) or a PIL
image, each alone or in a pair (image, label)."""

REREAD_IMAGES = 16
"""Images that are read twice, to see whether they are the same."""
ROW_NAMES = (("image", "img", "images"), ("label", "labels", "class"))
"""Names that a row of a table may have for its image and its label."""


@dataclass(frozen=True, eq=False)
class GivenReader(ImageReader):
    """Images of a data set, fitted to the size of the config on access."""

    items: RandomAccess
    size: int
    channels: int
    sha256: str = ""
    """SHA-256 of the fitted images and their labels, hexadecimal."""
    version: int = DATA_VERSION
    """The `data.version`, by which they are fitted."""
    fit: Fit = "crop"
    """The setting `data.fit`."""

    thread_safe: ClassVar[bool] = False
    has_files: ClassVar[bool] = False

    def __len__(self) -> int:
        return len(self.items)

    def __call__(self, index: int) -> UInt8Image:
        """Return the pixels of image ``index``, uint8, shape (C, S, S).

        Raises:
            UserError: It is no image.
        """
        image = self._get_upright(index)
        if not isinstance(image, Image.Image):
            if image.shape == (self.channels, self.size, self.size):
                return np.ascontiguousarray(image)
            image = to_pil(image)
        with _name_errors(index):
            return fit_to_square(image, self.size, self.channels, self.version, self.fit)

    def load_canvas(self, index: int, crop: Crop) -> UInt8Image:
        """Return the pixels that random crops of image ``index`` are taken from, uint8, shape (C, H, W)."""
        image = self._get_upright(index)
        with _name_errors(index):
            image = image if isinstance(image, Image.Image) else to_pil(image)
            return make_canvas(image, self.size, self.channels, crop)

    def _get_upright(self, index: int) -> UInt8Image | Image.Image:
        """Return image ``index``; a PIL image is turned in its place as its EXIF says, once."""
        image = get_image(get_item(self.items, index), index)
        if isinstance(image, Image.Image) and self.version > 1:
            with _name_errors(index):
                turn_upright(image)
        return image

    def compute_digest(self) -> bytes:
        """Return the SHA-256 of images and labels."""
        return bytes.fromhex(self.sha256)


@contextmanager
def _name_errors(index: int) -> Iterator[None]:
    try:
        yield
    except (ValueError, OSError) as error:
        raise UserError(f"data: image {index}: {to_one_line(error)}") from None


def open_given(
    images: GivenImages,
    size: int,
    channels: int,
    progress: ProgressCallback = ignore_progress,
    version: int = DATA_VERSION,
    fit: Fit = "crop",
) -> tuple[Source, str]:
    """Return given images as a source, and the SHA-256 of the fitted images with their labels, hexadecimal.

    Every image is read once for that.

    Args:
        images: The images, with their labels if there are any.
        size: Height and width S that they are fitted to.
        channels: Channels C that they are converted to, 1 to 4.
        progress: Called with the number of images read and their total.
        version: The `data.version` of the run.
        fit: The setting `data.fit`.

    Raises:
        UserError: There are no images, images or labels are not of the described kinds, or an image is another one
            when it is read again.
    """
    items, labels = separate_labels(images)
    labels = read_labels(items) if labels is None else check_labels(labels, len(items))
    reader = GivenReader(items, size, channels, version=version, fit=fit)
    digest, first = sha256(f"{len(items)} {channels} {size}".encode()), list[bytes]()
    for index in range(len(reader)):
        pixels = reader(index)
        digest.update(pixels.data)
        if index < REREAD_IMAGES:
            first.append(pixels.tobytes())
        progress(index + 1, len(reader))
    for index, before in enumerate(first):
        if reader(index).tobytes() != before:
            problem = f"image {index} is another one when it is read again"
            raise UserError(f"data: {problem}; leave random transforms out (data.horizontal_flip=true mirrors images)")
    classes: tuple[str, ...] = ()
    if labels is not None:
        digest.update(labels.numpy().data)
        classes = name_classes(images, int(labels.max()) + 1)
    return Source(replace(reader, sha256=digest.hexdigest()), classes, labels), digest.hexdigest()


def describe_given(images: GivenImages, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that make a config one of given images.

    They have the channels of the first image, and its size if it is square, unless ``settings`` say others. Images that
    are not square, and PIL images of a side that is no `data.image_size`, keep the size of the config.

    Args:
        images: The images.
        settings: Nested settings that the user gives.

    Raises:
        UserError: There are no images, the first is not of the described kinds, or it is an array whose side is no
            `data.image_size`.
    """
    items, _ = separate_labels(images)
    image, chosen = get_image(get_item(items, 0), 0), settings.get("data", {})
    if not isinstance(chosen, Mapping):
        return dict(settings)  # which the schema refuses
    if isinstance(image, Image.Image):
        channels, height, width = 1 if image.mode in GREY_MODES else 3, image.height, image.width
    else:
        channels, height, width = image.shape
    shape, side = {"channels": channels}, height
    if height == width and "image_size" not in chosen:
        if side % MULTIPLE_OF_SIDE == 0 and SMALLEST_SIDE <= side <= LARGEST_SIDE:
            shape["image_size"] = side
        elif not isinstance(image, Image.Image):
            nearest = min(max(SMALLEST_SIDE, MULTIPLE_OF_SIDE * round(side / MULTIPLE_OF_SIDE)), LARGEST_SIDE)
            sides = f"a multiple of {MULTIPLE_OF_SIDE} from {SMALLEST_SIDE} to {LARGEST_SIDE:,}"
            problem = f"images of {side} pixels, but a side is {sides}"
            raise UserError(f"data: {problem}; resize them by the setting data.image_size={nearest}")
    shape |= chosen
    elsewhere: dict[str, Any] = dict.fromkeys(("root", "folders", "hub", "image_column", "label_column", "count"))
    elsewhere |= {"strict": False, "download": False}
    return merge(settings, {"data": {"source": "given", **elsewhere, **shape}})


def separate_labels(images: GivenImages) -> tuple[RandomAccess, Sequence[int] | Tensor | None]:
    """Return the images, and the labels that are given beside them; None: they are in the items, or there are none.

    Raises:
        UserError: There are no images, or they have no random access.
    """
    items: Any = images
    labels: Any = None
    if isinstance(images, tuple | list) and len(images) == 2 and getattr(images[0], "ndim", 0) == 4:
        items, labels = images
    if isinstance(items, Mapping) and items:
        keys = list(items)
        entry = next(key for key in ("train", "images", *keys) if key in keys)
        problem = f"a {type(items).__name__} of {', '.join(map(shorten, keys[:5]))} is no set of images"
        raise UserError(f"data: {problem}; pass one of its entries, such as dataset[{entry!r}]")
    if isinstance(items, str) or not (hasattr(items, "__len__") and hasattr(items, "__getitem__")):
        problem = f"a {type(items).__name__} has no random access, len(data) and data[index]"
        raise UserError(f"data: {problem}; give an array of images, or a Dataset")
    if getattr(items, "ndim", 4) != 4:
        raise UserError(f"data: an array of shape {tuple(items.shape)}; give uint8, shape (N, C, S, S)")
    if not len(items):
        raise UserError("data: there are no images in it")
    return items, labels


def get_item(items: RandomAccess, index: int) -> Any:
    """Return an item of a data set.

    Raises:
        UserError: There is none of this index, although the data set has so many.
    """
    try:
        return items[index]
    except (KeyError, IndexError) as error:
        reason = f"{type(error).__name__}: {to_one_line(error)}"
        problem = f"no item {index} in a {type(items).__name__} of {len(items):,} ({reason})"
        raise UserError(f"data: {problem}; give one whose items have the numbers from 0") from error


def read_labels(items: RandomAccess) -> Tensor | None:
    """Return the labels in the items of a data set, int64, shape (N,); None: they are images alone.

    Raises:
        UserError: Only some items have a label, or the labels are not integers from 0.
    """
    if not is_pair(get_item(items, 0)):
        return None
    return check_labels([get_label(get_item(items, index), index) for index in range(len(items))], len(items))


def is_pair(item: Any) -> bool:
    """Return whether an item is a pair of an image and its label."""
    return isinstance(item, tuple | list) and len(item) == 2


def get_image(item: Any, index: int) -> UInt8Image | Image.Image:
    """Return the image of an item: uint8 pixels, shape (C, H, W), or a PIL image.

    Raises:
        UserError: The item is neither an image nor a pair of an image and its label.
    """
    image = item[0] if isinstance(item, tuple | list) and len(item) in (1, 2) else item  # TensorDataset has tuples of 1
    if isinstance(image, Image.Image):
        return image
    if not isinstance(image, np.ndarray | Tensor):
        advice = "give a uint8 array, a tensor or a PIL image, or (image, label)"
        if isinstance(image, Mapping):
            names = [next((key for key in image if key in keys), keys[0]) for keys in ROW_NAMES]
            advice += ", such as [({}) for row in data]".format(", ".join(f"row[{name!r}]" for name in names))
        raise UserError(f"data: item {index} is a {type(image).__name__}; {advice}")
    if image.dtype not in (np.uint8, torch.uint8):
        advice = "give uint8 pixels, 0 to 255; of a data set with ToTensor, leave that transform out"
        raise UserError(f"data: image {index} is of {str(image.dtype).removeprefix('torch.')}; {advice}")
    try:
        pixels = image.cpu().numpy() if isinstance(image, Tensor) else image
    except (TypeError, RuntimeError, NotImplementedError):  # it is sparse, or has no values
        raise UserError(f"data: image {index} is a tensor that NumPy does not read; give an ordinary one") from None
    if pixels.ndim != 3 or pixels.shape[0] not in (1, 2, 3, 4) or 0 in pixels.shape:
        raise UserError(f"data: image {index} has the shape {pixels.shape}; give (C, S, S), with C = 1 to 4 in front")
    return pixels


def get_label(item: Any, index: int) -> Any:
    """Return the label of an item.

    Raises:
        UserError: The item is no pair.
    """
    if not is_pair(item):
        raise UserError(
            f"data: item {index} has no label, and item 0 has one; give pairs (image, label), or images alone"
        )
    return item[1]


def name_classes(images: GivenImages, count: int) -> tuple[str, ...]:
    """Return the names of the classes: the data set's own (`classes`, as in torchvision), or else their numbers."""
    names = tuple(map(str, getattr(images, "classes", ())))
    return names if len(names) >= count else tuple(map(str, range(count)))
