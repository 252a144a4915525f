"""Measure the memory of a step beside what `vaegan train --dry-run` counts, for every family.

    OMP_NUM_THREADS=1 python benchmarks/memory.py
    OMP_NUM_THREADS=1 python benchmarks/memory.py --families vae vaegan3 train.precision=bf16

Each run takes three steps in a process of its own on the CPU. Printed is the rise of the peak of its resident memory
over the moment before the first step. Recorded results: benchmarks/README.md.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from vaegan.config import Config, dump_config, load_config
from vaegan.config.models import GANConfig
from vaegan.trainers.step_cost import measure_step

BATCH_SIZES = {
    "ae": 192, "vae": 192, "vaegan2": 64, "vaegan3": 64, "relativistic": 64, "larsen": 64, "ganvae": 96, "vqvae": 1280,
    "pixelcnn": 384, "flow": 384,
}  # fmt: skip
"""Images of a step with which 64x64 images take a gigabyte or more, by recipe of the shapes. A `flow` takes less."""
AUTOENCODERS = {"pixelcnn": "vqvae", "flow": "ae"}
"""Recipe of the autoencoder under each prior, whose run is made before it."""
SCRIPT = """
import re, sys
from pathlib import Path
from vaegan.config import load_config
from vaegan.data import open_data
from vaegan.trainers import loop, train

def read(name):
    return int(re.search(name + r":\\s*(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024

config, compute_gradients, before = load_config(sys.argv[1]), loop.compute_gradients, []

def start(*arguments):
    if not before:
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
        before.append(read("VmRSS"))
    return compute_gradients(*arguments)

loop.compute_gradients = start
train(config, Path(sys.argv[2]), open_data(config.data))
print(read("VmHWM") - before[0])
"""
"""Trains a config in a folder, and prints the rise of the peak of its memory over that before the first step, bytes."""


def measure_rise(config: Config, folder: Path) -> int:
    """Train a run in a process of its own, and return the rise of the peak of its resident memory in bytes."""
    file = folder.with_suffix(".yaml")
    file.write_text(dump_config(config))
    command = [sys.executable, "-c", SCRIPT, str(file), str(folder)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def load_recipe(family: str, arguments: argparse.Namespace, folder: Path) -> Config:
    """Return the config of three steps of a family."""
    words = [
        "data.count=2000", f"data.image_size={arguments.size}", "train.steps=3",
        f"train.batch_size={arguments.batch or BATCH_SIZES[family]}",
        f"model.width={arguments.width}", "track.wandb=disabled", "train.log_every=100", "train.sample_every=null",
    ]  # fmt: skip
    if family == "vqvae":
        words.append(f"model.residual_width={arguments.width}")
    if family in AUTOENCODERS:
        words.append(f"prior.autoencoder={folder / AUTOENCODERS[family]}")
    config = load_config(f"shapes/{family}", words)
    words += [f"model.discriminator.width={arguments.width}"] if isinstance(config.model, GANConfig) else []
    return load_config(f"shapes/{family}", [*words, *arguments.overrides])


def main() -> None:
    """Print a row for each family."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--size", type=int, default=64, help="side of the images in pixels")
    parser.add_argument("--width", type=int, default=32, help="channels of the networks at full resolution")
    parser.add_argument("--batch", type=int, help="images of a step, by default as many as need a gigabyte")
    parser.add_argument("--families", nargs="+", default=[*BATCH_SIZES], choices=[*BATCH_SIZES])
    arguments = parser.parse_intermixed_args()
    header = ["images", "GFLOP", "with penalty", "counted, MiB", "measured, MiB", "ratio", "seconds to count"]
    print(f"| family | {' | '.join(header)} |\n|{' --- |' * (len(header) + 1)}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for family in arguments.families:
            config = load_recipe(family, arguments, folder)
            start = time.process_time()
            cost = measure_step(config)
            seconds, measured = time.process_time() - start, measure_rise(config, folder / family)
            penalty = f"{cost.penalty_flops / 1e9:.1f}" if cost.penalty_flops else ""
            sizes = [cost.peak_bytes / 2**20, measured / 2**20]
            row = [*(f"{size:,.0f}" for size in sizes), f"{sizes[0] / sizes[1]:.2f}", f"{seconds:.1f}"]
            print(
                f"| {family} | {config.train.batch_size} | {cost.flops / 1e9:.1f} | {penalty} | {' | '.join(row)} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
