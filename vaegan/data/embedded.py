"""Sources that need no download, scikit-learn's digits and photographs, and the reader of images in an array."""

from dataclasses import dataclass
from hashlib import blake2b
from itertools import accumulate

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from vaegan.config.data import Crop, Fit

from .dataset import ImageReader, Source, SplitIndices, UInt8Image
from .fit import DATA_VERSION, fit_to_square, make_canvas
from .image_file import StoredImage

TEST_COLUMNS, VALIDATION_COLUMNS = (128, 224), (384, 480)
"""Columns of each photograph reserved for a held-out split: parts of both motifs, cut between JPEG blocks."""


@dataclass(frozen=True)
class ArrayReader(ImageReader):
    """Images of one array, resized on access."""

    pixels: NDArray[np.uint8]
    """Grey, shape (N, H, W), or colour, shape (N, H, W, 3)."""
    size: int
    channels: int
    pad: int = 0
    """Black pixels added on each side of an image before it is resized."""
    version: int = DATA_VERSION
    """The `data.version`, by which they are resized."""
    fit: Fit = "crop"
    """The setting `data.fit`."""

    def __len__(self) -> int:
        return len(self.pixels)

    def __call__(self, index: int) -> UInt8Image:
        """Decode image ``index`` into uint8 pixels, shape (C, S, S)."""
        return fit_to_square(self._get_image(index), self.size, self.channels, self.version, self.fit)

    def load_canvas(self, index: int, crop: Crop) -> UInt8Image:
        """Return the pixels that random crops of image ``index`` are taken from, uint8, shape (C, H, W)."""
        return make_canvas(self._get_image(index), self.size, self.channels, crop)

    def _get_image(self, index: int) -> Image.Image:
        image = self.pixels[index]
        if self.pad:
            image = np.pad(image, [(self.pad, self.pad)] * 2 + [(0, 0)] * (image.ndim - 2))
        return Image.fromarray(image)

    def describe(self, index: int) -> StoredImage:
        """Return the size of image ``index`` before it is padded."""
        height, width, *colours = self.pixels.shape[1:]
        return StoredImage(width, height, "RGB" if colours else "L", "array")

    def compute_digest(self) -> bytes:
        """Return a digest of the raw pixels."""
        return blake2b(np.ascontiguousarray(self.pixels).data).digest()


def open_digits(size: int, channels: int) -> Source:
    """Open scikit-learn's 1,797 handwritten digits, 8x8 pixels of 0 to 16 (UCI test set, Alpaydin & Kaynak 1998)."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    pixels = np.rint(images.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    classes = tuple(map(str, range(10)))
    return Source(ArrayReader(pixels, size, channels), classes, torch.from_numpy(labels.astype(np.int64)))


@dataclass(frozen=True)
class CropReader(ImageReader):
    """Random crops of photographs; image ``index`` is a function of ``index`` and its split.

    A held-out split has the columns `TEST_COLUMNS` or `VALIDATION_COLUMNS` of every photograph to itself, so that no
    two splits share a pixel. Sides are drawn between twice the image size (within 32 and 64) and 96 pixels in all
    splits.
    """

    photographs: tuple[NDArray[np.uint8], ...]
    """The photographs, RGB, each of shape (H, W, 3)."""
    size: int
    channels: int
    stops: tuple[int, ...]
    """Index after the last image of the train, the validation and the test split."""

    def __len__(self) -> int:
        return self.stops[-1]

    def __call__(self, index: int) -> UInt8Image:
        """Decode image ``index`` into uint8 pixels, shape (C, S, S)."""
        left, top, side = self.compute_box(index)
        crop = self.photographs[index % len(self.photographs)][top : top + side, left : left + side]
        return fit_to_square(Image.fromarray(crop), self.size, self.channels)

    def compute_box(self, index: int) -> tuple[int, int, int]:
        """Return the left edge, the top edge and the side of a crop, in pixels of its photograph."""
        height, width, _ = self.photographs[index % len(self.photographs)].shape
        scale, across, down = draw_uniforms("photos", index)[:3]
        smallest, largest = min(max(2 * self.size, 32), 64), 96
        side = smallest + int(scale * (largest - smallest + 1))
        columns = self._get_columns(index, width)
        lefts = [left for start, stop in columns for left in range(start, stop - side + 1)]
        return lefts[int(across * len(lefts))], int(down * (height - side + 1)), side

    def _get_columns(self, index: int, width: int) -> list[tuple[int, int]]:
        """Return the ranges of columns, each (start, stop), that belong to an image's split."""
        train, validation, test = self.stops
        if index >= train:
            return [VALIDATION_COLUMNS if index < validation else TEST_COLUMNS]
        reserved = [TEST_COLUMNS] * (test > validation) + [VALIDATION_COLUMNS] * (validation > train)
        edges = [0, *(edge for columns in reserved for edge in columns), width]
        return list(zip(edges[::2], edges[1::2], strict=True))

    def compute_digest(self) -> bytes:
        """Return a digest of the photographs."""
        return blake2b(b"".join(photograph.tobytes() for photograph in self.photographs)).digest()


def open_photos(size: int, channels: int, splits: SplitIndices) -> Source:
    """Open crops of scikit-learn's two photographs, which take turns; the photograph is the label."""
    from sklearn.datasets import load_sample_images

    sample = load_sample_images()
    photographs = tuple(np.asarray(image, dtype=np.uint8) for image in sample.images)
    classes = tuple(str(name).replace("\\", "/").rsplit("/", 1)[-1].split(".")[0] for name in sample.filenames)
    reader = CropReader(photographs, size, channels, tuple(accumulate(map(len, splits))))
    return Source(reader, classes, torch.arange(len(reader)) % len(photographs), splits)


def draw_uniforms(source: str, index: int) -> NDArray[np.float64]:
    """Draw 16 uniform numbers in [0, 1) as a function of a source's name and an image's index, float64, shape (16,)."""
    digest = blake2b(f"{source} {index}".encode(), digest_size=64).digest()
    return np.frombuffer(digest, dtype="<u4") / 2.0**32
