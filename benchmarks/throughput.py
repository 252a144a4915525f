"""Measure the training loop beside a bare hand-written loop over the same networks and images.

    python benchmarks/throughput.py --sizes 32 64 --precisions fp32 --modes eager

The bare loops (benchmarks/bare_loops.py) have the same networks, losses and optimizers and nothing else. Both take
turns inside one process, some steps each, so that other work on the machine slows both. Printed are medians of the
rounds: images per second by the clock and of the CPU time of all threads, their ratio (training loop / bare loop), and
the share of what a product of square matrices of the same type reaches on this device. FLOPs are those of convolutions
and matrix products in an eager bare loop. On a GPU give --width 64 --batch-size 256 --steps 20.

Recorded results: benchmarks/README.md.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import torch
from bare_loops import TAKE_STEP, make_bare_loop
from gpu import PRECISIONS, measure_ceiling

from vaegan.config import Config, load_config
from vaegan.data import Data, open_data
from vaegan.progress import ProgressCallback, Reporter
from vaegan.trainers import train
from vaegan.trainers.step_cost import CostCounter

MODES = {"eager": False, "compiled": True}
"""Values of `train.compile` by their names here, for both loops."""


class Cost(NamedTuple):
    """Wall-clock and CPU time of some steps."""

    wall_seconds: float
    cpu_seconds: float

    def __sub__(self, other: Any) -> "Cost":
        return Cost(self.wall_seconds - other.wall_seconds, self.cpu_seconds - other.cpu_seconds)


def read_clocks(device: torch.device) -> Cost:
    """Wait for the device, and return the times of now."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return Cost(time.perf_counter(), time.process_time())


class Turns(Reporter):
    """A `Reporter` of a training that stops it after every `steps` steps, to let another work take its turn.

    Args:
        steps: Optimizer steps of a turn of the training.
        work: The other work.
        device: Device that both queue their work on.

    Attributes:
        rounds: Cost of the training's turn and of the other work's in each round, without the first, a warm-up.
    """

    def __init__(self, steps: int, work: Callable[[], object], device: torch.device) -> None:
        self.steps, self.work, self.device = steps, work, device
        self.rounds: list[tuple[Cost, Cost]] = []

    @contextmanager
    def progress(self, title: str, unit: str, per_step: int = 1) -> Iterator[ProgressCallback]:
        """Yield the callback that is called after each step of the training."""
        start = read_clocks(self.device)

        def report(done: int, total: int) -> None:
            nonlocal start
            if done % self.steps == 0 and done:
                middle = read_clocks(self.device)
                self.work()
                end = read_clocks(self.device)
                if done > self.steps:
                    self.rounds.append((middle - start, end - middle))
                start = end

        yield report


def time_in_turns(
    config: Config, data: Data, work: Callable[[], object], rounds: int, steps: int, device: torch.device
) -> list[tuple[Cost, Cost]]:
    """Train a config, and return the cost of the training and of another work in each round of some steps."""
    turns = Turns(steps, work, device)
    total = steps * (rounds + 1) + 1  # the last step writes the run and is not timed
    config = config.model_copy(update={"train": config.train.model_copy(update={"steps": total})})
    with tempfile.TemporaryDirectory() as folder:
        train(config, Path(folder) / "run", data, reporter=turns)
    return turns.rounds


def summarise(rounds: list[tuple[Cost, Cost]], images: int) -> list[str]:
    """Return the images per second of both works, and the median of the ratios, by the clock and then by CPU time."""
    cells = []
    for clock in Cost._fields:
        seconds = [[getattr(cost, clock) for cost in turn] for turn in rounds]
        cells += [f"{images / statistics.median(times):,.0f}" for times in zip(*seconds, strict=True)]
        cells.append(f"{statistics.median(other / ours for ours, other in seconds):.3f}")
    return cells


def make_config(family: str, size: int, width: int, batch_size: int, *settings: str) -> Config:
    """Return the config of a family with `conv` networks for drawn images of a size; the history is its only record."""
    widths = [f"model.width={width}", "model.latent_size=64", "model.network=conv"]
    if family == "vqvae":
        widths = [f"model.width={4 * width}", f"model.residual_width={width}"]
    elif family != "vae":
        widths += [f"model.discriminator.width={width}", "model.discriminator.network=conv"]
    words = [
        "data.source=shapes", f"data.count={10 * batch_size}", f"data.image_size={size}",
        f"train.batch_size={batch_size}", "train.sample_every=null", "train.checkpoint_every=null",
        "train.learning_rate=1.0e-3", "track.wandb=disabled", *widths, *settings,
    ]  # fmt: skip
    return load_config(f"cifar10/{family}", words)


def main() -> None:
    """Print a row for each family, size, precision and mode."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", nargs="+", choices=TAKE_STEP, default=list(TAKE_STEP))
    parser.add_argument("--sizes", nargs="+", type=int, default=[32, 64, 128], help="sides of the images in pixels")
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=list(PRECISIONS))
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--width", type=int, default=16, help="channels at full resolution")
    parser.add_argument("--batch-size", type=int, help="images of a step; default: 2,048 / size")
    parser.add_argument("--steps", type=int, default=4, help="optimizer steps of a turn, a multiple of 4")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each loop that are timed")
    arguments = parser.parse_args()
    if arguments.steps % 4:
        parser.error("--steps: a penalty is in every fourth step; give a multiple of 4")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    ceilings = {name: measure_ceiling(device, PRECISIONS[name]) for name in arguments.precisions}
    for name, ceiling in ceilings.items():
        print(f"a matrix product in {name}: {ceiling / 1e12:.2f} TFLOP/s")
    columns = ["images/s", "bare", "ratio", "images/CPU s", "bare", "ratio", "of the product"]
    head = ["family", "size", "precision", "mode", *columns]
    print(f"{device}, {torch.get_num_threads()} threads\n\n| {' | '.join(head)} |\n|{' --- |' * len(head)}")
    for family, size in product(arguments.families, arguments.sizes):
        batch_size = arguments.batch_size or 2048 // size
        images = arguments.steps * batch_size
        config = make_config(family, size, arguments.width, batch_size)
        data = open_data(config.data)
        with CostCounter() as counter:
            make_bare_loop(family, config, data, device, compiled=False)(arguments.steps)
        for precision, mode in product(arguments.precisions, arguments.modes):
            settings = f"train.precision={precision}", f"train.compile={str(MODES[mode]).lower()}"
            config = make_config(family, size, arguments.width, batch_size, *settings)
            take_steps = make_bare_loop(family, config, data, device, MODES[mode])
            work = partial(take_steps, arguments.steps)
            rounds = time_in_turns(config, data, work, arguments.rounds, arguments.steps, device)
            cells = summarise(rounds, images)
            seconds = statistics.median(ours.wall_seconds for ours, _ in rounds)
            cells.append(f"{counter.flops / seconds / ceilings[precision]:.2f}")
            print(f"| {family} | {size} | {precision} | {mode} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
