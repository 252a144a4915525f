"""Measure trainings that share the cores of a machine, with threads that wait politely and with threads that spin.

    python benchmarks/side_by_side.py digits/vae --trainings 2 --threads 2

`vaegan` sets `OMP_WAIT_POLICY=PASSIVE` where the variable is not set: threads that wait for others then sleep, while by
default they spin for a while on cores that other work could use. The trainings of a round run at the same time; the
rounds take turns. Recorded results: benchmarks/README.md.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

POLICIES = {"passive": "PASSIVE", "the library's default": ""}
"""Value of `OMP_WAIT_POLICY` by name; an empty one is ignored by the library."""
LOG_EVERY_STEPS = 50


def train_side_by_side(config: str, trainings: int, threads: int, steps: int, policy: str) -> list[float]:
    """Return the images per second of each of several trainings that run at the same time."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": policy}
    words = [f"train.steps={steps}", f"train.log_every={LOG_EVERY_STEPS}", "train.sample_every=null"]
    with tempfile.TemporaryDirectory() as folder:
        runs = [Path(folder) / str(number) for number in range(trainings)]
        commands = [
            [sys.executable, "-m", "vaegan", "train", config, *words, "track.wandb=disabled", "--output", str(run)]
            for run in runs
        ]
        processes = [subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) for command in commands]
        if any(process.wait() for process in processes):
            raise SystemExit(f"{config}: a training failed")
        return [read_speed(run) for run in runs]


def read_speed(run: Path) -> float:
    """Return the median of the images per second of a run, but for its first line."""
    lines = [json.loads(line) for line in (run / "timing.jsonl").read_text().splitlines()]
    return float(statistics.median(line["images_per_second"] for line in lines[1:]))


def main() -> None:
    """Print the images per second of each training of each round."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config")
    parser.add_argument("--trainings", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2, help="threads of each training")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    for _ in range(arguments.rounds):
        for name, policy in POLICIES.items():
            speeds = train_side_by_side(
                arguments.config, arguments.trainings, arguments.threads, arguments.steps, policy
            )
            print(f"{name}: {', '.join(f'{speed:,.0f}' for speed in speeds)} images/s", flush=True)


if __name__ == "__main__":
    main()
