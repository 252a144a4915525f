"""Measure how well trained runs enlarge held-out images, beside bicubic interpolation.

    python benchmarks/enlarging.py RUN... --images 500

The small images are means of boxes of 2 x 2 and 4 x 4 pixels of the test images, rounded to 8 bits. Of each run the
most probable answer is measured, as it is and brought to agree with the small image (`vaegan upscale --consistent`),
with its prior N(0, I) and with a Gaussian that is fitted to the codes of its training images in the place of it. It
prints Markdown, a row as soon as it is known; intervals are of 95 %, by the bootstrap over images. Recorded results:
benchmarks/README.md.
"""

import argparse
from pathlib import Path

import torch
from completion import BATCH_IMAGES, RunImages, compare, open_run, print_header, print_row
from torch import Tensor

from vaegan.applications.linear_operators import Reduce
from vaegan.applications.superresolution import enlarge_bicubically, enlarge_images, make_consistent
from vaegan.cli.console import Console
from vaegan.images import to_float, to_uint8

FACTORS = (2, 4)


def enlarge_by_run(
    opened: RunImages, prior: str, small: Tensor, arguments: argparse.Namespace, console: Console
) -> Tensor:
    """Return the most probable answers of a run for small images, uint8, shape (N, C, S, S)."""
    name, model, _, labels, priors = opened
    parts = list[Tensor]()
    with console.progress(f"Enlarging by {name}", "images") as progress:
        for batch in torch.arange(len(small)).split(BATCH_IMAGES):
            classes = None if labels is None else labels[batch]
            parts.append(
                enlarge_images(
                    model, small[batch], prior=priors[prior], labels=classes, scale=arguments.scale,
                    restarts=arguments.restarts, steps=arguments.steps,
                )
            )  # fmt: skip
            progress(sum(map(len, parts)), len(small))
    return torch.cat(parts)


def main() -> None:
    """Print a table for each factor."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="runs on the same images")
    parser.add_argument("--images", type=int, default=500, help="test images")
    parser.add_argument("--restarts", type=int, default=1, help="starts of the search")
    parser.add_argument("--steps", type=int, default=60, help="steps from each")
    parser.add_argument("--scale", type=float, help="standard deviation of pixels around G(z); default: the run's")
    arguments, console = parser.parse_args(), Console()
    opened = [open_run(path, arguments.images, console) for path in arguments.runs]
    images = opened[0][2]
    if any(not torch.equal(images, each[2]) for each in opened):
        raise SystemExit("the runs have other test images; give runs on the same set")
    everywhere = torch.ones(len(images), *images.shape[2:], dtype=torch.bool)
    for factor in FACTORS:
        small = to_uint8(Reduce(factor).apply(to_float(images)))
        bicubic = compare(images, to_uint8(enlarge_bicubically(to_float(small), images.shape[-1])), everywhere)
        print_header(f"{factor} times, {len(images)} images", "bicubic", list(bicubic))
        print_row("bicubic", bicubic, bicubic)
        for run in opened:
            for prior in run[4]:
                answers = enlarge_by_run(run, prior, small, arguments, console)
                consistent = make_consistent(to_float(answers, torch.float64), to_float(small, torch.float64))
                print_row(f"{run[0]}, {prior}", compare(images, answers, everywhere), bicubic)
                print_row(f"{run[0]}, {prior}, consistent", compare(images, to_uint8(consistent), everywhere), bicubic)


if __name__ == "__main__":
    main()
