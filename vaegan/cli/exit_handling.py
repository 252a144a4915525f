"""How a command ends: an exit code, and one line where it was not done."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

import click

from vaegan.distributed import describe_error, destroy_process_group, get_rank, get_world_size, is_initialized
from vaegan.errors import Failure, Interrupted, UserError
from vaegan.text import make_printable

MAIN_RANK_HEAD_START_SECONDS = 1.0
"""Seconds by which the first process, which speaks, may come later than the others to the same end: launchers end those
that are left as soon as one has ended."""


class CommandGroup(click.Group):
    """Leaves Ctrl-C to `exit_with_one_line`; click would answer with an empty line from every process."""

    def invoke(self, context: click.Context) -> object:
        """Do the command."""
        try:
            return super().invoke(context)
        except KeyboardInterrupt:
            raise click.Abort from None


@contextmanager
def exit_with_one_line() -> Iterator[None]:
    """End the process as its work ends: 0 done, 2 a mistake in what was asked, 1 a failure, 130 interrupted."""
    try:
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, _interrupt)
        if (
            get_world_size() == 1 and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
        ):  # who waits for others cannot answer
            signal.signal(signal.SIGTERM, _interrupt)
        if hasattr(signal, "pthread_sigmask"):  # not on Windows; held back by `launching`, while nothing could answer
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
        yield
    except click.ClickException as error:
        if get_rank() == 0:
            error.show()
        sys.exit(2)
    except UserError as mistake:
        _end(str(mistake), 2, mistake.on_all_ranks or not is_initialized())  # before they meet, all are told the same
    except Interrupted as interrupt:
        for number in (signal.SIGINT, signal.SIGTERM):  # launchers repeat them, and the interpreter ends for a second
            signal.signal(number, signal.SIG_IGN)
        _end(str(interrupt), 130, on_all_ranks=True)
    except (KeyboardInterrupt, click.Abort):
        _below_the_terminals_mark()
        _end("interrupted", 130, on_all_ranks=True)
    except BrokenPipeError:  # whoever read our output has had enough, and Python would say so again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        _end(describe_error(error), 1)
    except Failure as failure:
        _end(str(failure), 1, failure.on_all_ranks)
    except RuntimeError as error:
        if "out of memory" not in str(error) and "allocate memory" not in str(error):
            raise
        _end(f"{str(error).splitlines()[0]}; a smaller train.micro_batch_size or evaluate.batch_size needs less", 1)
    finally:
        for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
            if signal.getsignal(number) is _interrupt:
                signal.signal(number, usual)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt; in the middle of an import, which may take it for something else, end at once."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            _below_the_terminals_mark()
            _say("interrupted", on_all_ranks=True)
            os._exit(130)
        frame = frame.f_back
    raise KeyboardInterrupt


def _end(message: str, code: int, on_all_ranks: bool = False) -> NoReturn:
    if on_all_ranks:
        with suppress(RuntimeError):  # where the others have gone already
            destroy_process_group()
    _say(message, on_all_ranks)
    sys.exit(code)


def _below_the_terminals_mark() -> None:
    """End the line in which a terminal has written ^C."""
    if get_rank() == 0 and sys.stderr.isatty():
        click.echo(err=True)


def _say(message: str, on_all_ranks: bool) -> None:
    message = make_printable(message)
    if get_rank() == 0:
        click.echo(f"vaegan: {message}", err=True)
    elif on_all_ranks:
        time.sleep(MAIN_RANK_HEAD_START_SECONDS)
    else:
        click.echo(f"[rank {get_rank()}] vaegan: {message}", err=True)
