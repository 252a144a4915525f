"""Going through a whole source at the start, in threads."""

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import torch
from torch import Tensor

from vaegan.progress import ProgressCallback

from .dataset import ImageReader
from .image_file import UnreadableImageError, silence_pillow

CHUNK_IMAGES = 128
"""Images of one task of a thread, and between two calls of the progress callback."""

BrokenImages = dict[int, UnreadableImageError]
"""What is wrong with each image that cannot be used."""


def decode_all(
    decoder: ImageReader, shape: tuple[int, int, int], threads: int, progress: ProgressCallback
) -> tuple[Tensor, BrokenImages]:
    """Decode every image.

    Args:
        decoder: The images.
        shape: Of each image: (C, S, S).
        threads: How many to decode in. Numpy's steps on small arrays go fastest in one.
        progress: Told of the images done.

    Returns:
        uint8 pixels of all images, shape (N, C, S, S), those of broken ones undefined; and the broken ones.
    """
    pixels = np.empty((len(decoder), *shape), dtype=np.uint8)

    def decode(index: int) -> None:
        pixels[index] = decoder(index)

    broken = _visit(len(decoder), decode, threads, progress)
    return torch.from_numpy(pixels), broken


def find_broken_images(decoder: ImageReader, threads: int, progress: ProgressCallback) -> BrokenImages:
    """Find the images that can be seen to be broken without decoding them."""
    return _visit(len(decoder), decoder.check, threads, progress)


def _visit(count: int, action: Callable[[int], None], threads: int, progress: ProgressCallback) -> BrokenImages:
    def visit(start: int) -> BrokenImages:
        broken = {}
        for index in range(start, min(start + CHUNK_IMAGES, count)):
            try:
                action(index)
            except UnreadableImageError as error:
                broken[index] = error
        return broken

    found: BrokenImages = {}
    with silence_pillow(), ThreadPoolExecutor(threads) as pool, closing(_map(pool, visit, count)) as results:
        for number, broken in enumerate(results, start=1):
            found |= broken
            progress(min(number * CHUNK_IMAGES, count), count)
    return found


def _map(
    pool: ThreadPoolExecutor, visit: Callable[[int], BrokenImages], count: int
) -> Generator[BrokenImages, None, None]:
    """Results in order; when it is closed early, as by Ctrl-C, what has not begun is dropped."""
    try:
        yield from pool.map(visit, range(0, count, CHUNK_IMAGES))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
