"""Two trainings never work in one run folder at the same time, and a lock ends with the process that holds it."""

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from vaegan.data import Data, open_data
from vaegan.errors import FileFailure, UserError
from vaegan.trainers import train
from vaegan.trainers.run_lock import LOCK_FILE, lock_run

from ..tiny import are_bit_identical, flatten, load_newest, tiny

REFUSED_CODE = 7
"""Exit code of a child process that the lock keeps out."""


def fork(work: Callable[[], object]) -> int:
    """Do some work in a child process, and return its id."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except UserError as error:
            os._exit(REFUSED_CODE if "another training works in it at this moment" in str(error) else 1)
        os._exit(0)
    return child


def wait_for(child: int) -> int:
    """Wait for the end of a child process, and return its exit code."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_training_keeps_a_resume_of_it_out(tmp_path: Path) -> None:
    config = tiny("vae", "train.evaluate_every=2", "train.checkpoint_every=2")
    data, codes = open_data(config.data), []

    def evaluate(model: object, images: Data, progress: object) -> dict[str, float]:
        codes.append(wait_for(fork(lambda: train(config, tmp_path / "run", data, resume=True))))
        return {}

    train(config, tmp_path / "run", data, evaluate)
    assert codes == [REFUSED_CODE] * 2
    alone = train(tiny("vae"), tmp_path / "alone", data)
    assert are_bit_identical(flatten(load_newest(alone.path)), flatten(load_newest(tmp_path / "run")))


def test_a_process_that_has_ended_in_whatever_way_keeps_nobody_out(tmp_path: Path) -> None:
    reader, writer = os.pipe()

    def hold() -> None:
        with lock_run(tmp_path):
            child = fork(lambda: time.sleep(30))  # as a decoding process may outlive a killed training
            os.write(writer, str(child).encode())
            time.sleep(30)

    holder = fork(hold)
    child = int(os.read(reader, 20))
    with pytest.raises(UserError, match="another training works in it"), lock_run(tmp_path):
        raise AssertionError
    os.kill(holder, signal.SIGKILL)
    assert wait_for(holder) == -signal.SIGKILL
    with lock_run(tmp_path):
        assert wait_for(fork(lambda: lock_run(tmp_path).__enter__())) == REFUSED_CODE
    assert wait_for(fork(lambda: lock_run(tmp_path).__enter__())) == 0
    os.kill(child, signal.SIGKILL)


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / LOCK_FILE).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileFailure, match=LOCK_FILE), lock_run(tmp_path / "run"):
        raise AssertionError
    assert not (tmp_path / "elsewhere").exists()


def test_another_thread_is_kept_out(tmp_path: Path) -> None:
    """A notebook may train in a thread; a lock of the system is one of the process, and a second try would end it."""

    def try_in_a_thread() -> bool:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(try_lock, tmp_path).result()

    def try_lock(folder: Path) -> bool:
        try:
            with lock_run(folder):
                return True
        except UserError:
            return False

    with lock_run(tmp_path):
        assert not try_in_a_thread() and not try_lock(tmp_path / "." / ".." / tmp_path.name)
        assert wait_for(fork(lambda: lock_run(tmp_path).__enter__())) == REFUSED_CODE
    assert try_in_a_thread()
