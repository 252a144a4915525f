import json
from pathlib import Path

import pytest

from vaegan.errors import UserError
from vaegan.evaluate.training_cost import measure_step_seconds
from vaegan.storage.training_cost import read_training_cost


def write_timing(folder: Path, lines: list[dict[str, float]]) -> Path:
    file = folder / "timing.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    return file


def test_a_speed_that_was_not_measured_is_not_guessed(tmp_path: Path) -> None:
    line = {"step": 1, "seconds": 1.0, "memory_bytes": 1.0}
    for lines in ([line], [line, line], [line, {**line, "step": 50, "seconds": 0.0}]):
        with pytest.raises(UserError, match="remove the run's folder, and it is timed again"):
            measure_step_seconds(write_timing(tmp_path, lines))


def test_the_cost_is_the_sum_of_the_seconds_and_the_most_memory(tmp_path: Path) -> None:
    lines = [{"step": step, "seconds": 2.0 / step, "memory_bytes": 10.0 * step} for step in (1, 2, 4)]
    file = write_timing(tmp_path, lines)
    assert read_training_cost(file, pytest.fail) == {"seconds": 3.5, "memory_bytes": 40.0}
    assert measure_step_seconds(file) == (1.0 / 1 + 0.5 / 2) / 2
