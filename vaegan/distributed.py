"""The processes of one launch: who they are, and what they do together.

Every function works as well in a process that is alone. Those that exchange something are for all processes at
once, and a failure of one becomes a failure of all: nobody is left waiting for who has gone.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from .errors import Failure, FileFailure, UserError

if TYPE_CHECKING:  # it is slow to import, and the command line asks for its rank at once
    import torch

T = TypeVar("T")

COLLECTIVE_TIMEOUT = timedelta(minutes=30)
"""How long a process waits for one that is slower, as in reading its images."""

SIGNAL_ECHO_SECONDS = 1.0
"""Seconds within which a signal is heard once: launchers and schedulers pass on what a process has had already."""

RANK_VARIABLES = ("RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "MV2_COMM_WORLD_RANK")
"""Where torchrun and `accelerate launch`, Open MPI, MPICH and MVAPICH write a process's number."""
WORLD_SIZE_VARIABLES = ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE")
"""Where they write how many there are."""


def get_rank() -> int:
    """Number of this process among those that were launched together; 0: the first, or alone."""
    return _number(RANK_VARIABLES, 0)


def get_world_size() -> int:
    """How many processes were launched together."""
    return _number(WORLD_SIZE_VARIABLES, 1)


def init_process_group() -> None:
    """Meet the other processes; a second call does nothing.

    Raises:
        UserError: They cannot work together, so that each would work alone.
    """
    import torch
    from accelerate import PartialState

    here, gpus = _number(("LOCAL_WORLD_SIZE",), 1), torch.cuda.device_count()
    if gpus and here > gpus:
        raise UserError(
            f"LOCAL_WORLD_SIZE: {here} processes on a machine of {gpus} GPUs; start no more than one for each"
        )
    # Accelerate 1.15 joins processes without an accelerator only where it is told to use the CPU.
    state = PartialState(cpu=not torch.cuda.is_available(), timeout=COLLECTIVE_TIMEOUT)
    if state.num_processes != get_world_size():
        raise UserError(
            f"WORLD_SIZE: {get_world_size()} processes were launched, but Accelerate joins {state.num_processes} of them"
            f" on {state.device.type}; launch one, or set ACCELERATE_USE_CPU=true",
            on_all_ranks=True,
        )


def destroy_process_group() -> None:
    """Part from the other processes, when all is done."""
    if is_initialized():
        from torch import distributed

        distributed.destroy_process_group()


def is_initialized() -> bool:
    """Whether this process has met others."""
    # Who has met others has imported this; who is stopped while importing it must not begin again.
    distributed: Any = sys.modules.get("torch.distributed")
    if get_world_size() == 1 or not hasattr(distributed, "is_initialized"):
        return False
    return bool(distributed.is_initialized() and distributed.get_world_size() > 1)


def get_group_rank_and_size() -> tuple[int, int]:
    """Number of this process among those that have met, and how many they are; (0, 1): it has met nobody."""
    if not is_initialized():
        return 0, 1
    from torch import distributed

    return distributed.get_rank(), distributed.get_world_size()


def all_gather_object(value: T) -> list[T]:
    """The value of every process, in order of rank."""
    if not is_initialized():
        return [value]
    from torch import distributed

    values: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(values, value)
    return values


def gather_to_main(value: T) -> list[T]:
    """The value of every process, in order of rank, on the first one; nothing on the others."""
    number, processes = get_group_rank_and_size()
    if processes == 1:
        return [value]
    from torch import distributed

    values: list[Any] = [None] * processes
    distributed.gather_object(value, values if number == 0 else None)
    return values if number == 0 else []


def any_rank(flag: bool, device: "torch.device") -> bool:
    """Whether something is so for any process; cheap enough to be asked in every step.

    Args:
        flag: Whether it is so for this one.
        device: The one that this process computes on.
    """
    if not is_initialized():
        return flag
    import torch

    flags = torch.tensor(float(flag), device=device)
    torch.distributed.all_reduce(flags)
    return bool(flags.item())


def run_on_all_ranks(work: Callable[[], T]) -> T:
    """Have every process do the same work; where it fails for one of them, it fails for all with the same words.

    Raises:
        UserError: As the first process raised it that could not do its work.
        FileFailure: It could not read or write a file.
        Failure: As it raised it. Another error is raised as it is by the process that it happened to, else as this.
    """
    try:
        made, error = [work()], None
    except Exception as caught:
        made, error = [], caught
    problems = [
        each for each in all_gather_object(None if error is None else (_kind(error), describe_error(error))) if each
    ]
    if not problems:
        return made[0]
    kind, words = problems[0]
    if kind is None and error is not None:
        raise error
    raise (kind or Failure)(words, on_all_ranks=True) from error


def run_on_main(work: Callable[[], T]) -> T | None:
    """Have the first process alone do something while the others wait, with the errors of `run_on_all_ranks`.

    Returns:
        What the work gives on the first process; None on the others.
    """
    return run_on_all_ranks(lambda: work() if get_group_rank_and_size()[0] == 0 else None)


def broadcast_from_main(work: Callable[[], T]) -> T:
    """Have the first process alone do something, with the errors of `run_on_all_ranks`, and all of them get what it gives."""
    return all_gather_object(run_on_all_ranks(lambda: [work()] if get_group_rank_and_size()[0] == 0 else []))[0][0]


@contextmanager
def report_lost_ranks(mend: str) -> Iterator[None]:
    """Say so in one line where another process ends while this one works with it.

    Args:
        mend: What to do then.

    Raises:
        Failure: It has.
    """
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, Failure) or get_world_size() == 1 or not _of_the_connection(error):
            raise
        raise Failure(f"another process of this launch has ended; {mend}") from error


def deal_batches(count: int, size: int) -> Iterator[tuple[range, int]]:
    """Deal ``count`` images in batches of ``get_world_size`` to the processes in turn, a batch to each of them a round.

    Returns:
        For each round, the places of this process's batch (none are left: empty) and the images done after it.
    """
    number, processes = get_group_rank_and_size()
    for start in range(0, count, processes * size):
        own = start + number * size
        yield range(own, min(own + size, count)), min(start + processes * size, count)


def describe_error(error: Exception) -> str:
    """An error in one line."""
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return getattr(error, "strerror", None) or str(error)


def count_cpu_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _kind(error: Exception) -> type[UserError] | type[Failure] | None:
    if isinstance(error, OSError):
        return FileFailure
    return next((kind for kind in (UserError, FileFailure, Failure) if isinstance(error, kind)), None)


def _of_the_connection(error: RuntimeError) -> bool:
    from torch.distributed import DistError

    words = ("connection", "gloo", "nccl", "socket", "broken pipe", "timed out")
    return isinstance(error, DistError) or any(word in str(error).lower() for word in words)


def _number(names: tuple[str, ...], otherwise: int) -> int:
    return next((int(os.environ[name]) for name in names if name in os.environ), otherwise)
