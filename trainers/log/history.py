"""The log of a run in plain files, one JSON object a line: ``history.jsonl`` and ``timing.jsonl``."""

import json
import math
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from vaegan.io import read_json_lines, write_text

LogValue: TypeAlias = "float | str | Sequence[LogValue] | None"
"""Value logged under one name: a number, a date, a curve, a matrix."""


class History:
    """An append-only log that a resume truncates to the step of its checkpoint.

    A step may have several lines. Each is written without a buffer, so that a killed process loses none; ``sync`` also
    writes them to the disk, and is called before each checkpoint. Lines that a full disk has no room for are kept in
    memory and written with the next one.

    Args:
        path: The file; its folder must exist.
        resume_step: Step of the checkpoint that the run resumes from; lines of later steps and incomplete lines are
            removed. None: a new run, whose log starts empty.

    Attributes:
        resumed_lines: The lines up to ``resume_step``.
    """

    def __init__(self, path: Path, resume_step: int | None = None) -> None:
        lines = read_json_lines(path) if resume_step is not None and path.exists() else []
        kept = [(line, text.decode() + "\n") for line, text in lines if line["step"] <= resume_step]
        self.resumed_lines = [line for line, _ in kept]
        write_text(path, "".join(text for _, text in kept))
        self._file = path.open("ab", buffering=0)
        self._unwritten = b""

    def has_resumed(self, step: int, prefix: str) -> bool:
        """Return whether the log, when it was opened, held a value of the step whose name has this prefix."""
        return any(key.startswith(prefix) for line in self.resumed_lines if line["step"] == step for key in line)

    def write(self, step: int, values: Mapping[str, LogValue]) -> None:
        """Append one line: ``step``, then the values, every float exact and NaN or infinite ones as null.

        Raises:
            OSError: There is no room for the line, which is kept.
        """
        json_values = {key: _to_json(value) for key, value in values.items()}
        self._unwritten += (json.dumps({"step": step, **json_values}, allow_nan=False) + "\n").encode()
        self.flush()

    def flush(self) -> None:
        """Write the lines that were kept.

        Raises:
            OSError: There is still no room for them.
        """
        while self._unwritten:
            self._unwritten = self._unwritten[self._file.write(self._unwritten) :]

    def sync(self) -> None:
        """Write every line through to the disk.

        Raises:
            OSError: There is no room for them, or the disk fails.
        """
        self.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """End the log, without the lines for which there is still no room; a second call does nothing."""
        with suppress(OSError):
            self.flush()
        self._unwritten = b""
        self._file.close()


def select_scalars(values: Mapping[str, LogValue]) -> dict[str, float]:
    """Select the values that are single floats."""
    return {key: value for key, value in values.items() if isinstance(value, float)}


def _to_json(value: LogValue) -> LogValue:
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_to_json(item) for item in value]
    return value
