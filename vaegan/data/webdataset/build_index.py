"""Building of the index of tar shards: each shard is read once, in processes."""

import json
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaegan.data.image_file import UnreadableImageError, describe_decoder
from vaegan.data.labels import MAX_CLASSES
from vaegan.data.reading import describe_broken
from vaegan.data.verdicts import get_file_state
from vaegan.distributed import count_cpu_cores
from vaegan.errors import Failure, UserError
from vaegan.io import replace_file, save_tensors
from vaegan.progress import ProgressCallback, ignore_notice, ignore_progress
from vaegan.text import make_encodable, make_printable, shorten

from .index import FORMAT, ShardIndex, find_shards, get_index_file, load_index
from .shard import DIGEST_BYTES, Label, Shard, read_shard


def build_index(
    root: Path,
    decode: bool = False,
    notify: Callable[[str], None] = ignore_notice,
    progress: ProgressCallback = ignore_progress,
) -> ShardIndex:
    """Read all shards once, in processes, and return their index, which is written beside them.

    Args:
        root: A folder of shards, or a shard.
        decode: Whether every image is decoded, which finds those that are damaged; else their headers are checked.
        notify: Called with one-line notes about what is passed over.
        progress: Called with the number of shards read and their total, from this thread.

    Raises:
        UserError: There are no shards, one of them is torn, or labels do not go together.
        Failure: A process died.
        OSError: A file cannot be read or written.
    """
    paths = find_shards(root)
    folder = root if root.is_dir() else root.parent
    names = [path.relative_to(folder).as_posix() for path in paths]
    states, contents = list(map(get_file_state, paths)), list[Shard]()
    for shard in _read_shards(paths, names, decode):
        contents.append(shard)
        progress(len(contents), len(paths))
    for path, state in zip(paths, states, strict=True):
        if get_file_state(path) != state:
            raise UserError(f"{make_printable(path)}: written while it was indexed; index it again when it is complete")
    count = sum(len(shard.names) for shard in contents)
    if not count:
        raise UserError(f"{make_printable(root)}: no image in its shards")
    _report(root, names, contents, notify)
    classes, labels = _number_labels(root, contents, notify)
    tensors = _join(contents)
    starts = np.cumsum([0, *(len(shard.names) for shard in contents)])
    shards = []
    for name, state, shard, first in zip(names, states, contents, starts.tolist(), strict=False):
        of_shard = None if labels is None else labels[first : first + len(shard.names)]
        shards.append([name, state, len(shard.names), _compute_digest(shard, of_shard)])
    broken = {int(first) + n: reason for first, shard in zip(starts, contents, strict=False)
              for n, reason in shard.broken.items()}  # fmt: skip
    if len(broken) == count:
        raise UserError(
            f"{make_printable(root)}: none of the {count} images can be used: {next(iter(broken.values()))}"
        )
    description = {
        "format": FORMAT, "shards": shards, "classes": make_encodable(classes), "broken": broken, "decoded": decode,
        "decoder": describe_decoder(),
    }  # fmt: skip
    tensors["description"] = torch.frombuffer(bytearray(json.dumps(description).encode()), dtype=torch.uint8)
    if labels is not None:
        tensors["labels"] = torch.from_numpy(labels)
    file = get_index_file(root)
    with replace_file(file) as partial_file:
        save_tensors(tensors, partial_file)
    return load_index(file, get_file_state(file))


def _read_shards(paths: Sequence[Path], names: Sequence[str], decode: bool) -> Iterator[Shard]:
    """Yield the contents of each shard, in their order, read by as many processes as there are cores."""
    read = partial(read_shard, decode=decode)
    if len(paths) == 1:
        yield read(paths[0], names[0])
        return
    with ProcessPoolExecutor(min(count_cpu_cores(), len(paths)), initializer=_ignore_interrupts) as pool:
        try:
            yield from pool.map(read, paths, names)
        except BrokenProcessPool as error:
            raise Failure("a process that reads shards died, perhaps for lack of memory; index them again") from error
        finally:  # on Ctrl-C, for example, the shards that have not begun are dropped
            pool.shutdown(wait=False, cancel_futures=True)


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _join(contents: Sequence[Shard]) -> dict[str, Tensor]:
    """Return the columns of all shards as tensors."""
    before = np.cumsum([0, *(len(shard.names.blob) for shard in contents)])
    ends = [shard.names.ends.astype(np.int64) + first for shard, first in zip(contents, before, strict=False)]
    arrays: dict[str, list[NDArray[Any]]] = {
        "offsets": [shard.offsets for shard in contents], "sizes": [shard.sizes for shard in contents],
        "digests": [shard.digests for shard in contents], "hashes": [shard.hashes for shard in contents],
        "names": [shard.names.blob for shard in contents], "ends": ends,
    }  # fmt: skip
    return {name: torch.from_numpy(np.concatenate(parts)) for name, parts in arrays.items()}


def _compute_digest(shard: Shard, labels: NDArray[np.int64] | None) -> str:
    """Compute a digest of names, places, contents and labels of the images of a shard, hexadecimal."""
    digest = blake2b(shard.names.blob.tobytes(), digest_size=DIGEST_BYTES)
    columns: tuple[NDArray[Any], ...] = (shard.names.ends.astype(np.int64), shard.offsets, shard.sizes, shard.digests)
    for column in columns if labels is None else (*columns, labels):
        digest.update(column.tobytes())
    return digest.hexdigest()


def _number_labels(
    root: Path, contents: Sequence[Shard], notify: Callable[[str], None]
) -> tuple[tuple[str, ...], NDArray[np.int64] | None]:
    """Return the names of the classes, and the class of every image, int64; None: they have no labels.

    Raises:
        UserError: Some labels are numbers and others text, or there are too many classes.
    """
    place = make_printable(root)
    values, missing, example = set[Label](), 0, ""
    for shard in contents:
        values.update(shard.labels)
        if None in shard.labels:
            example = example or shard.names[shard.labels.index(None)]
            missing += shard.labels.count(None)
    values.discard(None)
    kinds = {type(value) for value in values}
    if not values:
        return (), None
    if missing:
        images = f"{missing:,} image{'s' * (missing > 1)} without a label, such as {shorten(example)}"
        notify(f"{place}: {images}; the images have no labels")
        return (), None
    if len(kinds) > 1:
        number, text = (shorten(next(value for value in values if isinstance(value, kind))) for kind in (int, str))
        raise UserError(f"{place}: some labels are numbers ({number}) and others text ({text}); write all as one kind")
    if str in kinds:
        classes = tuple(sorted(map(str, values)))
        if len(classes) > MAX_CLASSES:
            raise UserError(f"{place}: {len(classes):,} different labels; at most {MAX_CLASSES:,} classes are read")
    else:
        classes = tuple(map(str, range(max(int(value) for value in values if value is not None) + 1)))
    numbers: dict[Label, int] = (
        {name: number for number, name in enumerate(classes)} if str in kinds else {n: n for n in range(len(classes))}
    )
    columns = [np.array([numbers[label] for label in shard.labels], dtype=np.int64) for shard in contents]
    return classes, np.concatenate(columns)


def _report(root: Path, names: Sequence[str], contents: Sequence[Shard], notify: Callable[[str], None]) -> None:
    """Say what of the shards is passed over, in a line for each kind."""
    place = make_printable(root)
    links = [f"{name}/{link}" for name, shard in zip(names, contents, strict=True) for link in shard.links]
    if links:
        entries = f"{len(links):,} entr{'ies are' if len(links) > 1 else 'y is'} no regular file, such as"
        notify(f"{place}: {entries} {shorten(links[0])}; passed over, since links are not followed")
    if without := sum(shard.without_image for shard in contents):
        notify(f"{place}: {without:,} sample{'s' * (without > 1)} without an image passed over")
    broken = [UnreadableImageError(make_printable(shard.names[n]), reason)
              for shard in contents for n, reason in shard.broken.items()]  # fmt: skip
    if broken:
        files = f"{len(broken):,} image{'s' * (len(broken) > 1)} that cannot be used"
        notify(f"{place}: {files}: {describe_broken(broken)}")
