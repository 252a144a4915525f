"""Measure the accuracy of classes read off the codes of runs by logistic regression, beside pixels and their PCA.

python benchmarks/linear_probe.py RUN [RUN ...] [--images N] [--train-images N] [--data-root FOLDER]

The runs are of the same images. Probes are fitted to training images and judged on images that no run has seen: those
of the validation and test splits together. Printed is a Markdown table of the share of correct answers, with 95 %
intervals (Wilson), and its difference from PCA and pixels (paired bootstrap over images).
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from vaegan.applications.code_statistics import compute_code_statistics
from vaegan.applications.encoding import encode_images
from vaegan.applications.linear_probe import LinearProbe, fit_probes
from vaegan.cli.console import Console
from vaegan.data import Images
from vaegan.evaluate.comparing.bootstrap import estimate
from vaegan.images import to_float
from vaegan.models import Autoencoder, Posterior
from vaegan.storage.loading import load
from vaegan.storage.run_data import open_run_data
from vaegan.storage.run_folder import Run
from vaegan.workflows.runs import load_run_model


class Encoded(NamedTuple):
    """Images of a split and their codes."""

    posterior: Posterior
    """q(z | x), shape (N, d)."""
    pixels: Tensor
    """Shape (N, C, S, S), in [-1, 1]."""
    labels: Tensor
    """Class of each image, int64, shape (N,)."""


def encode(model: Autoencoder, splits: Sequence[Images], count: int) -> Encoded:
    """Encode ``count`` images, evenly chosen of the splits, or all of them if there are fewer."""
    total, parts = sum(map(len, splits)), list[Encoded]()
    for images in splits:
        positions = images.select_evenly(min(len(images), count * len(images) // total))
        assert images.labels is not None, "the images have no labels"
        with Console().progress("Encoding", "images") as progress:
            posterior = encode_images(model, images, positions, progress)
        parts.append(Encoded(posterior, to_float(images[positions]), images.labels[positions]))
    means, logs = (torch.cat([getattr(part.posterior, name) for part in parts]) for name in ("mean", "log_variance"))
    return Encoded(
        Posterior(means, logs), torch.cat([part.pixels for part in parts]), torch.cat([part.labels for part in parts])
    )


def describe_difference(codes: LinearProbe, other: LinearProbe) -> str:
    """Return by how many points the codes' probe is better, with the 95 % interval of the paired bootstrap."""
    rows = {name: probe.correct.double()[:, None] for name, probe in (("images/a", codes), ("images/b", other))}
    found = estimate([rows], lambda means: (means["images/a"] - means["images/b"]).flatten())
    return f"{100 * found.value:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f})"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", metavar="RUN", type=Path, nargs="+")
    parser.add_argument("--images", type=int, default=10_000, help="held-out images")
    parser.add_argument("--train-images", type=int, default=10_000, help="training images of the probes")
    parser.add_argument("--data-root", type=Path, help="folder of the images, if they have moved")
    options = parser.parse_args()
    console = Console()
    print("| run | active, nats | codes | PCA of pixels | pixels | codes − PCA, points | codes − pixels, points |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for folder in options.runs:
        run, model = Run(folder), load_run_model(folder, load, console)
        data, config = open_run_data(run, run.config, console, data_root=options.data_root)
        train = encode(model, [data.train], options.train_images)
        held_out = encode(model, [part for part in (data.validation, data.test) if len(part)], options.images)
        probes = fit_probes(
            train.posterior.mean, train.pixels, train.labels, held_out.posterior.mean, held_out.pixels, held_out.labels,
            config.seed,
        )  # fmt: skip
        cells = []
        for probe in probes.values():
            low, high = probe.interval
            cells.append(f"{100 * probe.accuracy:.1f} % ({100 * low:.1f} to {100 * high:.1f})")
        differences = [describe_difference(probes["codes"], probes[name]) for name in ("PCA of pixels", "pixels")]
        statistics = compute_code_statistics(held_out.posterior)
        kl = "-" if statistics.kl is None else f"{statistics.kl.sum():.1f}"
        active = f"{len(statistics.order)} of {len(statistics.active)}, {kl}"
        print(f"| {'/'.join(folder.parts[-3:])} | {active} | {' | '.join(cells + differences)} |", flush=True)
        console.note(f"{folder}: {len(train.labels):,} training images, {len(held_out.labels):,} held out")


if __name__ == "__main__":
    main()
