"""Processes that are started once and do jobs together, in process groups of any size."""

import json
import os
import select
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Condition
from typing import Any

import torch

from ..forked.ports import find_free_port

POOL_SIZE = 4
"""Number of processes in a pool."""
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "ACCELERATE_USE_CPU": "true"}
"""Environment variables of processes on the CPU, which communicate through gloo."""


class Pool:
    """Four processes, for use in a ``with`` block; with NCCL and a GPU each on a machine with enough of them.

    If a process of a group ends, new processes take the places of the whole group.
    """

    def __init__(self) -> None:
        self.free = [start_process() for _ in range(POOL_SIZE)]
        self.change = Condition()

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *error: object) -> None:
        for process in self.free:  # which sees no end of file as long as a fork of this process is alive
            send_line(process, "")
        for process in self.free:
            process.wait(timeout=60)

    def run(self, world: int, task: str, **arguments: Any) -> list[Any]:
        """Run a task of `worker.py` in ``world`` processes, and return the result of each rank."""
        with self.change:
            self.change.wait_for(lambda: len(self.free) >= world)
            group = [self.free.pop() for _ in range(world)]
        try:
            port = find_free_port()
            for rank, process in enumerate(group):
                environment = {
                    "RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world,
                    "MASTER_ADDR": "localhost", "MASTER_PORT": port,
                }  # fmt: skip
                job = {"task": task, "environment": {key: str(value) for key, value in environment.items()}}
                send_line(process, json.dumps({**job, "arguments": {"world": world, **arguments}}))
            replies = read_replies(group)
        except BaseException:
            for process in group:  # whose replies would be taken for those of the next job
                process.kill()
                process.wait()
            raise
        finally:
            with self.change:
                self.free += [process if process.poll() is None else start_process() for process in group]
                self.change.notify_all()
        failed = [f"rank {rank}: {reply['failed']}" for rank, reply in enumerate(replies) if "failed" in reply]
        assert not failed, "\n".join(failed)
        return [reply["done"] for reply in replies]

    def run_all(self, jobs: list[tuple[int, str, dict[str, Any]]]) -> list[list[Any]]:
        """Run several jobs, as many at a time as there are processes for, and return the results of each."""
        with ThreadPoolExecutor(POOL_SIZE) as threads:
            return list(threads.map(lambda job: self.run(job[0], job[1], **job[2]), jobs))


def start_process() -> subprocess.Popen[str]:
    """Start a process that waits for jobs, and return it."""
    environment = {} if torch.cuda.device_count() >= POOL_SIZE else ENVIRONMENT
    command = [sys.executable, str(Path(__file__).with_name("worker.py"))]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
    )


def send_line(process: subprocess.Popen[str], line: str) -> None:
    with suppress(BrokenPipeError):  # the process has ended, which `read_replies` notices
        process.stdin.write(line + "\n")
        process.stdin.flush()


def read_replies(group: list[subprocess.Popen[str]]) -> list[dict[str, Any]]:
    """Return the reply of each rank.

    Raises:
        AssertionError: A process has ended without a reply. The others may wait for it, so this is raised at once.
    """
    replies: dict[int, dict[str, Any]] = {}
    while len(replies) < len(group):
        ranks = {process.stdout: rank for rank, process in enumerate(group) if rank not in replies}
        for stream in select.select(list(ranks), [], [])[0]:
            rank, line = ranks[stream], stream.readline()
            assert line, f"rank {rank}: its process has ended, with exit code {group[rank].wait(timeout=60)}"
            replies[rank] = json.loads(line)
    return [replies[rank] for rank in range(len(group))]
