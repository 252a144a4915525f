"""The source `huggingface`: image sets of the library `datasets`, from a folder, a file, or the Hub by their name."""

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaegan.config.data import Crop, Fit
from vaegan.errors import UserError
from vaegan.text import format_value, make_printable, shorten, to_one_line

from .dataset import ImageReader, Source, UInt8Image
from .huggingface_tables import explain_errors, load_tables, select_splits
from .image_file import (
    EncodedImage,
    StoredImage,
    UnreadableImageError,
    check_body,
    check_image,
    describe_image,
    read_canvas,
    read_image,
)
from .labels import MAX_CLASSES
from .verdicts import FileState, get_file_state

NO_BYTES = "no image in this row but a path or an address, which is not followed; save_to_disk stores the images"
"""Reason why a row cannot be used."""
LABEL_COLUMNS = ("label", "labels", "class")
"""Names of columns of integers or text that are taken for labels."""
LABEL_TYPES = (("int", "uint", "bool"), ("string", "large_string"))
"""Beginnings of the names of their types; those of numbers are taken first."""


@dataclass(frozen=True, eq=False)
class HuggingFaceReader(ImageReader):
    """Encoded images in the rows of memory-mapped tables, decoded as image files are.

    Nothing is read but the bytes in the rows: paths and addresses in them are not followed.
    """

    splits: Mapping[str, Any]
    """Set of each split (`datasets.Dataset`), of its column of images alone, by the split's name."""
    column: str
    size: int
    channels: int
    place: str
    """Folder, file or name of the set, for messages."""
    fit: Fit = "crop"
    """The setting `data.fit`."""

    def __len__(self) -> int:
        return sum(map(len, self.splits.values()))

    def __call__(self, index: int) -> UInt8Image:
        """Decode image ``index`` into uint8 pixels, shape (C, S, S)."""
        return read_image(self._get_image(index), self.size, self.channels, fit=self.fit)

    def load_canvas(self, index: int, crop: Crop) -> UInt8Image:
        """Return the pixels that random crops of image ``index`` are taken from, uint8, shape (C, H, W)."""
        return read_canvas(self._get_image(index), self.size, self.channels, crop)

    def get_name(self, index: int) -> str:
        """Return the split of image ``index`` and its row in it: ``train/17``."""
        split, row = self._find_row(index)
        return f"{split}/{row}"

    def locate(self, index: int) -> str:
        """Return the place of the set and the name of image ``index``, printable."""
        return make_printable(f"{self.place}: {self.get_name(index)}")

    def describe(self, index: int) -> StoredImage:
        """Read size, mode and format of image ``index`` from its header."""
        return describe_image(self._get_image(index))

    def check(self, index: int) -> None:
        """Check the header of image ``index``."""
        check_image(self._get_image(index))

    def check_body(self, index: int) -> None:
        """Check that image ``index`` has all of its pixels.

        Raises:
            UnreadableImageError: Some are missing or damaged.
        """
        check_body(self._get_image(index))

    def get_state(self, index: int) -> FileState:
        """Return the size and the time of change of the files of the split of image ``index``."""
        return self._compute_state(self._find_row(index)[0])

    def compute_digest(self) -> bytes:
        """Return a digest of the files of the tables: their paths, sizes and times of change."""
        return blake2b(repr([(split, self._list_files(split)) for split in self.splits]).encode()).digest()

    def _find_row(self, index: int) -> tuple[str, int]:
        names, starts = list(self.splits), [0, *accumulate(map(len, self.splits.values()))]
        number = bisect_right(starts, index) - 1
        return names[number], index - starts[number]

    def _list_files(self, split: str) -> list[tuple[str, FileState]]:
        return [(file["filename"], get_file_state(file["filename"])) for file in self.splits[split].cache_files]

    def _compute_state(self, split: str) -> FileState:
        states = [state for _, state in self._list_files(split)]
        return FileState(*map(sum, zip(*states, strict=True)))

    def _get_image(self, index: int) -> EncodedImage:
        split, row = self._find_row(index)
        try:
            value = self.splits[split][row][self.column]
        except Exception as error:  # torn tables make their readers raise nearly anything
            raise UnreadableImageError(self.locate(index), to_one_line(error)) from error
        content = value.get("bytes") if isinstance(value, Mapping) else value
        if not isinstance(content, bytes):
            raise UnreadableImageError(self.locate(index), NO_BYTES)
        return EncodedImage(self.locate(index), content)


def open_huggingface(
    root: Path | None,
    hub: str | None,
    size: int,
    channels: int,
    image_column: str | None,
    label_column: str | None,
    notify: Callable[[str], None],
) -> Source:
    """Open a set of the library `datasets`, memory-mapped, with the splits that it has.

    Args:
        root: Folder of Parquet or Arrow files or one of them, or folder that `save_to_disk` wrote.
        hub: Name on the Hub, ``owner/name`` or ``owner/name:subset``, in the place of a folder.
        size: Height and width that the images are fitted to.
        channels: Channels that they are converted to.
        image_column: Column of the images; None: the only one that can hold them.
        label_column: Column of the labels; None: the only one that is known to be of classes, if there is one.
        notify: Called with one-line notes.

    Raises:
        UserError: There is no such set, a file of it is torn, or it has no such column.
        Failure: The set could not be fetched.
    """
    setting, place = ("data.hub", str(hub)) if root is None else ("data.root", str(root))
    place = f"{setting}: {make_printable(place)}"
    splits = select_splits(load_tables(root, hub, place), place, notify)
    first = next(iter(splits.values()))
    column = image_column or _find_image_column(first.features, place)
    _require_column(first, column, "data.image_column", place)
    name, values = _find_labels(splits, label_column, place, notify)
    import datasets

    tables = {}
    for split, table in splits.items():
        images = table.select_columns([column])
        is_known = isinstance(images.features[column], datasets.Image)
        tables[split] = images.cast_column(column, datasets.Image(decode=False)) if is_known else images
    reader = HuggingFaceReader(tables, column, size, channels, place.partition(": ")[2])
    if name is None or values is None:
        return Source(reader, official_splits=_list_official(splits))
    classes, labels = _number_labels(first.features[name], values, f"{place}: column {name}")
    return Source(reader, classes, labels, official_splits=_list_official(splits))


def _list_official(splits: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the split of each image, if the set has more than one; else none of them."""
    return tuple(split for split, table in splits.items() for _ in range(len(table))) if len(splits) > 1 else ()


def _find_image_column(features: Mapping[str, Any], place: str) -> str:
    """Return the only column that can hold images.

    Raises:
        UserError: None can, or several.
    """
    import datasets

    known = [name for name, feature in features.items() if isinstance(feature, datasets.Image)]
    binary = [name for name, feature in features.items() if _holds_bytes(feature)]
    found = known or binary
    if len(found) == 1:
        return found[0]
    columns = ", ".join(map(shorten, found or features))
    problem = f"several columns of images, {columns}" if found else f"no column of images; its columns are {columns}"
    raise UserError(f"{place}: {problem}; name it by data.image_column")


def _holds_bytes(feature: Any) -> bool:
    return _get_type(feature.get("bytes") if isinstance(feature, Mapping) else feature) in ("binary", "large_binary")


def _require_column(table: Any, column: str, setting: str, place: str) -> None:
    if column not in table.features:
        columns = ", ".join(map(shorten, table.features))
        raise UserError(f"{setting}: {shorten(column)}: no such column of {place.partition(': ')[2]}; it has {columns}")


def _find_labels(
    splits: Mapping[str, Any], column: str | None, place: str, notify: Callable[[str], None]
) -> tuple[str | None, list[Any] | None]:
    """Return the column of the labels and the label of every image; None: there are none.

    Raises:
        UserError: There is no such column, or an image has no label in it.
    """
    import datasets

    first = next(iter(splits.values()))
    name = column
    if name is None:
        known = [key for key, feature in first.features.items() if isinstance(feature, datasets.ClassLabel)]
        types = {key: _get_type(first.features.get(key)) for key in LABEL_COLUMNS}
        numbers, texts = ([key for key in types if types[key].startswith(kinds)] for kinds in LABEL_TYPES)
        found = known or numbers or texts
        if len(found) > 1:
            notify(f"{place}: columns of classes: {', '.join(map(shorten, found))}; data.label_column chooses one")
        if len(found) != 1:
            return None, None
        name = found[0]
    values: list[Any] = []
    for split, table in splits.items():
        _require_column(table, name, "data.label_column", place)
        with explain_errors(place):
            values += table.select_columns([name]).with_format("arrow")[:].column(name).to_pylist()
        missing = [row for row, value in enumerate(values[len(values) - len(table) :]) if value in (None, -1, "")]
        if missing:
            rows = "1 row" if len(missing) == 1 else f"{len(missing):,} rows"
            problem = f"{place}: column {shorten(name)}: {rows} without a label, such as {split}/{missing[0]}"
            if column is not None:
                raise UserError(f"{problem}; name another column, or leave data.label_column out")
            notify(f"{problem}; the images have no labels")
            return None, None
    different = len(set(values)) if column is None and isinstance(values[0], str) else 0
    if 2 * different > len(values):
        problem = f"{different:,} different texts for {len(values):,} images, which are taken for no classes"
        notify(f"{place}: column {shorten(name)}: {problem}; data.label_column={shorten(name)} takes them for classes")
        return None, None
    return name, values


def _get_type(feature: Any) -> str:
    """Return the name of a column's type; empty if it has parts, or if there is no such column."""
    return str(getattr(feature, "dtype", ""))


def _number_labels(feature: Any, values: list[Any], where: str) -> tuple[tuple[str, ...], Tensor]:
    """Return the names of the classes, and the class of every image, int64, shape (N,).

    Raises:
        UserError: The labels are neither numbers from 0 nor text.
    """
    if all(isinstance(value, str) for value in values):
        classes = tuple(sorted(set(values)))
        numbers = {name: number for number, name in enumerate(classes)}
        return classes, torch.tensor([numbers[value] for value in values])
    labels = np.asarray(values)
    if labels.ndim != 1 or labels.dtype.kind not in "iub" or not 0 <= labels.min() <= labels.max() < MAX_CLASSES:
        example = next(
            (value for value in values if not isinstance(value, int) or not 0 <= value < MAX_CLASSES), values[0]
        )
        raise UserError(f"{where}: {format_value(example)} is no label; labels are numbers from 0, or text")
    given = tuple(map(str, getattr(feature, "names", None) or ()))
    count = int(labels.max()) + 1
    classes = given if len(given) >= count else tuple(map(str, range(count)))
    return classes, torch.from_numpy(labels.astype(np.int64))
