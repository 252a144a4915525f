"""Processes that are started once and work together in companies of any size."""

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

SIZE = 4
"""Processes that are kept."""
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "ACCELERATE_USE_CPU": "true"}
"""Of processes on the CPU, which meet through gloo."""


class Pool:
    """Some processes, each with its GPU and NCCL where there are enough of them, for use in a ``with`` block.

    Where one ends, others take its place and that of its company.
    """

    def __init__(self) -> None:
        self.free = [begin() for _ in range(SIZE)]
        self.change = Condition()

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *error: object) -> None:
        for process in self.free:  # its end of file it may never see, where a fork of this process is left
            ask(process, "")
        for process in self.free:
            process.wait(timeout=60)

    def run(self, world: int, task: str, **arguments: Any) -> list[Any]:
        """What each rank of a company of ``world`` processes answers."""
        with self.change:
            self.change.wait_for(lambda: len(self.free) >= world)
            company = [self.free.pop() for _ in range(world)]
        try:
            port = find_free_port()
            for rank, process in enumerate(company):
                environment = {
                    "RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world,
                    "MASTER_ADDR": "localhost", "MASTER_PORT": port,
                }  # fmt: skip
                job = {"task": task, "environment": {key: str(value) for key, value in environment.items()}}
                ask(process, json.dumps({**job, "arguments": {"world": world, **arguments}}))
            answers = answers_of(company)
        except BaseException:
            for process in company:  # whose answers would be taken for those of the next job
                process.kill()
                process.wait()
            raise
        finally:
            with self.change:
                self.free += [process if process.poll() is None else begin() for process in company]
                self.change.notify_all()
        failed = [f"rank {rank}: {answer['failed']}" for rank, answer in enumerate(answers) if "failed" in answer]
        assert not failed, "\n".join(failed)
        return [answer["done"] for answer in answers]

    def run_all(self, jobs: list[tuple[int, str, dict[str, Any]]]) -> list[list[Any]]:
        """The answers of several companies, as many at a time as there are processes for."""
        with ThreadPoolExecutor(SIZE) as threads:
            return list(threads.map(lambda job: self.run(job[0], job[1], **job[2]), jobs))


def begin() -> subprocess.Popen[str]:
    """One more process."""
    own = {} if torch.cuda.device_count() >= SIZE else ENVIRONMENT
    command = [sys.executable, str(Path(__file__).with_name("worker.py"))]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **own}
    )


def ask(process: subprocess.Popen[str], line: str) -> None:
    with suppress(BrokenPipeError):  # it has ended, as is seen where its answer should be
        process.stdin.write(line + "\n")
        process.stdin.flush()


def answers_of(company: list[subprocess.Popen[str]]) -> list[dict[str, Any]]:
    """What each rank answers; AssertionError as soon as one has ended instead, since the others may wait for it."""
    answers: dict[int, dict[str, Any]] = {}
    while len(answers) < len(company):
        awaited = {process.stdout: rank for rank, process in enumerate(company) if rank not in answers}
        for stream in select.select(list(awaited), [], [])[0]:
            rank, line = awaited[stream], stream.readline()
            assert line, f"rank {rank}: its process has ended, with exit code {company[rank].wait(timeout=60)}"
            answers[rank] = json.loads(line)
    return [answers[rank] for rank in range(len(company))]
