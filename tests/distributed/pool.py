"""Processes that are started once and work together in companies of any size."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Condition
from typing import Any

import torch

from ..forked.ports import free_port

SIZE = 4
"""Processes that are kept."""
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "ACCELERATE_USE_CPU": "true"}
"""Of processes on the CPU, which meet through gloo."""


class Pool:
    """Some processes, each with its GPU and NCCL where there are enough of them, for use in a ``with`` block."""

    def __init__(self) -> None:
        own = {} if torch.cuda.device_count() >= SIZE else ENVIRONMENT
        command = [sys.executable, str(Path(__file__).with_name("worker.py"))]
        self.processes = [
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **own}
            )
            for _ in range(SIZE)
        ]
        self.free = list(self.processes)
        self.change = Condition()

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *error: object) -> None:
        for process in self.processes:  # its end of file it may never see, where a fork of this process is left
            process.stdin.write("\n")
            process.stdin.close()
        for process in self.processes:
            process.wait(timeout=60)

    def run(self, world: int, task: str, **arguments: Any) -> list[Any]:
        """What each rank of a company of ``world`` processes answers."""
        with self.change:
            self.change.wait_for(lambda: len(self.free) >= world)
            company = [self.free.pop() for _ in range(world)]
        try:
            port = free_port()
            for rank, process in enumerate(company):
                environment = {
                    "RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world,
                    "MASTER_ADDR": "localhost", "MASTER_PORT": port,
                }  # fmt: skip
                job = {"task": task, "environment": {key: str(value) for key, value in environment.items()}}
                process.stdin.write(json.dumps({**job, "arguments": {"world": world, **arguments}}) + "\n")
                process.stdin.flush()
            answers = [json.loads(process.stdout.readline()) for process in company]
        finally:
            with self.change:
                self.free += company
                self.change.notify_all()
        failed = [f"rank {rank}: {answer['failed']}" for rank, answer in enumerate(answers) if "failed" in answer]
        assert not failed, "\n".join(failed)
        return [answer["done"] for answer in answers]

    def run_all(self, jobs: list[tuple[int, str, dict[str, Any]]]) -> list[list[Any]]:
        """The answers of several companies, as many at a time as there are processes for."""
        with ThreadPoolExecutor(len(self.processes)) as threads:
            return list(threads.map(lambda job: self.run(job[0], job[1], **job[2]), jobs))
