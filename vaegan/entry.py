"""The frame around every function of `vaegan.api`, for a caller in a notebook or in a script."""

import atexit
import functools
import re
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import ParamSpec, TypeAlias, TypeVar

from .distributed import (
    MAIN_RANK_HEAD_START_SECONDS,
    destroy_process_group,
    get_rank,
    get_world_size,
    is_initialized,
)
from .errors import Interrupted, OneLineError, UserError
from .extras import explain_missing_packages

P = ParamSpec("P")
T = TypeVar("T")
ExceptHook: TypeAlias = Callable[[type[BaseException], BaseException, TracebackType | None], object]
"""A `sys.excepthook`."""

ARGUMENTS = {
    "`vaegan train ... --resume`": "`vaegan.train(..., resume=True)`",
    "`vaegan configs`": "`vaegan.recipes()`",
    "the same command goes on": "the same call goes on",
    "--resume train.nan=skip": "resume=True and train.nan=skip",
    "--resume": "resume=True",
    "--extend": "extend=True",
    "--allow-other-data": "allow_other_data=True",
    "--data-root": "data_root",
    **{
        f"--{name}": name
        for name in (
            "output",
            "metrics",
            "samples",
            "split",
            "features",
            "density",
            "dtype",
            "sample",
            "seed",
            "format",
            "license",
            "private",
            "revision",
            "tag",
            "number",
            "label",
            "reject",
            "rate",
            "step",
            "only",
        )
    },
    "--shard-rows": "shard_rows",
    "--native-size": "native_size=True",
    "--tile": "tile_side",
}
"""Replacements of options, commands and words about them in the messages to a caller in Python."""
OPTION_PATTERN = re.compile("|".join(rf"(?<![\w-]){re.escape(option)}(?![\w-])" for option in ARGUMENTS))
FUNCTIONS = {"train": "train", "evaluate": "evaluate_run", "compare": "compare", "ablate": "ablate"}
"""Function of `vaegan.api` for each command that a message may name with its one argument."""
COMMAND_PATTERN = re.compile(rf"`vaegan ({'|'.join(FUNCTIONS)}) ([^`\s]+)`")


def python_entry(function: Callable[P, T]) -> Callable[P, T]:
    """Return a function of `vaegan.api` that ends as a caller in Python expects.

    An error of one line names arguments where the command line has options, and its traceback ends at the function. In
    a script that a launcher started in several processes, an error that ends all of them is printed by rank 0 alone,
    and the processes leave their group at the end of the script.
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        if get_world_size() > 1:
            atexit.unregister(_leave_process_group)
            atexit.register(_leave_process_group)
        try:
            with explain_missing_packages():
                return function(*args, **kwargs)
        except OneLineError as error:
            error.args = (name_arguments(str(error)),)
            before_joining = isinstance(error, UserError) and not is_initialized()
            if get_rank() > 0 and (error.on_all_ranks or before_joining or isinstance(error, Interrupted)):
                sys.excepthook = functools.partial(_leave_to_main_rank, sys.excepthook)
            raise error.with_traceback(None) from None

    return call


def name_arguments(message: str) -> str:
    """Return a message with the calls and arguments of Python in the place of commands and options.

    ``--resume`` becomes ``resume=True``, and ``vaegan train digits/vae`` becomes ``vaegan.train("digits/vae")``.
    """
    message = COMMAND_PATTERN.sub(lambda command: f'`vaegan.{FUNCTIONS[command[1]]}("{command[2]}")`', message)
    return OPTION_PATTERN.sub(lambda option: ARGUMENTS[option[0]], message)


def _leave_to_main_rank(
    hook: ExceptHook, kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """Leave an error of one line to rank 0, which the launcher ends as soon as this process has ended."""
    if isinstance(error, OneLineError):
        time.sleep(MAIN_RANK_HEAD_START_SECONDS)
    else:
        hook(kind, error, traceback)


def _leave_process_group() -> None:
    """Leave the process group, unless an error ends the script, when another process may wait or be gone."""
    if not hasattr(sys, "last_type"):
        destroy_process_group()
