"""Measure what the gradient penalties R1 and R2 cost a training: operations and CPU time of a step.

    python benchmarks/penalties.py cifar10/vaegan3 model.width=16 model.discriminator.width=16 train.batch_size=32

Steps without a penalty, with R1, and with R1 and R2 are timed in turn on random images. Printed are their operations,
the median of their CPU time relative to a step without a penalty, and what that makes of a training with a penalty
every 1, 4 and 16 steps. Recorded results: benchmarks/README.md.
"""

import argparse
import statistics
import time

import torch
from gpu import make_stepper

from vaegan.config import load_config
from vaegan.trainers.step_cost import measure_step

KINDS = {
    "none": ("model.adversarial.r1=0", "model.adversarial.r2=0"),
    "R1": ("model.adversarial.r1=0.1", "model.adversarial.r2=0"),
    "R1 and R2": ("model.adversarial.r1=0.1", "model.adversarial.r2=0.1"),
}
"""Overrides by the penalties that they switch on."""
INTERVALS = (1, 4, 16)
"""Steps between two penalties."""


def main() -> None:
    """Print a row for each kind of penalty."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config")
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--rounds", type=int, default=9, help="steps of each kind that are timed")
    arguments = parser.parse_intermixed_args()
    configs = {
        name: load_config(arguments.config, [*arguments.overrides, *words, "model.adversarial.penalty_every=1"])
        for name, words in KINDS.items()
    }
    steppers = {name: make_stepper(config, torch.device("cpu"), False)[1] for name, config in configs.items()}
    seconds: dict[str, list[float]] = {name: [] for name in KINDS}
    for number in range(arguments.rounds + 1):
        for name, take in steppers.items():
            start = time.process_time()
            take(number)
            seconds[name].append(time.process_time() - start)
    times = {name: statistics.median(values[1:]) for name, values in seconds.items()}
    flops = {name: measure_step(config).flops for name, config in configs.items()}
    every = " | ".join(f"every {interval}" for interval in INTERVALS)
    print(f"| penalty | GFLOP of its step | ratio | CPU time, ratio | {every} |\n|{' --- |' * (4 + len(INTERVALS))}")
    for name in KINDS:
        ratio = times[name] / times["none"]
        cells = [f"{1 + (ratio - 1) / interval:.2f}" for interval in INTERVALS]
        counts = f"{flops[name] / 1e9:.1f} | {flops[name] / flops['none']:.2f}"
        print(f"| {name} | {counts} | {ratio:.2f} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
