"""The processes of one launch: their ranks, collective calls, and errors that end all of them alike.

Every function also works in a single process. Functions that exchange something are collective calls, which all
processes must make; if the work of one process fails, all of them raise, so that none waits for a process that is gone.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from socket import socket
from typing import TYPE_CHECKING, Any, TypeVar

from . import peer_watch
from .accelerate_settings import check_accelerate_settings
from .errors import Failure, FileFailure, UserError
from .peer_watch import PeerWatch

if TYPE_CHECKING:  # torch is slow to import, and the command line needs its rank at once
    import torch

T = TypeVar("T")

COLLECTIVE_TIMEOUT = timedelta(minutes=30)
"""Longest time that a collective call waits for a slower process, for example one that reads its images."""
SIGNAL_ECHO_SECONDS = 1.0
"""Seconds in which a repeated signal counts as the same one: launchers and schedulers pass signals on once more."""
GLOO_RELEASE_SECONDS = 0.1
"""Seconds in which the threads of gloo release the tensors of the last collectives: one that still waits for the
interpreter when it ends aborts the process."""

MAIN_RANK_HEAD_START_SECONDS = 1.0
"""Seconds that the other ranks wait before they end: a launcher kills all others, among them rank 0, which prints the
message, as soon as one has ended."""

RANK_VARIABLES = ("RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "MV2_COMM_WORLD_RANK")
"""Environment variables in which torchrun and `accelerate launch`, Open MPI, MPICH and MVAPICH write the rank."""
WORLD_SIZE_VARIABLES = ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE")
"""Environment variables in which the same launchers write the number of processes."""

_watches: list[PeerWatch] = []
"""The watch over the other processes of this launch, if its backend needs one."""
_host_groups: list[Any] = []
"""The group of `any_rank`, where the default one exchanges what GPUs hold."""
_advice: list[str] = []
"""Advice to the user if a process is lost, that of the innermost block of `report_lost_ranks` last."""


def get_rank() -> int:
    """Return the rank of this process among those of its launch; 0 is the main process, or the only one."""
    return _read_int(RANK_VARIABLES, 0)


def get_world_size() -> int:
    """Return the number of processes of this launch."""
    return _read_int(WORLD_SIZE_VARIABLES, 1)


def init_process_group() -> None:
    """Join the process group of this launch, unless this process is alone or has joined already.

    Raises:
        UserError: Accelerate has a setting that is not followed, there are more processes than GPUs on this machine,
            or Accelerate joins fewer processes than were launched, so that each would train alone.
    """
    check_accelerate_settings()
    if get_world_size() == 1:
        return
    import torch
    from accelerate import PartialState

    local_size, gpus = _read_int(("LOCAL_WORLD_SIZE",), 1), torch.cuda.device_count()
    if gpus > 1 and local_size > gpus:  # of one, each process may see its own, which NCCL checks
        problem = f"{local_size} processes on a machine of {gpus} GPUs; start no more than one for each"
        raise UserError(f"LOCAL_WORLD_SIZE: {problem}")
    # Without an accelerator, Accelerate 1.15 joins processes only if it is told to use the CPU.
    state = PartialState(cpu=not torch.cuda.is_available(), timeout=COLLECTIVE_TIMEOUT)
    if state.num_processes != get_world_size():
        joined = f"Accelerate joins {state.num_processes} of them on {state.device.type}"
        problem = f"{get_world_size()} processes were launched, but {joined}"
        raise UserError(f"WORLD_SIZE: {problem}; launch one, or set ACCELERATE_USE_CPU=true", on_all_ranks=True)
    if torch.distributed.get_backend() == "nccl" and not _watches:
        _watch_peers()


def destroy_process_group() -> None:
    """Leave the process group, when all work is done."""
    while _watches:
        _watches.pop().leave()
    if is_initialized():
        from torch import distributed

        _host_groups.clear()
        distributed.destroy_process_group()
        time.sleep(GLOO_RELEASE_SECONDS)


def abandon_process_group() -> None:
    """Let the other processes take this one for lost once it has ended, since it has failed alone."""
    while _watches:
        _watches.pop().abandon()


def is_initialized() -> bool:
    """Return whether this process has joined a process group of several processes."""
    # No import: a process that joined a group has imported it, and one stopped inside that import must not repeat it.
    distributed: Any = sys.modules.get("torch.distributed")
    if get_world_size() == 1 or not hasattr(distributed, "is_initialized"):
        return False
    return bool(distributed.is_initialized() and distributed.get_world_size() > 1)


def get_group_rank_and_size() -> tuple[int, int]:
    """Return the rank of this process in its process group, and the group's size; (0, 1) if it has joined none."""
    if not is_initialized():
        return 0, 1
    from torch import distributed

    return distributed.get_rank(), distributed.get_world_size()


def all_gather_object(value: T) -> list[T]:
    """Gather a picklable value of every process to all of them, in order of rank."""
    if not is_initialized():
        return [value]
    from torch import distributed

    values: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(values, value)
    return values


def gather_to_main(value: T) -> list[T]:
    """Gather a picklable value of every process to the main one, in order of rank; the others get an empty list."""
    rank, size = get_group_rank_and_size()
    if size == 1:
        return [value]
    from torch import distributed

    values: list[Any] = [None] * size
    distributed.gather_object(value, values if rank == 0 else None)
    return values if rank == 0 else []


def all_reduce(value: "torch.Tensor") -> "torch.Tensor":
    """Add a tensor of every process to all of them, in place, and return it; it lies on the process's device."""
    if is_initialized():
        from torch import distributed

        distributed.all_reduce(value)
    return value


def any_rank(flag: bool) -> bool:
    """Return whether the flag of any process is set; cheap enough for every step, since no device is waited for."""
    if not is_initialized():
        return flag
    import torch

    flags = torch.tensor(float(flag))
    torch.distributed.all_reduce(flags, group=_get_host_group())
    return bool(flags.item())


def run_on_all_ranks(work: Callable[[], T]) -> T:
    """Run the same work on every process; if it fails on any of them, raise the same message on all.

    Raises:
        UserError: The work raised one; the message is that of the lowest rank on which it failed.
        FileFailure: The work could not read or write a file.
        Failure: The work raised one, or any other error on another process. On the process where it occurred, another
            error is raised unchanged.
    """
    try:
        results, error = [work()], None
    except Exception as caught:
        results, error = [], caught
    problem = None if error is None else (_get_error_class(error), describe_error(error))
    problems = [problem for problem in all_gather_object(problem) if problem]
    if not problems:
        return results[0]
    error_class, message = problems[0]
    if error_class is None and error is not None:
        raise error
    raise (error_class or Failure)(message, on_all_ranks=True) from error


def run_on_main(work: Callable[[], T]) -> T | None:
    """Run work on the main process while the others wait, with the errors of `run_on_all_ranks`.

    Returns:
        The result of the work on the main process; None on the others.
    """
    return run_on_all_ranks(lambda: work() if get_group_rank_and_size()[0] == 0 else None)


def broadcast_from_main(work: Callable[[], T]) -> T:
    """Run work on the main process, with the errors of `run_on_all_ranks`, and return its result on all processes."""
    return all_gather_object(run_on_all_ranks(lambda: [work()] if get_group_rank_and_size()[0] == 0 else []))[0][0]


@contextmanager
def report_lost_ranks(advice: str) -> Iterator[None]:
    """Turn the error of a lost connection into one line.

    Args:
        advice: What the user can do, at the end of the message.

    Raises:
        Failure: Another process of this launch ended during the block.
        UserError: Two processes have the same GPU.
    """
    _advice.append(advice)
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, Failure) or get_world_size() == 1 or not _is_connection_error(error):
            raise
        if "duplicate gpu" in str(error).lower():  # NCCL's words
            problem = "two processes of a machine have the same GPU; start no more than one for each"
            raise UserError(f"LOCAL_WORLD_SIZE: {problem}", on_all_ranks=True) from error
        raise Failure(_describe_loss()) from error
    finally:
        _advice.pop()


def deal_batches(count: int, batch_size: int) -> Iterator[tuple[range, int]]:
    """Deal ``count`` images to the processes in turn, in rounds of one batch of ``batch_size`` for each process.

    Yields:
        For each round, the indices of this process's batch (empty if none are left for it), and the number of images
        processed by all ranks after the round.
    """
    rank, size = get_group_rank_and_size()
    for round_start in range(0, count, size * batch_size):
        start = round_start + rank * batch_size
        yield range(start, min(start + batch_size, count)), min(round_start + size * batch_size, count)


def describe_error(error: Exception) -> str:
    """Return an error's message; for an error of the operating system the file and the reason."""
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return getattr(error, "strerror", None) or str(error)


def count_cpu_cores() -> int:
    """Return the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _watch_peers() -> None:
    """Connect all processes to rank 0, so that each ends with a line soon after another one is lost."""
    rank, size = get_group_rank_and_size()
    server, own = peer_watch.open_server() if rank == 0 else (None, None)
    address = all_gather_object(own)[0]
    assert address is not None
    port, secret = address

    def connect() -> list[socket]:
        if server is not None:
            return peer_watch.accept_peers(server, secret, size - 1)
        return [peer_watch.connect_to_main(os.environ.get("MASTER_ADDR", "localhost"), port, secret)]

    connections = run_on_all_ranks(connect)
    _watches.append(PeerWatch(connections, lambda: peer_watch.end_process(_describe_loss(), rank)))


def _get_host_group() -> Any:
    """Return the `ProcessGroup` of what is in the memory of the hosts; None: the default one."""
    from torch import distributed

    if distributed.get_backend() == "gloo":
        return None
    if not _host_groups:
        _host_groups.append(distributed.new_group(backend="gloo", timeout=COLLECTIVE_TIMEOUT))
    return _host_groups[0]


def _describe_loss() -> str:
    return f"another process of this launch has ended; {_advice[-1] if _advice else 'start again'}"


def _get_error_class(error: Exception) -> type[UserError] | type[Failure] | None:
    if isinstance(error, OSError):
        return FileFailure
    return next((kind for kind in (UserError, FileFailure, Failure) if isinstance(error, kind)), None)


def _is_connection_error(error: RuntimeError) -> bool:
    from torch.distributed import DistError

    words = ("connection", "gloo", "nccl", "socket", "broken pipe", "timed out")
    return isinstance(error, DistError) or any(word in str(error).lower() for word in words)


def _read_int(variables: tuple[str, ...], default: int) -> int:
    return next((int(os.environ[name]) for name in variables if name in os.environ), default)
