"""Loading of the tables of a set of the library `datasets`, without running code, and their splits."""

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any, NoReturn, cast

from vaegan.config.source_files import SAVED_FILES, TABLE_SUFFIXES, is_hidden
from vaegan.errors import Failure, UserError
from vaegan.text import shorten, to_one_line

from .official_splits import SPLIT_NAMES, find_splits_of_files
from .verdicts import get_file_state

MAX_NAMED_CLASSES = 3
"""Classes of a list that a message names."""


def load_tables(root: Path | None, hub: str | None, place: str) -> Mapping[str, Any]:
    """Return the sets of a folder, a file or a name by their splits.

    Raises:
        UserError: There is no such set, or a file of it is torn.
        Failure: The set could not be fetched.
    """
    import datasets

    with be_quiet(datasets), explain_errors(place, fetched=root is None):
        if root is None:
            name, _, subset = str(hub).partition(":")
            if os.path.lexists(name):
                raise UserError(f"{place}: a folder or file of this name is here, and is meant by data.root alone")
            loaded = datasets.load_dataset(name, subset or None)
        elif root.is_dir() and any((root / name).is_file() for name in SAVED_FILES):
            loaded = datasets.load_from_disk(str(root))
        else:
            files = _group_files(root, place)
            kind = next(iter(files.values()))[0].rpartition(".")[2].lower()
            every = [file for group in files.values() for file in group]
            check_class_names({os.path.relpath(file, root): _read_features(file, kind) for file in every}, place)
            loaded = datasets.load_dataset(kind, _name_state(every), data_files=files)
    tables = loaded if isinstance(loaded, Mapping) else {"train": loaded}
    check_class_names({split: table.features for split, table in tables.items()}, place)
    return tables


def check_class_names(features: Mapping[str, Mapping[str, Any]], place: str) -> None:
    """Check that all parts of a set give the numbers of its classes the same names.

    Args:
        features: Columns of each part, by its name.
        place: The set, for the message.

    Raises:
        UserError: They do not, so that a number is another class in each.
    """
    first: dict[str, tuple[str, list[str]]] = {}
    for part, columns in features.items():
        for column, feature in columns.items():
            names = list(getattr(feature, "names", None) or ())
            other, expected = first.setdefault(column, (part, names)) if names else (part, names)
            if names != expected:
                lists = f"{shorten(other)} has {_show(expected)}, and {shorten(part)} has {_show(names)}"
                problem = f"column {shorten(column)}: the numbers are not the same classes in all of it: {lists}"
                raise UserError(f"{place}: {problem}; write it with one list of names")


def _show(names: list[str]) -> str:
    more = f" and {len(names) - MAX_NAMED_CLASSES:,} more" if len(names) > MAX_NAMED_CLASSES else ""
    return ", ".join(map(shorten, names[:MAX_NAMED_CLASSES])) + more


def _read_features(file: str, kind: str) -> Mapping[str, Any]:
    """Return the columns of a file of tables."""
    import datasets
    import pyarrow as pa
    import pyarrow.parquet as pq

    if kind == "parquet":
        return cast(Mapping[str, Any], datasets.Features.from_arrow_schema(pq.read_schema(file)))
    with pa.memory_map(file) as stream:
        try:
            schema = pa.ipc.open_stream(stream).schema
        except pa.ArrowInvalid:
            schema = pa.ipc.open_file(stream).schema
    return cast(Mapping[str, Any], datasets.Features.from_arrow_schema(schema))


def _name_state(files: list[str]) -> str:
    """Return a name under which `datasets` keeps the tables of files, another one for each of their states.

    It would know a file by its path and its time of change alone, which a copy may keep.
    """
    states = repr([get_file_state(file) for file in files])
    return blake2b(states.encode(), digest_size=8).hexdigest()


def _group_files(root: Path, place: str) -> dict[str, list[str]]:
    """Return the files of a folder, or a single one, by the splits that their names tell; else all are to train on.

    Hidden files and folders are ignored.

    Raises:
        UserError: There are none, one is no regular file, they are of two kinds, or the names of some tell a split and
            those of others none.
    """
    if not root.is_dir():
        if root.suffix.lower() in TABLE_SUFFIXES and root.is_file():
            return {"train": [str(root)]}
        problem = "neither a folder nor a Parquet or Arrow file" if os.path.lexists(root) else "no such folder or file"
        raise UserError(f"{place}: {problem}")
    names = sorted(_find_tables(root))
    if not names:
        raise UserError(f"{place}: no file ending in {' or '.join(TABLE_SUFFIXES)} in it, nor what save_to_disk writes")
    if others := [name for name in names if not (root / name).is_file()]:
        raise UserError(f"{place}: {shorten(others[0])}: a pipe, or a link that leads nowhere; take it away")
    if len({name.suffix.lower() for name in names}) > 1:
        raise UserError(f"{place}: both Parquet and Arrow files in it; name a folder of one kind, or a file")
    splits, groups = find_splits_of_files(names, place) or ["train"] * len(names), dict[str, list[str]]()
    for name, split in zip(names, splits, strict=True):
        groups.setdefault(split, []).append(str(root / name))
    return groups


def _find_tables(root: Path) -> Iterator[Path]:
    """Yield the paths of the files of tables under a folder, relative to it. Links are followed, each folder once.

    What `datasets` keeps of computations beside a set that it has saved is none of its tables.

    Raises:
        OSError: A folder may not be read.
    """
    seen = set[tuple[int, int]]()
    for folder, folders, files in os.walk(root, onerror=_raise, followlinks=True):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders.sort(key=lambda name: (os.path.islink(os.path.join(folder, name)), name))
        is_saved = not set(files).isdisjoint(SAVED_FILES)
        for file in files:
            path = Path(os.path.relpath(os.path.join(folder, file), root))
            is_kept = is_saved and file.startswith("cache-")
            if path.suffix.lower() in TABLE_SUFFIXES and not is_hidden(path) and not is_kept:
                yield path


def _raise(error: OSError) -> NoReturn:
    raise error


def select_splits(loaded: Mapping[str, Any], place: str, notify: Callable[[str], None]) -> dict[str, Any]:
    """Return the sets by our names of the splits; a set of a single split is one to train on.

    Raises:
        UserError: It is not known which images are to be trained on, or there are none.
    """
    if len(loaded) == 1:
        loaded = {"train": next(iter(loaded.values()))}
    names = {split: next((name for name in aliases if name in loaded), None) for split, aliases in SPLIT_NAMES.items()}
    if names["train"] is None:
        raise UserError(f"{place}: its splits are {', '.join(map(shorten, loaded))}, and none is train; save one alone")
    splits = {split: loaded[name] for split, name in names.items() if name is not None and len(loaded[name])}
    if "train" not in splits:
        raise UserError(f"{place}: there are no images in it")
    if others := [name for name in loaded if name not in names.values()]:
        notify(f"{place}: left out its splits {', '.join(map(shorten, others))}")
    return splits


@contextmanager
def be_quiet(datasets: Any) -> Iterator[None]:
    """Suppress the progress bars and messages of the library inside the block."""
    loggers = [logging.getLogger(name) for name in ("datasets", "huggingface_hub")]
    levels, shows_bars = [logger.level for logger in loggers], datasets.is_progress_bar_enabled()
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        datasets.disable_progress_bars()
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if shows_bars:
            datasets.enable_progress_bars()


@contextmanager
def explain_errors(place: str, fetched: bool = False) -> Iterator[None]:
    """Turn the errors of the library into one line that names the set."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        reason = to_one_line(cause) or type(cause).__name__
        if fetched:
            raise Failure(f"{place}: could not be fetched: {reason}") from error
        raise UserError(f"{place}: cannot be read: {reason}") from error
