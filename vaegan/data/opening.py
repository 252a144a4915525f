"""From the `data` section of a config to a set of images with its splits."""

import sys
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path

import torch
from torch import Tensor

from vaegan.config.schema import DataConfig
from vaegan.console import Update, silent
from vaegan.errors import Mistake
from vaegan.processes import cores

from .embedded import digits, photos
from .folder import Files, folder
from .images import Data, Decoder, Images, Parts, Source
from .loading import Broken, check_all, decode_all
from .official import celeba, cifar10, mnist
from .shapes import shapes
from .splits import consecutive, drawn

MEMORY_LIMIT = 4 * 2**30
"""Bytes of pixels that `data.cache: auto` holds in memory."""
NAMED = 20
"""Broken files that a warning names; of the rest it gives the number."""

Notify = Callable[[str], None]

_kept: dict[tuple[DataConfig, bytes], Data] = {}


def warn(message: str) -> None:
    """Print a one-line warning to standard error."""
    print(f"warning: {message}", file=sys.stderr)


def open_data(config: DataConfig, notify: Notify = warn, progress: Update = silent) -> Data:
    """Open a set of images: find it, leave out what is broken, cache it and split it.

    The set that was opened last is kept, so that the variants of a study share it; files that were changed
    since are noticed by name and size.

    Args:
        config: Which set, and how it is to be kept.
        notify: Called with one-line warnings.
        progress: Called with the images read so far and the images in all, from this thread.

    Raises:
        Mistake: There is no such set, it is broken, or it is too small to be split.
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
            return digits(size, channels)
        case "photos":
            return photos(size, channels, _independent(config))
        case "shapes":
            return shapes(size, channels, _independent(config))
        case "folder":
            return folder(root, size, channels)
        case "mnist" | "fashion_mnist":
            return mnist(config.source, root, size, channels, config.download)
        case "cifar10":
            return cifar10(root, size, channels, config.download, notify)
        case "celeba":
            return celeba(root, size, channels, config.download)


def _independent(config: DataConfig) -> Parts:
    return consecutive(config.count or 10_000, config.validation, config.test)


def _open(source: Source, config: DataConfig, notify: Notify, progress: Update) -> Data:
    store: Tensor | Decoder = source.decoder
    shape = config.channels, config.image_size, config.image_size
    count = len(source.decoder)
    threads = cores() if isinstance(source.decoder, Files) or config.image_size >= 64 else 1
    in_memory = config.cache != "none" and (
        config.cache != "auto" or count * shape[0] * shape[1] * shape[2] <= MEMORY_LIMIT
    )
    if in_memory:
        store, broken = decode_all(source.decoder, shape, threads, progress)
    else:
        broken = check_all(source.decoder, threads, progress)
    usable = torch.ones(count, dtype=torch.bool)
    usable[list(broken)] = False
    _report(broken, config, notify)
    if len(broken) == count:
        raise Mistake(f"data.root: {config.root}: none of the {count} files can be used as an image")
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
            raise Mistake(f"data.source: {config.source}: the {name} split is empty")
    return Data(train, validation, test, source.classes, _fingerprint(source, config, store, usable))


def _split(source: Source, config: DataConfig, usable: Tensor) -> Parts:
    """The splits as indices of the source, without its broken images."""
    if source.parts is not None:
        fixed = source.parts
        return Parts(*(part[usable[part]] for part in (fixed.train, fixed.validation, fixed.test)))
    numbers = usable.nonzero().flatten()
    held_out = None
    if source.held_out is not None:
        held_out = torch.isin(numbers, source.held_out).nonzero().flatten()
    parts = drawn(len(numbers), config.validation, config.test, held_out)
    return Parts(numbers[parts.train], numbers[parts.validation], numbers[parts.test])


def _report(broken: Broken, config: DataConfig, notify: Notify) -> None:
    """Name the broken files, in one line."""
    if not broken:
        return
    files = [f"{broken[index].file} ({broken[index].reason})" for index in sorted(broken)]
    named = ", ".join(files[:NAMED]) + (f" and {len(files) - NAMED} more" if len(files) > NAMED else "")
    if config.strict:
        raise Mistake(f"data.strict: {len(files)} of the files cannot be used as images: {named}")
    notify(f"data.root: {len(files)} file{'s' * (len(files) > 1)} that cannot be used as images skipped: {named}")


def _fingerprint(source: Source, config: DataConfig, store: Tensor | Decoder, usable: Tensor) -> str:
    """Digest of what the set's images, labels and splits are functions of."""
    settings = config.source, config.image_size, config.channels, config.count, config.validation, config.test
    digest = blake2b(repr((settings, source.classes)).encode(), digest_size=16)
    digest.update(usable.numpy().tobytes())
    if source.labels is not None:
        digest.update(source.labels.numpy().tobytes())
    if isinstance(store, Tensor) and isinstance(source.decoder, Files):
        digest.update(store[usable].numpy().data)
    else:
        digest.update(source.decoder.digest())
    return digest.hexdigest()
