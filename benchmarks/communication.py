"""Count the bytes and messages that the processes of a training exchange in each step.

Gradients are counted in a communication hook of DistributedDataParallel, other sums at `all_reduce`.

    torchrun --nproc_per_node 2 benchmarks/communication.py shapes/vaegan3 --steps 8 --micro-batches 2
"""

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from torch.nn.parallel import DistributedDataParallel

from vaegan.cli.console import Console
from vaegan.config import Config, load_config
from vaegan.data import open_data
from vaegan.distributed import get_world_size, init_process_group, run_on_main
from vaegan.trainers import loop, train


@dataclass
class Traffic:
    """The messages of one process and the sizes of its networks."""

    events: list[tuple[int, str, int]] = field(default_factory=list)
    """(optimizer step from 0, name, bytes) in order. The name is that of a network for a bucket of its gradient,
    ``forward`` for the beginning of a micro-batch, or that of another collective operation."""
    parameters: dict[str, int] = field(default_factory=dict)
    """Bytes of each network's parameters."""
    get_step: Callable[[], int] = lambda: -1
    """Returns the optimizer step of the training, -1 before its state exists."""

    def record(self, name: str, size: int = 0) -> None:
        """Append an event of ``size`` bytes."""
        self.events.append((self.get_step(), name, size))


def count_traffic(config: Config, folder: Path) -> Traffic:
    """Train a config with the processes of this launch, and return the traffic of this process."""
    traffic = Traffic()
    build_state, build_step, all_reduce = loop.build_state, loop.build_step, distributed.all_reduce

    def build_traced_state(*arguments: Any) -> Any:
        state = build_state(*arguments)
        traffic.get_step = lambda: state.step
        for name, network in state.prepared.items():
            traffic.parameters[name] = sum(parameter.nbytes for parameter in state.parameters[name])
            if isinstance(network, DistributedDataParallel):
                network.register_comm_hook(name, reduce_bucket)
        return state

    def reduce_bucket(name: str, bucket: distributed.GradBucket) -> torch.futures.Future[Tensor]:
        traffic.record(name, bucket.buffer().nbytes)
        distributed.all_reduce = all_reduce  # the hook itself calls it
        try:
            return allreduce_hook(None, bucket)
        finally:
            distributed.all_reduce = reduce_sums

    def reduce_sums(tensor: Tensor, *arguments: Any, **options: Any) -> Any:
        traffic.record("all_reduce", tensor.nbytes)
        return all_reduce(tensor, *arguments, **options)

    def build_traced_step(*arguments: Any) -> Any:
        step = build_step(*arguments)
        accumulate_gradients = step.accumulate_gradients

        def accumulate_traced_gradients(*arguments: Any) -> Any:
            traffic.record("forward")
            return accumulate_gradients(*arguments)

        step.accumulate_gradients = accumulate_traced_gradients  # type: ignore[method-assign]
        return step

    loop.build_state, loop.build_step, distributed.all_reduce = build_traced_state, build_traced_step, reduce_sums
    try:
        train(config, folder, open_data(config.data))
    finally:
        loop.build_state, loop.build_step, distributed.all_reduce = build_state, build_step, all_reduce
    return traffic


def build_table(traffic: Traffic, steps: int) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of a table of the bytes and messages per step.

    The steps at the beginning and the end, which are logged, are left out.
    """
    rows = []
    events = [event for event in traffic.events if 2 <= event[0] < steps]
    for name in [*traffic.parameters, "all_reduce"]:
        sizes = [size for _, event_name, size in events if event_name == name]
        parameter_bytes = traffic.parameters.get(name)
        rows.append(
            [
                name if parameter_bytes else "flags and sums",
                f"{parameter_bytes:,}" if parameter_bytes else "-",
                f"{sum(sizes) / (steps - 2):,.0f}",
                f"{len(sizes) / (steps - 2):.1f}",
            ]
        )
    return ["", "parameters, bytes", "reduced, bytes a step", "messages a step"], rows


def main() -> None:
    """Train, and print the table on the main process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--micro-batches", type=int, default=1)
    arguments = parser.parse_intermixed_args()
    config = load_config(
        arguments.recipe, [*arguments.overrides, f"train.steps={arguments.steps}", "track.wandb=disabled"]
    )
    micro = config.train.batch_size // get_world_size() // arguments.micro_batches
    config = config.model_copy(update={"train": config.train.model_copy(update={"micro_batch_size": micro})})
    init_process_group()
    with tempfile.TemporaryDirectory() as folder:
        traffic = count_traffic(config, Path(folder) / "run")
    header, rows = build_table(traffic, arguments.steps)
    run_on_main(lambda: Console().table(header, rows))


if __name__ == "__main__":
    main()
