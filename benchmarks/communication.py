"""What the processes of a training say to each other in each step, counted where DistributedDataParallel says it.

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
    """What is said, in order.

    Each event is (optimizer step from 0, what, bytes): a network's name for a bucket of its gradient, ``forward`` for
    the beginning of a micro-batch, or the name of another collective operation.
    """

    events: list[tuple[int, str, int]] = field(default_factory=list)
    parameters: dict[str, int] = field(default_factory=dict)
    """Bytes of each network's parameters."""
    step: Callable[[], int] = lambda: -1

    def say(self, what: str, size: int = 0) -> None:
        """Take down an event."""
        self.events.append((self.step(), what, size))


def counted(config: Config, folder: Path) -> Traffic:
    """Train a config in this launch, and listen."""
    traffic = Traffic()
    build_state, build_step, all_reduce = loop.build_state, loop.build_step, distributed.all_reduce

    def listening(*arguments: Any) -> Any:
        state = build_state(*arguments)
        traffic.step = lambda: state.step
        for name, network in state.prepared.items():
            traffic.parameters[name] = sum(each.nbytes for each in state.parameters[name])
            if isinstance(network, DistributedDataParallel):
                network.register_comm_hook(name, heard)
        return state

    def heard(name: str, bucket: distributed.GradBucket) -> torch.futures.Future[Tensor]:
        traffic.say(name, bucket.buffer().nbytes)
        distributed.all_reduce = all_reduce  # which the hook calls itself
        try:
            return allreduce_hook(None, bucket)
        finally:
            distributed.all_reduce = reduced

    def reduced(tensor: Tensor, *arguments: Any, **options: Any) -> Any:
        traffic.say("all_reduce", tensor.nbytes)
        return all_reduce(tensor, *arguments, **options)

    def build_traced_step(config: Config) -> Any:
        step = build_step(config)
        accumulate_gradients = step.accumulate_gradients

        def accumulate_traced_gradients(*arguments: Any) -> Any:
            traffic.say("forward")
            return accumulate_gradients(*arguments)

        step.accumulate_gradients = accumulate_traced_gradients  # type: ignore[method-assign]
        return step

    loop.build_state, loop.build_step, distributed.all_reduce = listening, build_traced_step, reduced
    try:
        train(config, folder, open_data(config.data))
    finally:
        loop.build_state, loop.build_step, distributed.all_reduce = build_state, build_step, all_reduce
    return traffic


def table(traffic: Traffic, steps: int) -> tuple[list[str], list[list[str]]]:
    """What was said per step, but for the first and the last one, which are logged: header and rows."""
    rows = []
    said = [event for event in traffic.events if 2 <= event[0] < steps]
    for name in [*traffic.parameters, "all_reduce"]:
        own = [size for _, what, size in said if what == name]
        held = traffic.parameters.get(name)
        rows.append(
            [
                name if held else "flags and sums",
                f"{held:,}" if held else "-",
                f"{sum(own) / (steps - 2):,.0f}",
                f"{len(own) / (steps - 2):.1f}",
            ]
        )
    return ["what", "parameters, bytes", "reduced, bytes a step", "messages a step"], rows


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--micro-batches", type=int, default=1)
    asked = parser.parse_intermixed_args()
    config = load_config(asked.recipe, [*asked.overrides, f"train.steps={asked.steps}", "track.wandb=disabled"])
    micro = config.train.batch_size // get_world_size() // asked.micro_batches
    config = config.model_copy(update={"train": config.train.model_copy(update={"micro_batch_size": micro})})
    init_process_group()
    with tempfile.TemporaryDirectory() as folder:
        traffic = counted(config, Path(folder) / "run")
    header, rows = table(traffic, asked.steps)
    run_on_main(lambda: Console().table(header, rows))


if __name__ == "__main__":
    main()
