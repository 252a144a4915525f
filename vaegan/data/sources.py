"""Opening of an image set: its images read in threads and cached, and its splits."""

import math
import sys
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from hashlib import blake2b
from typing import Any

import torch
from torch import Tensor

from vaegan.config.data import CHANGEABLE_SOURCES, ROOTED_SOURCES, DataConfig
from vaegan.config.schema import Config
from vaegan.data.large_sets.shared_images import SharedImages, list_ranks_of_machine
from vaegan.data.webdataset.large_split import read_large_shards, split_large_shards
from vaegan.data.webdataset.reader import ShardReader
from vaegan.distributed import count_cpu_cores, get_group_rank_and_size, run_on_all_ranks
from vaegan.errors import Failure, UserError
from vaegan.long_work import run_long
from vaegan.progress import ProgressCallback, Reporter, ignore_progress
from vaegan.text import make_encodable

from .dataset import Data, ImageReader, Images, Source
from .folder import FileReader, describe_strays
from .given import GivenImages, open_given
from .image_file import describe_decoder
from .members import MemberList
from .open_source import open_source
from .reading import MAX_VERIFIED_IMAGES, BrokenImages, Notify, ReadImages, describe_broken, read_images, visit_images
from .split_members import compare_set, compute_fingerprint, describe_settings, split_members
from .splits import split_source
from .verdicts import Verdicts

MAX_MEMORY_BYTES = 4 * 2**30
"""Largest size of the pixels that `data.cache: auto` holds in memory."""
PIXELS_BY_CROP = {"centre": 1, "random": 3, "random_resized": 8}
"""Pixels that are held in memory for each training image, about, in units of those of its centre."""

_read_cache: dict[tuple[DataConfig, bytes, bool], ReadImages] = {}
_data_cache: dict[tuple[object, ...], Data] = {}


def warn_on_stderr(message: str) -> None:
    """Print a one-line warning to standard error, where a library call has no reporter for it."""
    print(f"warning: {message}", file=sys.stderr)


def open_data(
    config: DataConfig,
    notify: Notify = warn_on_stderr,
    progress: ProgressCallback = ignore_progress,
    given: Source | None = None,
    known: MemberList | None = None,
    training: bool = True,
    verify: bool = False,
    shared: SharedImages | None = None,
) -> Data:
    """Open an image set: read it, leave out broken images, cache and split it.

    The set that was opened last stays cached, so that the variants of a study share it. It is read again if a file has
    changed.

    Args:
        config: The `data` section.
        notify: Called with one-line warnings.
        progress: Called with the number of images read and their total, from this thread.
        given: The images of the source ``given``.
        known: The list of the run that the set is opened for, whose members keep their splits; None: a new run. The
            caller decides about `Data.differences`.
        training: Whether the set is opened to train on it, or to evaluate a finished run.
        verify: Whether the images of a very large set are all decoded once, of which otherwise the headers are read.
        shared: The images that the processes of this machine share; None: those in memory are this process's own.

    Raises:
        UserError: There is no such set, it is broken, or it is too small to be split.
        Failure: The download failed.
    """
    source = given or open_source(config, notify)
    key = config, _compute_state_digest(source), verify
    if key not in _read_cache:
        read = _read(source, config, notify, progress, verify, shared)
        _data_cache.clear()
        _read_cache.clear()
        _read_cache[key] = read
    data_key = *key, known, training
    if data_key not in _data_cache:
        data = _split(source, config, _read_cache[key], known, training, notify)
        if config.crop != "centre" and training and data.train.in_memory:
            threads = count_threads(source.reader, config, shared)
            data = replace(data, train=_load_canvases(source.reader, data.train, config, threads, progress))
        _data_cache.clear()
        _data_cache[data_key] = data
    return _data_cache[data_key]


def _compute_state_digest(source: Source) -> bytes:
    """Compute a digest that changes when an image or a label does."""
    digest = blake2b(source.reader.compute_digest() + repr(source.classes).encode())
    if source.labels is not None:
        digest.update(source.labels.numpy().data)
    if isinstance(source.reader, FileReader):
        for index in range(len(source.reader)):
            digest.update(repr(source.reader.get_state(index)).encode())
    return digest.digest()


def open_images(
    config: DataConfig,
    reporter: Reporter,
    given: Source | None = None,
    known: MemberList | None = None,
    training: bool = True,
) -> Data:
    """Open an image set on every process, with a progress bar; all processes do this together.

    Args:
        config: The `data` section.
        reporter: Shows progress and warnings.
        given: The images of the source ``given``.
        known: The list of the run that the set is opened for; None: a new run.
        training: Whether the set is opened to train on it, or to evaluate a finished run.

    Raises:
        UserError: There is no such set, it is broken, or it is too small to be split.
        Failure: The download failed.
    """
    source = given or run_on_all_ranks(lambda: open_source(config, reporter.note))
    in_memory, (rank, processes) = _fits_in_memory(config, len(source.reader)), get_group_rank_and_size()
    shared = SharedImages() if in_memory and given is None and processes > 1 else None
    with reporter.progress("Reading images", "images") as progress, shared or nullcontext():

        def open_here() -> Data:
            return open_data(config, reporter.note, progress, source, known, training, shared=shared)

        if shared is not None:
            run_long(open_here, shared.decodes)
            shared.exchange()
        elif not in_memory and processes > 1:
            run_long(open_here, rank == list_ranks_of_machine()[0])  # the others find its verdicts in the cache folder
        return run_on_all_ranks(open_here)


def open_given_images(
    images: GivenImages, config: Config, reporter: Reporter, known: MemberList | None = None, training: bool = True
) -> tuple[Data, Config]:
    """Open images that were given in Python, and return them and the config with their SHA-256.

    All processes do this together.

    Args:
        images: The images.
        config: A config of the source ``given``.
        reporter: Shows progress and warnings.
        known: The list of the run that the set is opened for, whose differences the caller decides about; None: the
            images must have the SHA-256 of the config, if it has one.
        training: Whether the set is opened to train on it, or to evaluate a finished run.

    Raises:
        UserError: The config is of another source, or the images are not of the described kinds, not those of the
            config, or too few to be split.
    """
    data = config.data
    if data.source != "given":
        raise UserError(f"data: the run's images are those of data.source={data.source}; leave the argument out")
    with reporter.progress("Reading images", "images") as progress:
        source, sha256 = run_on_all_ranks(
            lambda: open_given(images, data.image_size, data.channels, progress, data.version, data.fit)
        )
    if known is None and data.sha256 not in (None, sha256):
        raise UserError(
            f"data: other images or labels than the run's, by their SHA-256 ({sha256[:8]}..., not {data.sha256[:8]}...)"
        )
    data = data.model_copy(update={"sha256": sha256})
    return open_images(data, reporter, source, known, training), config.model_copy(update={"data": data})


def _read(
    source: Source, config: DataConfig, notify: Notify, progress: ProgressCallback, verify: bool,
    shared: SharedImages | None,
) -> ReadImages:  # fmt: skip
    """Visit every image of a set, keep its pixels as `data.cache` says, and report those that cannot be used.

    Raises:
        UserError: Images cannot be used, all of them or under `data.strict`.
    """
    reader, count = source.reader, len(source.reader)
    in_memory = _fits_in_memory(config, count)
    is_large = isinstance(reader, ShardReader) and reader.is_large
    is_of_files, verdicts = isinstance(reader, FileReader) or config.source in ROOTED_SOURCES, None
    if config.version > 1 and not is_large and (is_of_files or config.source in CHANGEABLE_SOURCES):
        kind = repr((str(config.root or config.hub), describe_settings(config), describe_decoder()))
        verdicts = Verdicts(kind if is_of_files and not in_memory else None)
    threads = count_threads(reader, config, shared)
    visit = partial(read_images, reader, config.image_shape, in_memory, verdicts, threads, progress, verify)
    decode = visit if shared is None else partial(shared.read, visit)
    if isinstance(reader, ShardReader) and is_large:
        return read_large_shards(reader, decode if in_memory else None, notify)
    read = decode()
    if read.unverified:
        problem = f"{count:,} images, more than {MAX_VERIFIED_IMAGES:,}: only their headers were checked"
        notify(f"data: {problem}; `vaegan data` with these settings reads them all once")
    if len(read.broken) == count:
        named = describe_broken([read.broken[index] for index in range(count)])
        raise UserError(f"data.root: {config.root}: none of the {count} files can be used as an image: {named}")
    _report_broken_images(read.broken, config, notify)
    usable = (source.get_class_path(index) for index in range(count) if index not in read.broken)
    if source.label_by_folder and (strays := describe_strays(list(usable))):
        notify(f"data.root: {config.root}: {strays}")
    return read


def _fits_in_memory(config: DataConfig, count: int) -> bool:
    """Return whether the pixels of a set are held in memory, as `data.cache` says."""
    size = count * math.prod(config.image_shape) * PIXELS_BY_CROP[config.crop]
    return config.cache != "none" and (config.cache != "auto" or size <= MAX_MEMORY_BYTES)


def _split(
    source: Source, config: DataConfig, read: ReadImages, known: MemberList | None, training: bool, notify: Notify
) -> Data:
    if isinstance(source.reader, ShardReader) and source.reader.is_large:
        data = split_large_shards(source.reader, config, read.store, known, training)
    elif config.version > 1 and config.source in CHANGEABLE_SOURCES:
        data = split_members(source, config, read, known, training, notify)
    else:
        data = _split_unchangeable(source, config, read)
        if config.version > 1:
            data = compare_set(data, config, known, training)
    for name, fraction in (("train", 1), ("validation", config.validation), ("test", config.test)):
        if not len(getattr(data, name)) and fraction > 0 and not data.differences:
            raise UserError(f"data.source: {config.source}: the {name} split is empty")
    return data


def _split_unchangeable(source: Source, config: DataConfig, read: ReadImages) -> Data:
    """Return a set with the splits that it defines, or with splits that are drawn by the number of its images."""
    usable = torch.ones(len(source.reader), dtype=torch.bool)
    usable[list(read.broken)] = False
    classes, labels = tuple(make_encodable(source.classes)), source.labels
    train, validation, test = (
        Images(read.store, indices, None if labels is None else labels[indices], classes)
        for indices in split_source(source, config, usable)
    )
    return Data(train, validation, test, classes, _compute_fingerprint(source, config, read.store, usable))


def _load_canvases(
    reader: ImageReader, images: Images, config: DataConfig, threads: int, progress: ProgressCallback
) -> Images:
    """Return training images with what their random crops are taken from in memory.

    Raises:
        Failure: An image that could be read before cannot be read any more.
    """
    canvases: list[Any] = [None] * len(images)

    def load(position: int) -> None:
        canvases[position] = reader.load_canvas(int(images.indices[position]), config.crop)

    broken = visit_images(len(images), load, threads, progress)
    if broken:
        raise Failure(f"data.root: {config.root}: {describe_broken(list(broken.values()))}; begin again")
    return replace(images, canvases=canvases)


def count_threads(reader: ImageReader, config: DataConfig, shared: SharedImages | None = None) -> int:
    """Return the number of threads that decode images fastest, beside other processes that share them if there are."""
    slow = isinstance(reader, FileReader | ShardReader) or config.image_size >= 64
    cores = count_cpu_cores() if shared is None else shared.threads
    return cores if slow and reader.thread_safe else 1


def _report_broken_images(broken: BrokenImages, config: DataConfig, notify: Notify) -> None:
    """Warn of the broken files in one line, or raise it as a UserError under `data.strict`."""
    if not broken:
        return
    count, named = len(broken), describe_broken([broken[index] for index in sorted(broken)])
    if config.strict:
        raise UserError(f"data.strict: {count} of the files cannot be used as images: {named}")
    notify(f"data.root: {count} file{'s' * (count > 1)} that cannot be used as images skipped: {named}")


def _compute_fingerprint(source: Source, config: DataConfig, store: Tensor | ImageReader, usable: Tensor) -> str:
    """Compute a digest of everything that determines the set's images, labels and splits, in hex."""
    if config.version > 1:
        parts = (usable.numpy().tobytes(), b"" if source.labels is None else source.labels.numpy().tobytes())
        content = source.reader.compute_digest()
        return compute_fingerprint(config, source.classes, (part.hex() for part in (*parts, content)))
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
