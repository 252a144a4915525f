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

import torch
from safetensors.torch import load_file

CHECKOUT = Path(__file__).parents[1]
"""The checkout of this file."""
RECIPES = (
    "ae", "flow", "vae", "vqvae", "pixelcnn", "vaegan2", "vaegan3", "relativistic", "larsen", "ganvae", "features",
)  # fmt: skip
"""Recipes of the digits; a prior comes after the autoencoder whose codes it learns."""
PRIORS = {"pixelcnn": "vqvae", "flow": "ae"}
"""Autoencoder of each prior."""
OVERRIDES = ("train.log_every=10", "train.checkpoint_every=100", "track.wandb=disabled")
"""Settings with which every recipe is trained."""
FILES = ("history.jsonl", "model/*.safetensors", "checkpoints/*/*", "samples/*.png")
"""Patterns of the files of a run that are functions of its config."""


def train(checkout: Path, recipe: str, runs: Path, steps: int) -> None:
    """Train one recipe with the code of a checkout."""
    prior = [f"prior.autoencoder={runs / PRIORS[recipe]}"] if recipe in PRIORS else []
    command = [sys.executable, "-m", "vaegan", "train", f"digits/{recipe}", f"train.steps={steps}", *OVERRIDES, *prior]
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    subprocess.run(
        [*command, "--output", str(runs / recipe)], cwd=checkout, env=environment, check=True, capture_output=True
    )


def read_files(run: Path) -> dict[str, bytes]:
    """Return the contents of the files of a run that its config determines, by their paths in the run folder."""
    return {str(path.relative_to(run)): path.read_bytes() for pattern in FILES for path in sorted(run.glob(pattern))}


def compare_weights(run: Path, other: Path) -> float:
    """Return the norm of the difference of the exported weights of two runs, relative to that of the second."""
    ours, theirs = (load_file(each / "model" / "model.safetensors") for each in (run, other))
    values = [torch.cat([tensors[key].double().flatten() for key in sorted(theirs)]) for tensors in (ours, theirs)]
    return float((values[0] - values[1]).norm() / values[1].norm())


def main() -> None:
    """Train every recipe with both checkouts, print a line for each, and exit with 1 if a file differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="the other checkout")
    parser.add_argument("--recipes", nargs="+", default=RECIPES)
    parser.add_argument("--steps", type=int, default=200, help="optimizer steps of each run")
    arguments, differing = parser.parse_args(), False
    with tempfile.TemporaryDirectory() as folder:
        for recipe in arguments.recipes:
            runs = {
                checkout: Path(folder) / name for name, checkout in (("this", CHECKOUT), ("other", arguments.other))
            }
            for checkout, path in runs.items():
                train(checkout.resolve(), recipe, path, arguments.steps)
            files, other_files = (read_files(path / recipe) for path in runs.values())
            names = sorted(
                name for name in files.keys() | other_files.keys() if files.get(name) != other_files.get(name)
            )
            difference = compare_weights(*(path / recipe for path in runs.values()))
            verdict = f"{', '.join(names)} differ, the weights by {difference:.1e}" if names else "the same bits"
            print(f"{recipe}: {len(files)} files, {verdict}", flush=True)
            differing = differing or bool(names)
    sys.exit(differing)


if __name__ == "__main__":
    main()
