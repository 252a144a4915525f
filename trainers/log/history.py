"""The log of a run in plain files, one JSON object a line: ``history.jsonl`` and ``timing.jsonl``."""

import json
import math
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

from vaegan.io import read_json_lines, write_text

Value: TypeAlias = "float | str | Sequence[Value] | None"
"""What can be logged under one name: a figure, a date, a curve, a matrix."""


class History:
    """Append-only log that a resume cuts back to its checkpoint.

    A step may have several lines. Each is handed to the system as soon as it is written, so that a killed process loses
    none; ``sync`` makes them outlive the machine as well, and belongs before each checkpoint. Lines for which there is
    no room are kept, and written with the next one.

    Attributes:
        resumed: The lines up to the step that the run goes on from.
    """

    def __init__(self, path: Path, resume_step: int | None = None) -> None:
        """Open the file for the steps that follow.

        Args:
            path: The file; its folder must exist.
            resume_step: Step of the checkpoint that the run goes on from: lines of later steps, and torn ones, are cut.
                None: a new run, whose log starts empty.
        """
        kept = [] if resume_step is None else _lines(path, resume_step)
        self.resumed = [line for line, _ in kept]
        write_text(path, "".join(text for _, text in kept))
        self._file = path.open("ab", buffering=0)
        self._waiting = b""

    def names(self, step: int) -> set[str]:
        """What had been logged for a step when the log was opened."""
        return {key for line in self.resumed if line["step"] == step for key in line}

    def write(self, step: int, values: Mapping[str, Value]) -> None:
        """Append one line: ``step``, then the values, every float exact and NaN or infinite ones as null.

        Raises:
            OSError: There is no room for it; it is kept.
        """
        plain = {key: _plain(value) for key, value in values.items()}
        self._waiting += (json.dumps({"step": step, **plain}, allow_nan=False) + "\n").encode()
        self.flush()

    def flush(self) -> None:
        """Write what is kept; OSError if there is no room for it."""
        while self._waiting:
            self._waiting = self._waiting[self._file.write(self._waiting) :]

    def sync(self) -> None:
        """Return once every line is on the disk."""
        self.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """End the log, without the lines for which there is still no room; a second call does nothing."""
        with suppress(OSError):
            self.flush()
        self._waiting = b""
        self._file.close()


def select_scalars(values: Mapping[str, Value]) -> dict[str, float]:
    """The figures of a line."""
    return {key: value for key, value in values.items() if isinstance(value, float)}


def _lines(path: Path, last_step: int) -> list[tuple[dict[str, Any], str]]:
    """The whole lines of steps up to and with ``last_step``: what they say, and their text with its line end."""
    found = read_json_lines(path) if path.exists() else []
    return [(line, text.decode() + "\n") for line, text in found if line["step"] <= last_step]


def _plain(value: Value) -> Value:
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value
