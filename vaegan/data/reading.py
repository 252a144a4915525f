"""Reading of all images of a source in threads: decoded into memory, or verified, with digests and what is broken."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import torch
from torch import Tensor

from vaegan.data.large_sets.header_checks import HeaderChecks
from vaegan.data.large_sets.packed_names import PackedNames
from vaegan.progress import ProgressCallback
from vaegan.text import to_one_line

from .dataset import ImageReader, UInt8Image
from .image_file import UnreadableImageError, silence_pillow
from .verdicts import FileState, Verdict, Verdicts

CHUNK_IMAGES = 128
"""Images of one task of a thread, and between two calls of the progress callback."""
MAX_VERIFIED_IMAGES = 10**6
"""Most files of a set whose members are known by their contents, for which all are decoded before a training; those of
a larger set are known by their sizes, wherever the pixels are kept."""

MAX_NAMED_FILES = 20
"""Broken files that a warning names; it counts the others."""

Notify = Callable[[str], None]
"""A function that is called with one-line warnings."""
Allocate = Callable[[tuple[int, ...]], UInt8Image]
"""A function that returns a uint8 array of a shape."""
BrokenImages = dict[int, UnreadableImageError]
"""Index and error of each image that cannot be used."""


def allocate_here(shape: tuple[int, ...]) -> UInt8Image:
    """Return uint8 pixels in the memory of this process alone, not filled."""
    return np.empty(shape, dtype=np.uint8)


@dataclass(frozen=True, eq=False)
class ReadImages:
    """The images of a source, after each of them was visited once."""

    store: Tensor | ImageReader
    """Pixels of all images, uint8, shape (N, C, S, S), undefined for broken ones; or the reader that decodes them."""
    broken: BrokenImages
    """Images that cannot be used."""
    digests: Sequence[str] = ()
    """Digest of the bytes of each image, hexadecimal; its size in bytes if there are too many to be read. None of them,
    if they were not asked for."""
    contents: tuple[bytes, ...] = ()
    """Digest of the pixels of each image; empty if they were not decoded."""
    unverified: int = 0
    """Images of which only the headers were ever checked."""


def read_images(
    reader: ImageReader,
    shape: tuple[int, int, int],
    in_memory: bool,
    verdicts: Verdicts | None,
    threads: int,
    progress: ProgressCallback,
    verify: bool = False,
    allocate: Allocate = allocate_here,
) -> ReadImages:
    """Visit every image of a source.

    Args:
        reader: The images.
        shape: Shape (C, S, S) of each image.
        in_memory: Whether the pixels are kept.
        verdicts: Those of earlier visits, which spare decoding where pixels are not kept, and which the new ones are
            added to; None: no digests are needed, and of images that are not kept only the headers are checked.
        threads: Number of threads. Numpy's operations on small arrays are fastest in one.
        progress: Called with the number of images done and their total.
        verify: Whether more than `MAX_VERIFIED_IMAGES` files are decoded too. Their digests are their sizes even then.
        allocate: Returns the array for the pixels that are kept.
    """
    count = len(reader)
    too_many = reader.has_files and count > MAX_VERIFIED_IMAGES
    if in_memory:
        pixels = allocate((count, *shape))
    decodes = in_memory or (verdicts is not None and (verify or not too_many))
    found: list[Verdict] = [Verdict()] * count
    is_verified = np.ones(count, dtype=bool)
    headers = None if decodes or verdicts is None else HeaderChecks(verdicts.headers_file, count)

    def visit(index: int) -> None:
        state = reader.get_state(index) if verdicts is not None else FileState()
        known = verdicts.find(reader.get_name(index), state) if verdicts is not None and not in_memory else None
        if known is not None:
            found[index] = known
            if known.reason is not None:
                raise UnreadableImageError(reader.locate(index), to_one_line(known.reason))
            return
        if not decodes:
            if headers is None:
                reader.check(index)
            else:
                headers.check(reader, index, state)
            is_verified[index] = False
            return
        try:
            image = reader(index)
            if verdicts is not None:
                reader.check_body(index)
        except UnreadableImageError as error:
            if verdicts is not None and error.is_lasting and reader.get_state(index) == state:
                verdicts.add(reader.get_name(index), state, Verdict(reason=error.reason))
            raise
        if in_memory:
            pixels[index] = image
        if verdicts is not None:
            content = blake2b(image.data, digest_size=16).digest()
            found[index] = Verdict(reader.compute_image_digest(index, content), content)
            if reader.get_state(index) == state:
                verdicts.add(reader.get_name(index), state, found[index])

    broken = visit_images(count, visit, threads, progress)
    store = torch.from_numpy(pixels) if in_memory else reader
    if verdicts is None:
        return ReadImages(store, broken)
    verdicts.save()
    if headers is not None:
        headers.save()
    if too_many:
        sizes = PackedNames.pack(str(reader.get_state(index).size) for index in range(count))
        return ReadImages(store, broken, sizes, (b"",) * count, int(count - is_verified.sum()))
    digests, contents = tuple(each.digest for each in found), tuple(each.content for each in found)
    return ReadImages(store, broken, digests, contents)


def describe_broken(errors: Sequence[UnreadableImageError]) -> str:
    """Return the files that cannot be used as images, each with the reason, in at most `MAX_NAMED_FILES` names."""
    files = [f"{error.file} ({error.reason})" for error in errors]
    more = f" and {len(files) - MAX_NAMED_FILES} more" if len(files) > MAX_NAMED_FILES else ""
    return ", ".join(files[:MAX_NAMED_FILES]) + more


def visit_images(count: int, action: Callable[[int], None], threads: int, progress: ProgressCallback) -> BrokenImages:
    """Call an action with the index of every image, in threads, and return the errors of images that cannot be used.

    Args:
        count: Number of images.
        action: Called with each index.
        threads: Number of threads.
        progress: Called with the number of images done and their total, from this thread.
    """

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
