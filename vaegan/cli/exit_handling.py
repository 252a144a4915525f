"""The end of a command: an exit code, and one line if the command failed."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from traceback import walk_stack
from types import FrameType
from typing import NoReturn

import click

from vaegan.distributed import (
    MAIN_RANK_HEAD_START_SECONDS,
    abandon_process_group,
    describe_error,
    destroy_process_group,
    get_rank,
    get_world_size,
    is_initialized,
)
from vaegan.errors import Failure, Interrupted, UserError
from vaegan.extras import explain_missing_packages
from vaegan.text import make_printable

from .command_group import describe_usage_error
from .streams import is_terminal


@contextmanager
def exit_with_one_line() -> Iterator[None]:
    """Turn an exception of the block into one line and an exit code: 2 user error, 1 failure, 130 interrupt."""
    try:
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, _raise_interrupt)
        # A process that waits for others in a collective call could not answer.
        if get_world_size() == 1 and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
            signal.signal(signal.SIGTERM, _raise_interrupt)
        if hasattr(signal, "pthread_sigmask"):  # not on Windows; `launch` blocked them until now
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
        with explain_missing_packages():
            yield
    except click.ClickException as error:
        _print_and_exit(describe_usage_error(error), 2, on_all_ranks=True)
    except UserError as error:
        # Ranks that have not joined yet all raise the same.
        _print_and_exit(str(error), 2, error.on_all_ranks or not is_initialized())
    except Interrupted as interrupt:
        for number in (signal.SIGINT, signal.SIGTERM):  # launchers repeat them, and exiting takes a second
            signal.signal(number, signal.SIG_IGN)
        _print_and_exit(str(interrupt), 130, on_all_ranks=True)
    except (KeyboardInterrupt, click.Abort):
        _end_terminal_line()
        _print_and_exit("interrupted", 130, on_all_ranks=True)
    except BrokenPipeError:  # the reader has closed the pipe, and Python would report it again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        _print_and_exit(describe_error(error), 1)
    except Failure as failure:
        _print_and_exit(str(failure), 1, failure.on_all_ranks)
    except RuntimeError as error:
        if "out of memory" not in str(error) and "allocate memory" not in str(error):
            raise
        advice = "a smaller train.micro_batch_size or evaluate.batch_size needs less"
        _print_and_exit(f"{str(error).splitlines()[0]}; {advice}", 1)
    finally:
        for number, default in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
            if signal.getsignal(number) is _raise_interrupt:
                signal.signal(number, default)


def _raise_interrupt(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt; inside an import, which may mistake it for another error, exit at once."""
    if any(caller.f_code.co_filename.startswith("<frozen importlib") for caller, _ in walk_stack(frame)):
        _end_terminal_line()
        _print_message("interrupted", on_all_ranks=True)
        os._exit(130)
    raise KeyboardInterrupt


def _print_and_exit(message: str, code: int, on_all_ranks: bool = False) -> NoReturn:
    if on_all_ranks:
        with suppress(RuntimeError):  # other processes may be gone
            destroy_process_group()
    else:
        abandon_process_group()
    _print_message(message, on_all_ranks)
    sys.exit(code)


def _end_terminal_line() -> None:
    """End the line in which the terminal has echoed ^C."""
    if get_rank() == 0 and is_terminal(sys.stderr):
        print(file=sys.stderr)


def _print_message(message: str, on_all_ranks: bool) -> None:
    message = make_printable(message)
    if get_rank() == 0:
        print(f"vaegan: {message}", file=sys.stderr, flush=True)
    elif on_all_ranks:
        time.sleep(MAIN_RANK_HEAD_START_SECONDS)
    else:
        print(f"[rank {get_rank()}] vaegan: {message}", file=sys.stderr, flush=True)
