"""Compare two checkouts: every recipe of the digits must give the same history, weights and checkpoints, bit for bit.

Usage, from a checkout with the packages installed, on one thread so that sums are taken in one order:

    OMP_NUM_THREADS=1 python benchmarks/same_bits.py PATH_OF_ANOTHER_CHECKOUT
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
"""The checkout of this file."""
RECIPES = ("ae", "vae", "vqvae", "pixelcnn", "vaegan2", "vaegan3", "relativistic", "larsen", "ganvae", "features")
"""Recipes of the digits; pixelcnn comes after the VQ-VAE whose codes it learns."""
OVERRIDES = ("train.steps=200", "train.log_every=10", "train.checkpoint_every=100", "track.wandb=disabled")
"""Settings with which every recipe is trained."""
FILES = ("history.jsonl", "model/*.safetensors", "checkpoints/*/*", "samples/*.png")
"""Patterns of the files of a run that are functions of its config."""


def train(checkout: Path, recipe: str, runs: Path) -> None:
    """Train one recipe with the code of a checkout."""
    prior = [f"prior.autoencoder={runs / 'vqvae'}"] if recipe == "pixelcnn" else []
    command = [sys.executable, "-m", "vaegan", "train", f"digits/{recipe}", *OVERRIDES, *prior]
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    subprocess.run(
        [*command, "--output", str(runs / recipe)], cwd=checkout, env=environment, check=True, capture_output=True
    )


def read_files(run: Path) -> dict[str, bytes]:
    """Return the contents of the files of a run that its config determines, by their paths in the run folder."""
    return {str(path.relative_to(run)): path.read_bytes() for pattern in FILES for path in sorted(run.glob(pattern))}


def main() -> None:
    """Train every recipe with both checkouts, print a line for each, and exit with 1 if a file differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="the other checkout")
    parser.add_argument("--recipes", nargs="+", default=RECIPES)
    arguments, differing = parser.parse_args(), False
    with tempfile.TemporaryDirectory() as folder:
        for recipe in arguments.recipes:
            runs = {
                checkout: Path(folder) / name for name, checkout in (("this", CHECKOUT), ("other", arguments.other))
            }
            for checkout, path in runs.items():
                train(checkout.resolve(), recipe, path)
            files, other_files = (read_files(path / recipe) for path in runs.values())
            names = sorted(
                name for name in files.keys() | other_files.keys() if files.get(name) != other_files.get(name)
            )
            verdict = f"{', '.join(names)} differ" if names else "the same bits"
            print(f"{recipe}: {len(files)} files, {verdict}", flush=True)
            differing = differing or bool(names)
    sys.exit(differing)


if __name__ == "__main__":
    main()
