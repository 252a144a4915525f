"""The splits of shards with more images than a run lists one by one; its list then names the shards."""

import os
from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor

from vaegan.config.data import DataConfig
from vaegan.data.dataset import Data, ImageReader, Images
from vaegan.data.image_file import UnreadableImageError
from vaegan.data.members import NO_DIFFERENCES, SPLITS, Differences, Found, Member, MemberList, compare, count_held_out
from vaegan.data.reading import MAX_VERIFIED_IMAGES, Notify, ReadImages, describe_broken
from vaegan.data.split_members import append_history, compute_fingerprint
from vaegan.errors import UserError
from vaegan.io import get_cache_folder, load_tensors, replace_file, save_tensors

from .reader import ShardReader

REVISION = 1
"""Number that changes with how the splits are made, so that kept ones do not count."""


def read_large_shards(reader: ShardReader, decode: Callable[[], ReadImages] | None, notify: Notify) -> ReadImages:
    """Return the images of a large set, of which those are left out that indexing has found to be broken.

    Args:
        reader: The images.
        decode: Decodes all of them into memory; None: they are decoded on access.
        notify: Called with one-line notes.

    Raises:
        UserError: An image is to be kept in memory and cannot be decoded.
    """
    index = reader.index
    broken = {number: UnreadableImageError(reader.locate(number), why) for number, why in index.broken.items()}
    if not index.decoded:
        problem = f"{len(reader):,} images, more than {MAX_VERIFIED_IMAGES:,}: only their headers were checked"
        notify(f"data: {problem}; `vaegan index --decode` reads them all once")
    if broken:
        notify(
            f"data.root: {len(broken):,} images that cannot be used left out: {describe_broken(list(broken.values()))}"
        )
    if decode is None:
        return ReadImages(reader, broken)
    read = decode()
    if more := [error for number, error in read.broken.items() if number not in broken]:
        remedy = "`vaegan index --decode` finds such images, and they are left out"
        raise UserError(f"data.root: {describe_broken(more)}; {remedy}")
    return ReadImages(read.store, broken)


def split_large_shards(
    reader: ShardReader, config: DataConfig, store: Tensor | ImageReader, known: MemberList | None, training: bool
) -> Data:
    """Return a large set with its splits, each image's by its name, and how its shards differ from those of a run.

    Indices and labels are mapped into memory from a file in the cache folder, which all processes of a machine share.

    Args:
        reader: The images.
        config: The `data` section.
        store: Their pixels, or the reader.
        known: The list of the run that the set is opened for; None: the run is a new one.
        training: Whether the set is opened to train on it.

    Raises:
        UserError: There are too few images.
    """
    index = reader.index
    columns = _map_columns(reader, config)
    train, validation, test = (
        Images(store, columns[split], columns.get(f"{split}.labels"), index.classes) for split in SPLITS
    )
    members = tuple(Member(shard.name, None, shard.digest, "train") for shard in index.shards)
    fingerprint = compute_fingerprint(config, index.classes, [index.digest])
    listed, differences = MemberList(config.source, fingerprint, members, index.classes), NO_DIFFERENCES
    if known is not None:
        differences = _compare(known, listed)
        listed = append_history(listed, known, differences if training else NO_DIFFERENCES)
    return Data(train, validation, test, index.classes, fingerprint, listed, differences)


def _compare(known: MemberList, listed: MemberList) -> Differences:
    """Return how shards differ from those of a run, in words: no single image can be told to be another one."""
    if known.fingerprint == listed.fingerprint:
        return NO_DIFFERENCES
    found = {shard.name: Found(0, shard.name, None, shard.digest) for shard in listed.members}
    described = compare(known, found).describe()
    return Differences(other=f"its shards are others: {described}" if described else "other images cannot be used")


def _map_columns(reader: ShardReader, config: DataConfig) -> dict[str, Tensor]:
    """Return indices and labels of each split, mapped into memory if the cache folder can be written."""
    key = repr((REVISION, reader.index.digest, config.validation, config.test, reader.list_shard_splits() is None))
    cache = get_cache_folder()
    if cache is None:
        return _split(reader, config)
    file = cache / "splits" / f"{blake2b(key.encode(), digest_size=16).hexdigest()}.safetensors"
    with suppress(OSError, SafetensorError):
        return load_tensors(file)
    columns = _split(reader, config)
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(file, f".{os.getpid()}") as partial:  # other processes may write the same file
            save_tensors(columns, partial)
        return load_tensors(file)
    return columns


def _split(reader: ShardReader, config: DataConfig) -> dict[str, Tensor]:
    """Return indices and labels of each split, int64, by the laws of `members.assign_splits`.

    Raises:
        UserError: There are too few images.
    """
    index, of_shards = reader.index, reader.list_shard_splits()
    usable = np.ones(len(index), dtype=bool)
    usable[list(index.broken)] = False
    places: dict[str, NDArray[np.int64]] = {}
    drawn, shares = usable, {"validation": config.validation, "test": config.test}
    if of_shards is not None:
        of_images = np.repeat([SPLITS.index(split) for split in of_shards], np.diff(index.starts))
        for number, split in enumerate(SPLITS[1:], start=1):
            if split in of_shards:
                places[split], shares[split] = np.flatnonzero(usable & (of_images == number)), 0
        drawn = usable & (of_images == 0)
    undecided = np.flatnonzero(drawn)
    order = undecided[np.argsort(index.hashes[undecided], kind="stable")]
    numbers: Any = index.hashes[order]
    test_count, held_out = count_held_out(numbers, len(numbers), shares["validation"], shares["test"])
    of_hash = {"test": order[:test_count], "validation": order[test_count:held_out], "train": order[held_out:]}
    columns = {}
    for split in SPLITS:
        columns[split] = torch.from_numpy(places[split] if split in places else np.sort(of_hash[split]))
        if index.labels is not None:
            columns[f"{split}.labels"] = index.labels[columns[split]]
    return columns
