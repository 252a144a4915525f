"""The splits that a set comes with, by the names of its files and folders."""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from vaegan.config.data import Folders
from vaegan.data.large_sets.packed_names import PackedNames
from vaegan.errors import UserError
from vaegan.text import make_printable, shorten

from .dataset import Source
from .folder import FileReader, label_by_folder

SPLIT_NAMES = {
    "train": ("train", "training"), "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}  # fmt: skip
"""Names that a set may give to each of our splits."""
MAX_NAMED_FILES = 3
"""Files that a message names."""


def find_split(words: Sequence[str]) -> str | None:
    """Return the split that the first of some words names, in any case; None: none of them names one."""
    return next((split for word in words for split, names in SPLIT_NAMES.items() if word.lower() in names), None)


def find_splits_of_files(names: Sequence[Path], place: str) -> list[str] | None:
    """Return the split that the name of each file of a set tells, its own words before those of its folders.

    Args:
        names: Paths of the files under the folder of the set.
        place: The set, for messages.

    Returns:
        The splits; None: no name tells one.

    Raises:
        UserError: The names of some tell a split, and those of others none.
    """
    splits = [find_split([word for part in reversed(name.parts) for word in re.split("[^a-z]+", part.lower())])
              for name in names]  # fmt: skip
    unnamed = [name for name, split in zip(names, splits, strict=True) if split is None]
    if len(unnamed) == len(names):
        return None
    if unnamed:
        shown = ", ".join(shorten(name) for name in unnamed[:MAX_NAMED_FILES])
        firsts = dict(zip(reversed(splits), reversed(names), strict=True))
        named = ", ".join(f"{shorten(firsts[split])} of {split}" for split in dict.fromkeys(splits) if split)
        problem = f"the names of {len(unnamed)} of its files, such as {shown}, tell no split, and others do ({named})"
        raise UserError(f"{place}: {problem}; put train, validation or test into each name, or take those files away")
    return [str(split) for split in splits]


def split_by_folder(source: Source, root: Path, folders: Folders | None, notify: Callable[[str], None]) -> Source:
    """Return the images of a tree with the splits that its folders name, if they are to be splits.

    Args:
        source: The images, read by a `FileReader`.
        root: The setting `data.root`.
        folders: The setting `data.folders`; None: they are classes, unless they look like splits.
        notify: Called with one line about what is left out.

    Raises:
        UserError: It is not known whether the folders are classes or splits, or none is to be trained on.
    """
    reader = source.reader
    assert isinstance(reader, FileReader)
    if folders == "classes":
        return source
    ends = (os.path.dirname(reader.names[end]) for end in (0, -1))
    below = "" if folders == "splits" else os.path.commonpath(list(ends))
    names = [name[len(below) :].lstrip("/").partition("/") for name in reader.names]
    tops = dict.fromkeys(top for top, slash, _ in names if slash)
    split_of = {top: split for top in tops if (split := find_split([top])) is not None}
    found, kept = set(split_of.values()), [index for index, (top, _, _) in enumerate(names) if top in split_of]
    shown = ", ".join(map(make_printable, split_of))
    if folders is None:
        if len(found) > 1 and ("train" in found or len(kept) == len(names)):
            place = make_printable(root / below)
            problem = f"its folders {shown} are named like splits, and each would be a class"
            remedy = "give data.folders=splits" + f" with data.root={place}" * bool(below)
            raise UserError(f"data.root: {place}: {problem}; {remedy}, or data.folders=classes if they are classes")
        return source
    if "train" not in found:
        raise UserError(f"data.folders: splits, but no folder of {root} is named train; name the folder that holds it")
    if left := len(names) - len(kept):
        notify(f"data.root: {root}: {left:,} image{'s' * (left > 1)} outside of its folders {shown} left out")
    paths = {number: names[index][2] for number, index in enumerate(kept)}
    classes, labels = label_by_folder(paths)
    numbers: dict[str | None, int] = {name: number for number, name in enumerate(classes)}
    return replace(
        source,
        reader=replace(reader, names=PackedNames.pack(reader.names[index] for index in kept)),
        classes=classes,
        labels=torch.tensor([numbers[labels[number]] for number in paths]) if classes else None,
        official_splits=tuple(split_of[names[index][0]] for index in kept),
    )
