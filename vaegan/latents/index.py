"""The index of a folder of latents, `index.jsonl`: a line for each row with its shard, name and class."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from torch import Tensor

from vaegan.data.large_sets.packed_names import PackedNames
from vaegan.errors import UserError
from vaegan.io import open_regular_file, replace_file
from vaegan.text import get_reason

from .description import INDEX_FILE, LatentDescription
from .pictures import check_name


def write_index(folder: Path, description: LatentDescription, names: Sequence[str], labels: Tensor | None) -> None:
    """Write the index.

    Args:
        folder: The folder of the latents.
        description: Its encoding.
        names: Name of each image.
        labels: Class of each image, int64, shape (N,); None: there are no classes.

    Raises:
        OSError: The file cannot be written.
    """
    with replace_file(folder / INDEX_FILE) as partial, partial.open("x", encoding="ascii") as file:
        for number in range(description.shards):
            shard = description.get_shard_file(folder, number).name
            for row in description.get_rows(number):
                label = None if labels is None else description.classes[int(labels[row])]
                file.write(json.dumps({"row": row, "file": shard, "name": names[row], "label": label}) + "\n")


def read_names(folder: Path, description: LatentDescription) -> PackedNames:
    """Read the name of each row, a path with forward slashes that leads nowhere else.

    Raises:
        UserError: The index is missing, damaged or of other rows, or a name leads out of a folder.
    """
    file = folder / INDEX_FILE
    try:
        names = PackedNames.pack(_read_lines(file))
    except (OSError, ValueError, RecursionError, KeyError, TypeError) as error:
        raise UserError(f"{file}: damaged ({get_reason(error)}); encode the images again") from None
    if len(names) != description.rows:
        problem = f"{len(names):,} lines for {description.rows:,} rows"
        raise UserError(f"{file}: damaged ({problem}); encode the images again")
    return names


def _read_lines(file: Path) -> Iterator[str]:
    """Yield the names of an index.

    Raises:
        ValueError: A line is none of an index, rows are not in order, or a name leads out of a folder.
    """
    with open_regular_file(file) as stream:
        for row, line in enumerate(stream):
            match json.loads(line):
                case {"row": int(number), "name": str(name)} if number == row:
                    yield check_name(name)
                case _:
                    raise ValueError(f"line {row + 1} is not that of row {row}")
