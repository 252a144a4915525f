"""Two trainings never work in one run folder at the same time, and nobody is kept out by one that has ended."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from vaegan.data import Data, open_data
from vaegan.errors import FileFailure, UserError
from vaegan.trainers import train
from vaegan.trainers.run_lock import LOCK_FILE, lock_run

from ..tiny import flat, last, same_bits, tiny

REFUSED = 7


def forked(work: Callable[[], object]) -> int:
    """Id of a process that does this; its exit code says whether it was refused."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except UserError as mistake:
            os._exit(REFUSED if "another training works in it at this moment" in str(mistake) else 1)
        os._exit(0)
    return child


def ended(child: int) -> int:
    """Exit code of a process."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_training_keeps_a_resume_of_it_out(tmp_path: Path) -> None:
    config = tiny("vae", "train.evaluate_every=2", "train.checkpoint_every=2")
    data, codes = open_data(config.data), []

    def look(model: object, images: Data, progress: object) -> dict[str, float]:
        codes.append(ended(forked(lambda: train(config, tmp_path / "run", data, resume=True))))
        return {}

    train(config, tmp_path / "run", data, look)
    assert codes == [REFUSED] * 2
    alone = train(tiny("vae"), tmp_path / "alone", data)
    assert same_bits(flat(last(alone.path)), flat(last(tmp_path / "run")))


def test_who_has_ended_in_whatever_way_keeps_nobody_out(tmp_path: Path) -> None:
    begun, pipe = os.pipe()

    def hold() -> None:
        with lock_run(tmp_path):
            child = forked(lambda: time.sleep(30))  # as a decoding process may outlive a killed training
            os.write(pipe, str(child).encode())
            time.sleep(30)

    holder = forked(hold)
    child = int(os.read(begun, 20))
    with pytest.raises(UserError, match="another training works in it"), lock_run(tmp_path):
        raise AssertionError
    os.kill(holder, signal.SIGKILL)
    assert ended(holder) == -signal.SIGKILL
    with lock_run(tmp_path):
        assert ended(forked(lambda: lock_run(tmp_path).__enter__())) == REFUSED
    assert ended(forked(lambda: lock_run(tmp_path).__enter__())) == 0
    os.kill(child, signal.SIGKILL)


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / LOCK_FILE).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileFailure, match=LOCK_FILE), lock_run(tmp_path / "run"):
        raise AssertionError
    assert not (tmp_path / "elsewhere").exists()
