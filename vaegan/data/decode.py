"""Decoding and checking of a whole source when it is opened, in threads."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from vaegan.progress import ProgressCallback

from .dataset import ImageReader
from .image_file import UnreadableImageError, silence_pillow

CHUNK_IMAGES = 128
"""Images of one task of a thread, and between two calls of the progress callback."""

BrokenImages = dict[int, UnreadableImageError]
"""Index and error of each image that cannot be used."""


def decode_all(
    reader: ImageReader, shape: tuple[int, int, int], threads: int, progress: ProgressCallback
) -> tuple[Tensor, BrokenImages]:
    """Decode every image.

    Args:
        reader: The images.
        shape: Shape (C, S, S) of each image.
        threads: Number of threads. Numpy's operations on small arrays are fastest in one.
        progress: Called with the number of images done and their total.

    Returns:
        The pixels of all images, uint8, shape (N, C, S, S), undefined for broken ones; and the broken images.
    """
    pixels = np.empty((len(reader), *shape), dtype=np.uint8)

    def decode(index: int) -> None:
        pixels[index] = reader(index)

    broken = _visit_all(len(reader), decode, threads, progress)
    return torch.from_numpy(pixels), broken


def find_broken_images(reader: ImageReader, threads: int, progress: ProgressCallback) -> BrokenImages:
    """Find the images that are seen to be broken without decoding them."""
    return _visit_all(len(reader), reader.check, threads, progress)


def _visit_all(count: int, action: Callable[[int], None], threads: int, progress: ProgressCallback) -> BrokenImages:
    def visit_chunk(start: int) -> BrokenImages:
        broken = {}
        for index in range(start, min(start + CHUNK_IMAGES, count)):
            try:
                action(index)
            except UnreadableImageError as error:
                broken[index] = error
        return broken

    broken_images: BrokenImages = {}
    with silence_pillow(), ThreadPoolExecutor(threads) as pool:
        try:
            for number, broken in enumerate(pool.map(visit_chunk, range(0, count, CHUNK_IMAGES)), start=1):
                broken_images |= broken
                progress(min(number * CHUNK_IMAGES, count), count)
        finally:  # on Ctrl-C, for example, the chunks that have not begun are dropped
            pool.shutdown(wait=False, cancel_futures=True)
    return broken_images
