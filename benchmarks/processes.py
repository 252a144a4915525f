"""Measure what a training costs on several processes: its speed, its CPU time, and how fast they exchange gradients.

    OMP_NUM_THREADS=1 torchrun --nproc_per_node 1 benchmarks/processes.py shapes/vaegan3 data.count=2000
    OMP_NUM_THREADS=1 torchrun --nproc_per_node 2 benchmarks/processes.py shapes/vaegan3 data.count=2000

Printed is a row: median wall-clock time of a plain step and of one with a gradient penalty, images per second, CPU
seconds of all processes for 1,000 images, the time of an all-reduce of as many bytes as the gradients have, and the
FLOP/s that each process attains in a plain step. Recorded results: benchmarks/README.md.
"""

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from vaegan.cli.console import Console
from vaegan.config import Config, load_config
from vaegan.data import open_data
from vaegan.distributed import (
    all_gather_object,
    broadcast_from_main,
    get_world_size,
    init_process_group,
    run_on_main,
)
from vaegan.trainers import loop, train
from vaegan.trainers.dry_run import estimate_size
from vaegan.trainers.step_cost import measure_step

WARM_UP_STEPS = 8
"""First steps, which are not timed."""


def time_steps(config: Config, folder: Path) -> tuple[list[float], float]:
    """Train a config, and return the seconds of each step after the warm-up, and this process's CPU seconds for all."""
    compute_gradients, marks = loop.compute_gradients, list[tuple[float, float]]()

    def mark_and_compute(*arguments: Any) -> Any:
        marks.append((time.perf_counter(), time.process_time()))
        return compute_gradients(*arguments)

    loop.compute_gradients = mark_and_compute  # type: ignore[assignment]
    train(config, folder, open_data(config.data))
    marks = marks[WARM_UP_STEPS:]
    return [after[0] - before[0] for before, after in itertools.pairwise(marks)], marks[-1][1] - marks[0][1]


def time_all_reduce(size: int) -> float:
    """Return the median seconds of an all-reduce of ``size`` bytes; 0 in a single process."""
    if get_world_size() == 1:
        return 0.0
    values, seconds = torch.zeros(size // 4), []
    for _ in range(20):
        distributed.barrier()
        start = time.perf_counter()
        distributed.all_reduce(values)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def build_row(
    config: Config, seconds: list[float], cpu_seconds: Iterable[float], gradient_bytes: int, reduction: float
) -> dict[str, str]:
    """Return the row of a training.

    Args:
        config: The run.
        seconds: Wall-clock seconds of each step after the warm-up.
        cpu_seconds: CPU seconds of each process for all of them.
        gradient_bytes: Bytes of the gradients of all networks.
        reduction: Seconds of an all-reduce of as many.
    """
    processes, images = get_world_size(), config.train.batch_size * len(seconds)
    cost, loss = measure_step(config, processes), getattr(config.model, "adversarial", None)
    every = loss.penalty_every if loss is not None and cost.penalty_flops is not None else 1
    numbered = list(enumerate(seconds, WARM_UP_STEPS))
    plain = statistics.median(time for step, time in numbered if every == 1 or step % every)
    penalty = statistics.median(time for step, time in numbered if step % every == 0)
    return {
        "processes": f"{processes}",
        "plain step, ms": f"{1e3 * plain:.0f}",
        "with penalty, ms": f"{1e3 * penalty:.0f}" if every > 1 else "",
        "images/s": f"{images / sum(seconds):.0f}",
        "CPU s for 1,000 images": f"{1e3 * sum(cpu_seconds) / images:.2f}",
        "gradients, MB": f"{gradient_bytes / 1e6:.1f}",
        "all-reduce, ms": f"{1e3 * reduction:.1f}" if processes > 1 else "",
        "GFLOP of a process": f"{cost.flops / 1e9:.1f}",
        "GFLOP/s": f"{cost.flops / plain / 1e9:.0f}",
    }


def main() -> None:
    """Train, and print the row on the main process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--steps", type=int, default=40)
    arguments = parser.parse_intermixed_args()
    quiet = ["train.log_every=1000", "train.sample_every=null", "train.checkpoint_every=null", "track.wandb=disabled"]
    steps = f"train.steps={arguments.steps + WARM_UP_STEPS + 1}"
    config = load_config(arguments.recipe, [*quiet, steps, *arguments.overrides])
    init_process_group()
    folder = broadcast_from_main(tempfile.mkdtemp)
    seconds, cpu_seconds = time_steps(config, Path(folder) / "run")
    size = estimate_size(config).gradient_bytes
    row = build_row(config, seconds, all_gather_object(cpu_seconds), size, time_all_reduce(size))
    run_on_main(lambda: Console().table([*row], [[*row.values()]]))


if __name__ == "__main__":
    main()
