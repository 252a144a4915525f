import json
import math
import os
import resource
from pathlib import Path

import pytest

from vaegan.trainers.log.history import History


def lines(path: Path) -> list[object]:
    def refuse(word: str) -> None:
        raise ValueError(f"{word} is not JSON")

    return [json.loads(line, parse_constant=refuse) for line in path.read_text().splitlines()]


def test_floats_are_exact_and_nothing_but_json_is_written(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    history = History(path)
    floats = {"a": 0.1 + 0.2, "b": 5e-324, "c": -1.7976931348623157e308, "d": 2.0**-1074 * 3}
    history.write(0, floats)
    odd = {"nan": math.nan, "inf": [1.5, math.inf, [-math.inf, 2]], "when": "2024-01-01", "none": None}
    history.write(10, odd)
    history.write(10, {})
    first, second, third = lines(path)
    assert first == {"step": 0, **floats}
    assert second == {"step": 10, "nan": None, "inf": [1.5, None, [None, 2]], "when": "2024-01-01", "none": None}
    assert third == {"step": 10}


def test_each_line_is_handed_over_when_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    child = os.fork()
    if child == 0:
        history = History(path)
        history.write(1, {"a": 1.0})
        history.write(2, {"a": 2.0})
        os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    assert lines(path) == [{"step": 1, "a": 1.0}, {"step": 2, "a": 2.0}]


@pytest.mark.parametrize(("resume_step", "kept"), [(None, []), (0, []), (1, [1]), (3, [1, 2, 2]), (4, [1, 2, 2, 4])])
def test_a_resume_keeps_the_lines_up_to_its_checkpoint(tmp_path, resume_step, kept) -> None:
    path = tmp_path / "history.jsonl"
    history = History(path)
    for step in (1, 2, 2, 4):
        history.write(step, {"a": 1 / 3})
    history.close()
    before = path.read_bytes()

    resumed = History(path, resume_step)
    assert before.startswith(path.read_bytes())  # byte for byte
    assert resumed.resumed_lines == [{"step": step, "a": 1 / 3} for step in kept]
    resumed.write(5, {"b": 1.0})
    resumed.sync()
    resumed.close()
    resumed.close()
    assert lines(path) == [{"step": step, "a": 1 / 3} for step in kept] + [{"step": 5, "b": 1.0}]
    assert os.listdir(tmp_path) == ["history.jsonl"]


TORN = [b'{"step": 2, "a": 0.3', b'{"step": 2', b"{", b"\0\0\0\0", b"\xc3", b"2", b'{"a": 1}\n', b"\n"]


@pytest.mark.parametrize("torn", TORN)
def test_a_torn_line_is_dropped_and_the_next_one_is_whole(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "history.jsonl"
    path.write_bytes(b'{"step": 1, "a": 0.5}\n' + torn)
    History(path, 2).write(3, {"a": 0.25})
    assert lines(path) == [{"step": 1, "a": 0.5}, {"step": 3, "a": 0.25}]


def test_a_resume_that_cannot_write_leaves_the_log_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_bytes(b'{"step": 1}\n{"step": 2}\n')
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, most))
    try:
        with pytest.raises(OSError, match="File too large"):
            History(path, 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    assert path.read_bytes() == b'{"step": 1}\n{"step": 2}\n'


def test_a_log_that_was_lost_starts_again(tmp_path: Path) -> None:
    path = tmp_path / "timing.jsonl"
    History(path, 100).write(150, {"images_per_second": 400.0})
    assert lines(path) == [{"step": 150, "images_per_second": 400.0}]
