"""Time and memory of a training, as `timing.jsonl` of its run has them."""

import math
from collections.abc import Callable
from pathlib import Path

from vaegan.errors import UserError
from vaegan.io import read_json_lines
from vaegan.text import get_reason


def read_training_cost(timing_file: Path, notify: Callable[[str], None]) -> dict[str, float]:
    """Return the `seconds` that a training took and the most `memory_bytes` that it used.

    Args:
        timing_file: `timing.jsonl` of the run.
        notify: Called with one line if the file cannot be used; the result is then empty.
    """
    try:
        _, seconds, memory = read_timing(timing_file)
    except UserError as error:
        notify(f"{error}; what the training cost is left out")
        return {}
    return {"seconds": sum(seconds), "memory_bytes": max(memory)}


def read_timing(file: Path) -> list[list[float]]:
    """Return the steps, the seconds and the bytes of memory of all lines.

    Raises:
        UserError: The file cannot be read, or is not what a training writes.
    """
    try:
        lines = read_json_lines(file)
        columns = [[float(line[key]) for line, _ in lines] for key in ("step", "seconds", "memory_bytes")]
    except OSError as error:
        raise UserError(f"{file}: {get_reason(error)}") from None
    except (KeyError, TypeError, ValueError, OverflowError):
        columns = []
    if not columns or not sum(columns[1]) or not all(0 <= value < math.inf for values in columns for value in values):
        raise UserError(f"{file}: not what a training writes")
    return columns
