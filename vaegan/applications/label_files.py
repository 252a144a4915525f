"""Labels of image files in a CSV file with the columns `file` and `label`."""

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path

from vaegan.errors import UserError
from vaegan.io import read_bytes
from vaegan.text import get_reason, make_printable, shorten

COLUMNS = ("file", "label")
"""Columns of a label file, in any order; others are ignored."""
MAX_LABEL_FILE_BYTES = 2**28
"""Largest size of a label file."""


def read_label_file(file: Path) -> dict[str, str]:
    """Read a CSV file with a header, and return the label of each image by its `file`, in the order of the lines.

    Spaces around names and labels are removed, and names are normalised (`./a.png` is `a.png`).

    Args:
        file: UTF-8 text, with the columns `COLUMNS`.

    Raises:
        UserError: It cannot be read, lacks a column or a value, holds no image, or holds an image twice.
    """
    try:
        text = read_bytes(file, MAX_LABEL_FILE_BYTES).decode("utf-8-sig")
        rows = csv.DictReader(io.StringIO(text, newline=""), restkey="", strict=True)
        header = [name.strip() for name in rows.fieldnames or ()]
    except UnicodeDecodeError:
        raise UserError(f"{make_printable(file)}: not UTF-8 text; save it as a CSV file in UTF-8") from None
    except (OSError, csv.Error) as error:
        raise UserError(f"{make_printable(file)}: no CSV file of labels ({get_reason(error)})") from None
    for column in COLUMNS:
        if header.count(column) != 1:
            raise UserError(
                f"{make_printable(file)}: not one column {column!r}; let its first line be file,label with a comma"
            )
    rows.fieldnames = header
    labels: dict[str, str] = {}
    lines: dict[str, int] = {}
    try:
        for row in rows:
            place = f"{make_printable(file)}: line {rows.line_num}"
            name, label = ((row[column] or "").strip() for column in COLUMNS)
            if not name or not label:
                raise UserError(f"{place}: no {'label' if name else 'file'}; give both, or leave the line out")
            name = os.path.normpath(name)
            if name in labels:
                raise UserError(f"{place}: {shorten(name)} has a label since line {lines[name]}; leave one of them out")
            labels[name], lines[name] = label, rows.line_num
    except csv.Error as error:
        raise UserError(f"{make_printable(file)}: line {rows.line_num}: {get_reason(error)}; mend the line") from None
    if not labels:
        raise UserError(f"{make_printable(file)}: no image in it; give one line, FILE,LABEL, for each")
    return labels


def label_paths(paths: Sequence[Path], file: Path) -> list[str]:
    """Return the label of each image by a label file, whose relative names start at the file's own folder.

    Args:
        paths: The images.
        file: The label file; images that are only in it are passed over.

    Raises:
        UserError: The file is wrong, or it has no label of an image.
    """
    labels = {os.path.realpath(file.parent / name): label for name, label in read_label_file(file).items()}
    missing = [path for path in paths if os.path.realpath(path) not in labels]
    if missing:
        others = f" and {len(missing) - 1} others" if len(missing) > 1 else ""
        raise UserError(f"{make_printable(file)}: no label of {shorten(missing[0])}{others}; add a line for each image")
    return [labels[os.path.realpath(path)] for path in paths]
