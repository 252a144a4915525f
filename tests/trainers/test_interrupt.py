"""A first signal is remembered, its echoes are ignored, and what must end at once does."""

import os
import signal
import time

import pytest

from vaegan.distributed import SIGNAL_ECHO_SECONDS
from vaegan.errors import Interrupted
from vaegan.progress import Reporter
from vaegan.trainers.interrupt import Interrupts


def send_ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)


def test_a_second_ctrl_c_stops_at_once_and_an_echo_does_not() -> None:
    with Interrupts(60.0, Reporter()) as interrupts:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):  # as a launcher passes them on
            os.kill(os.getpid(), number)
        time.sleep(2 * SIGNAL_ECHO_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)
        assert interrupts.received
        time.sleep(0.2)
        with pytest.raises(KeyboardInterrupt):
            send_ctrl_c()


def test_a_signal_that_did_not_wake_the_main_thread_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal that finds it on its way into a call that waits is not seen before that call ends."""
    sent: list[int] = []

    def miss_the_first(thread: int, number: int) -> None:
        sent.append(number)
        if len(sent) > 1:
            pthread_kill(thread, number)

    pthread_kill = signal.pthread_kill
    monkeypatch.setattr(signal, "pthread_kill", miss_the_first)
    with Interrupts(1.0, Reporter()):
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Interrupted, match="grace_seconds"):
            time.sleep(60)
    assert len(sent) == 2
