"""From the `data` section of a config to a set of images with its splits."""

import sys
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path

import torch
from torch import Tensor

from vaegan.config.schema import DataConfig
from vaegan.distributed import count_cpu_cores
from vaegan.errors import UserError
from vaegan.progress import ProgressCallback, ignore_progress

from .dataset import Data, ImageReader, Images, Source, SplitIndices
from .decode import BrokenImages, decode_all, find_broken_images
from .embedded import open_digits, open_photos
from .folder import FileReader, open_folder
from .official import open_celeba, open_cifar10, open_mnist
from .shapes import open_shapes
from .splits import draw_splits, split_consecutively

MAX_MEMORY_BYTES = 4 * 2**30
"""Bytes of pixels that `data.cache: auto` holds in memory."""
MAX_NAMED_FILES = 20
"""Broken files that a warning names; of the rest it gives the number."""

Notify = Callable[[str], None]

_kept: dict[tuple[DataConfig, bytes], Data] = {}


def warn_on_stderr(message: str) -> None:
    """Print a one-line warning to standard error."""
    print(f"warning: {message}", file=sys.stderr)


def open_data(
    config: DataConfig, notify: Notify = warn_on_stderr, progress: ProgressCallback = ignore_progress
) -> Data:
    """Open a set of images: find it, leave out what is broken, cache it and split it.

    The set that was opened last is kept, so that the variants of a study share it; files that were changed
    since are noticed by name and size.

    Args:
        config: Which set, and how it is to be kept.
        notify: Called with one-line warnings.
        progress: Called with the images read so far and the images in all, from this thread.

    Raises:
        UserError: There is no such set, it is broken, or it is too small to be split.
        Failure: It could not be downloaded.
    """
    source = _source(config, notify)
    key = config, source.decoder.digest()
    if key not in _kept:
        data = _open(source, config, notify, progress)
        _kept.clear()
        _kept[key] = data
    return _kept[key]


def _source(config: DataConfig, notify: Notify) -> Source:
    size, channels = config.image_size, config.channels
    root = config.root or Path("data").absolute()
    match config.source:
        case "digits":
            return open_digits(size, channels)
        case "photos":
            return open_photos(size, channels, _independent(config))
        case "shapes":
            return open_shapes(size, channels, _independent(config))
        case "folder":
            return open_folder(root, size, channels)
        case "mnist" | "fashion_mnist":
            return open_mnist(config.source, root, size, channels, config.download)
        case "cifar10":
            return open_cifar10(root, size, channels, config.download, notify)
        case "celeba":
            return open_celeba(root, size, channels, config.download)


def _independent(config: DataConfig) -> SplitIndices:
    return split_consecutively(config.count or 10_000, config.validation, config.test)


def _open(source: Source, config: DataConfig, notify: Notify, progress: ProgressCallback) -> Data:
    store: Tensor | ImageReader = source.decoder
    shape = config.channels, config.image_size, config.image_size
    count = len(source.decoder)
    threads = count_cpu_cores() if isinstance(source.decoder, FileReader) or config.image_size >= 64 else 1
    in_memory = config.cache != "none" and (
        config.cache != "auto" or count * shape[0] * shape[1] * shape[2] <= MAX_MEMORY_BYTES
    )
    if in_memory:
        store, broken = decode_all(source.decoder, shape, threads, progress)
    else:
        broken = find_broken_images(source.decoder, threads, progress)
    usable = torch.ones(count, dtype=torch.bool)
    usable[list(broken)] = False
    _report(broken, config, notify)
    if len(broken) == count:
        raise UserError(f"data.root: {config.root}: none of the {count} files can be used as an image")
    parts = _split(source, config, usable)
    train, validation, test = (
        Images(store, part, None if source.labels is None else source.labels[part], source.classes)
        for part in (parts.train, parts.validation, parts.test)
    )
    for name, images, share in (
        ("train", train, 1),
        ("validation", validation, config.validation),
        ("test", test, config.test),
    ):
        if not len(images) and share > 0:
            raise UserError(f"data.source: {config.source}: the {name} split is empty")
    return Data(train, validation, test, source.classes, _fingerprint(source, config, store, usable))


def _split(source: Source, config: DataConfig, usable: Tensor) -> SplitIndices:
    """The splits as indices of the source, without its broken images."""
    if source.parts is not None:
        fixed = source.parts
        return SplitIndices(*(part[usable[part]] for part in (fixed.train, fixed.validation, fixed.test)))
    numbers = usable.nonzero().flatten()
    held_out = None
    if source.held_out is not None:
        held_out = torch.isin(numbers, source.held_out).nonzero().flatten()
    parts = draw_splits(len(numbers), config.validation, config.test, held_out)
    return SplitIndices(numbers[parts.train], numbers[parts.validation], numbers[parts.test])


def _report(broken: BrokenImages, config: DataConfig, notify: Notify) -> None:
    """Name the broken files, in one line."""
    if not broken:
        return
    files = [f"{broken[index].file} ({broken[index].reason})" for index in sorted(broken)]
    named = ", ".join(files[:MAX_NAMED_FILES]) + (
        f" and {len(files) - MAX_NAMED_FILES} more" if len(files) > MAX_NAMED_FILES else ""
    )
    if config.strict:
        raise UserError(f"data.strict: {len(files)} of the files cannot be used as images: {named}")
    notify(f"data.root: {len(files)} file{'s' * (len(files) > 1)} that cannot be used as images skipped: {named}")


def _fingerprint(source: Source, config: DataConfig, store: Tensor | ImageReader, usable: Tensor) -> str:
    """Digest of what the set's images, labels and splits are functions of."""
    settings = config.source, config.image_size, config.channels, config.count, config.validation, config.test
    digest = blake2b(repr((settings, source.classes)).encode(), digest_size=16)
    digest.update(usable.numpy().tobytes())
    if source.labels is not None:
        digest.update(source.labels.numpy().tobytes())
    if isinstance(store, Tensor) and isinstance(source.decoder, FileReader):
        digest.update(store[usable].numpy().data)
    else:
        digest.update(source.decoder.digest())
    return digest.hexdigest()
