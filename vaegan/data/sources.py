"""Opening of the image set that the `data` section of a config names: decoding it in threads, and its splits."""

import math
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vaegan.config.schema import Config, DataConfig
from vaegan.distributed import count_cpu_cores, run_on_all_ranks
from vaegan.errors import UserError
from vaegan.progress import ProgressCallback, Reporter, ignore_progress
from vaegan.text import make_encodable

from .arrays import open_arrays
from .dataset import Data, ImageReader, Images, Source, SplitIndices
from .embedded import open_digits, open_photos
from .folder import FileReader, open_folder
from .given import GivenImages, open_given
from .image_file import UnreadableImageError, silence_pillow
from .official import open_celeba, open_cifar10, open_mnist
from .shapes import open_shapes
from .splits import draw_splits, split_consecutively

MAX_MEMORY_BYTES = 4 * 2**30
"""Largest size of the pixels that `data.cache: auto` holds in memory."""
MAX_NAMED_FILES = 20
"""Broken files that a warning names; it counts the others."""
CHUNK_IMAGES = 128
"""Images of one task of a thread, and between two calls of the progress callback."""

BrokenImages = dict[int, UnreadableImageError]
"""Index and error of each image that cannot be used."""

Notify = Callable[[str], None]
"""A function that is called with one-line warnings."""

_data_cache: dict[tuple[DataConfig, bytes], Data] = {}


def warn_on_stderr(message: str) -> None:
    """Print a one-line warning to standard error, where a library call has no reporter for it."""
    print(f"warning: {message}", file=sys.stderr)


def open_data(
    config: DataConfig,
    notify: Notify = warn_on_stderr,
    progress: ProgressCallback = ignore_progress,
    given: Source | None = None,
) -> Data:
    """Open an image set: read it, leave out broken images, cache and split it.

    The set that was opened last stays cached, so that the variants of a study share it. It is read again if a file's
    name or size has changed.

    Args:
        config: The `data` section.
        notify: Called with one-line warnings.
        progress: Called with the number of images read and their total, from this thread.
        given: The images of the source ``given``.

    Raises:
        UserError: There is no such set, it is broken, or it is too small to be split.
        Failure: The download failed.
    """
    source = given or open_source(config, notify)
    key = config, source.reader.compute_digest()
    if key not in _data_cache:
        data = _read_and_split(source, config, notify, progress)
        _data_cache.clear()
        _data_cache[key] = data
    return _data_cache[key]


def open_images(config: DataConfig, reporter: Reporter, given: Source | None = None) -> Data:
    """Open an image set on every process, with a progress bar; all processes do this together.

    Args:
        config: The `data` section.
        reporter: Shows progress and warnings.
        given: The images of the source ``given``.

    Raises:
        UserError: There is no such set, it is broken, or it is too small to be split.
        Failure: The download failed.
    """
    with reporter.progress("Reading images", "images") as progress:
        return run_on_all_ranks(lambda: open_data(config, reporter.note, progress, given))


def open_given_images(images: GivenImages, config: Config, reporter: Reporter) -> tuple[Data, Config]:
    """Open images that were given in Python, and return them and the config with their SHA-256.

    All processes do this together.

    Args:
        images: The images.
        config: A config of the source ``given``.
        reporter: Shows progress and warnings.

    Raises:
        UserError: The config is of another source, or the images are not of the described kinds, not those of the
            config, or too few to be split.
    """
    data = config.data
    if data.source != "given":
        raise UserError(f"data: the run's images are those of data.source={data.source}; leave the argument out")
    with reporter.progress("Reading images", "images") as progress:
        source, sha256 = run_on_all_ranks(
            lambda: open_given(images, data.image_size, data.channels, progress, data.version)
        )
    if data.sha256 not in (None, sha256):
        raise UserError(
            f"data: other images or labels than the run's, by their SHA-256 ({sha256[:8]}..., not {data.sha256[:8]}...)"
        )
    data = data.model_copy(update={"sha256": sha256})
    return open_images(data, reporter, source), config.model_copy(update={"data": data})


def open_source(config: DataConfig, notify: Notify) -> Source:
    """Open the image set that a config names, without reading its images.

    Raises:
        UserError: There is no such set, or it is broken.
        Failure: The download failed.
    """
    size, channels = config.image_size, config.channels
    root = config.root or Path("data").absolute()
    match config.source:
        case "digits":
            return open_digits(size, channels)
        case "photos" | "shapes":
            splits = split_consecutively(config.count or 10_000, config.validation, config.test)
            return (open_photos if config.source == "photos" else open_shapes)(size, channels, splits)
        case "folder":
            return open_folder(root, size, channels, config.version)
        case "arrays":
            return open_arrays(root, size, channels)
        case "mnist" | "fashion_mnist":
            return open_mnist(config.source, root, size, channels, config.version, config.download)
        case "cifar10":
            return open_cifar10(root, size, channels, config.download, notify)
        case "celeba":
            return open_celeba(root, size, channels, config.version, config.download)
        case "given":
            raise UserError(
                "data.source: given: these images were given in Python; give them again, as in"
                " vaegan.evaluate_run(run, data=images)",
                on_all_ranks=True,
            )


def _read_and_split(source: Source, config: DataConfig, notify: Notify, progress: ProgressCallback) -> Data:
    store: Tensor | ImageReader = source.reader
    count = len(source.reader)
    threads = count_threads(source.reader, config)
    size = count * math.prod(config.image_shape)
    if config.cache != "none" and (config.cache != "auto" or size <= MAX_MEMORY_BYTES):
        store, broken = _decode_all(source.reader, config.image_shape, threads, progress)
    else:
        broken = visit_images(count, source.reader.check, threads, progress)
    usable = torch.ones(count, dtype=torch.bool)
    usable[list(broken)] = False
    _report_broken_images(broken, config, notify)
    if len(broken) == count:
        raise UserError(f"data.root: {config.root}: none of the {count} files can be used as an image")
    classes = tuple(make_encodable(source.classes))
    splits = {
        name: Images(store, indices, None if source.labels is None else source.labels[indices], classes)
        for name, indices in _split_source(source, config, usable)._asdict().items()
    }
    for name, fraction in (("train", 1), ("validation", config.validation), ("test", config.test)):
        if not len(splits[name]) and fraction > 0:
            raise UserError(f"data.source: {config.source}: the {name} split is empty")
    fingerprint = _compute_fingerprint(source, config, store, usable)
    return Data(**splits, classes=classes, fingerprint=fingerprint)


def count_threads(reader: ImageReader, config: DataConfig) -> int:
    """Return the number of threads that decode images fastest."""
    slow = isinstance(reader, FileReader) or config.image_size >= 64
    return count_cpu_cores() if slow and reader.thread_safe else 1


def _decode_all(
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

    broken = visit_images(len(reader), decode, threads, progress)
    return torch.from_numpy(pixels), broken


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


def _split_source(source: Source, config: DataConfig, usable: Tensor) -> SplitIndices:
    """Return the splits as indices of the source, without its broken images."""
    if source.splits is not None:
        return SplitIndices(*(indices[usable[indices]] for indices in source.splits))
    numbers, official = usable.nonzero().flatten(), source.test_indices
    test_indices = None if official is None else torch.isin(numbers, official).nonzero().flatten()
    splits = draw_splits(len(numbers), config.validation, config.test, test_indices)
    return SplitIndices(*(numbers[indices] for indices in splits))


def _report_broken_images(broken: BrokenImages, config: DataConfig, notify: Notify) -> None:
    """Warn of the broken files in one line, or raise it as a UserError under `data.strict`."""
    if not broken:
        return
    files = [f"{broken[index].file} ({broken[index].reason})" for index in sorted(broken)]
    more = f" and {len(files) - MAX_NAMED_FILES} more" if len(files) > MAX_NAMED_FILES else ""
    named = ", ".join(files[:MAX_NAMED_FILES]) + more
    if config.strict:
        raise UserError(f"data.strict: {len(files)} of the files cannot be used as images: {named}")
    notify(f"data.root: {len(files)} file{'s' * (len(files) > 1)} that cannot be used as images skipped: {named}")


def _compute_fingerprint(source: Source, config: DataConfig, store: Tensor | ImageReader, usable: Tensor) -> str:
    """Compute a digest of everything that determines the set's images, labels and splits, in hex."""
    settings = config.source, config.image_size, config.channels, config.count, config.validation, config.test
    digest = blake2b(repr((settings, source.classes)).encode(), digest_size=16)
    digest.update(usable.numpy().tobytes())
    if source.labels is not None:
        digest.update(source.labels.numpy().tobytes())
    if isinstance(store, Tensor) and isinstance(source.reader, FileReader):
        digest.update(store[usable].numpy().data)
    else:
        digest.update(source.reader.compute_digest())
    return digest.hexdigest()
