"""Measure how well trained runs fill holes of held-out images, beside plain baselines.

    python benchmarks/completion.py RUN... --images 500

Holes are a random box (each side S/4 to S/2), the left or the right half, and 90 % of the pixels at random. Baselines:
the mean of the visible pixels, the membrane that they span, and OpenCV's method of Telea (2004) with a radius of 3
pixels (`pip install opencv-python-headless`). Of each run the most probable answer is measured, with its prior N(0, I)
and with a Gaussian that is fitted to the codes of its training images in the place of it. All figures are of the
pixels inside the hole. It prints Markdown, a row as soon as it is known; intervals are of 95 %, by the bootstrap over
images. Recorded results: benchmarks/README.md.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import vaegan
from vaegan.applications.code_prior import CodePrior, get_code_prior
from vaegan.applications.completion import complete_images, fill_by_membrane
from vaegan.cli.console import Console
from vaegan.density_fitting import fit_density_to_images
from vaegan.evaluate.metrics.completion import average_in_holes, compare_in_holes, draw_box
from vaegan.evaluate.one_pass import get_device
from vaegan.images import to_float, to_uint8
from vaegan.losses.perceptual import load_evaluation_lpips, lpips_map
from vaegan.models import Autoencoder
from vaegan.randomness import make_generator
from vaegan.storage.run_data import open_run_data
from vaegan.storage.run_folder import Run

TELEA_RADIUS_PIXELS = 3
MISSING_FRACTION = 0.9
TRAINING_IMAGES = 10_000
"""Most training images that the Gaussian is fitted to, evenly chosen."""
BATCH_IMAGES = 50
RESAMPLES = 2000
RunImages = tuple[str, Autoencoder, Tensor, Tensor | None, dict[str, CodePrior]]
"""Name, model, test images (N, C, S, S) as uint8, their classes, and the priors by name."""


def draw_half(side: int, seed: int, index: int) -> Tensor:
    """Return the left or the right half of an image, bool, shape (S, S)."""
    hole = torch.zeros(side, side, dtype=torch.bool)
    left = torch.rand((), generator=make_generator(seed, "half", index)) < 0.5
    hole[:, : side // 2] = left
    hole[:, side // 2 :] = ~left
    return hole


def draw_scattered(side: int, seed: int, index: int) -> Tensor:
    """Return 90 % of the pixels, bool, shape (S, S)."""
    order = torch.randperm(side * side, generator=make_generator(seed, "scattered", index))
    return (order < MISSING_FRACTION * side * side).reshape(side, side)


HOLES: dict[str, Callable[[int, int, int], Tensor]] = {
    "a random box": draw_box, "one half": draw_half, "90 % of the pixels": draw_scattered,
}  # fmt: skip


def open_run(path: Path, count: int, console: Console) -> RunImages:
    """Open a run with evenly chosen test images, and the priors that its family has."""
    run = Run(path)
    model = vaegan.load(path).to(get_device())
    data, _ = open_run_data(run, run.config, console)
    chosen = data.test.select_evenly(count)
    labels = data.test.get_labels(chosen, model.classes if model.networks_take_labels else None)
    some = data.train.select_evenly(TRAINING_IMAGES)
    training = replace(
        data.train, indices=data.train.indices[some],
        labels=None if data.train.labels is None else data.train.labels[some],
    )  # fmt: skip
    density = fit_density_to_images("gaussian", model, training, 0, 64)
    priors = {"N(0, I)": get_code_prior(model)} if model.has_prior else {}
    return f"{path.parent.name}/{path.name}", model, data.test[chosen], labels, {**priors, "Gaussian": density}


def fill_by_mean(images: Tensor, holes: Tensor) -> Tensor:
    """Return images whose holes have the mean of their visible pixels, uint8."""
    visible = ~holes[:, None]
    mean = (images.double() * visible).sum((2, 3)) / visible.sum((2, 3))
    return torch.where(visible, images, mean.round().to(torch.uint8)[..., None, None])


def fill_by_telea(images: Tensor, holes: Tensor) -> Tensor:
    """Return images whose holes OpenCV has filled, uint8."""
    import cv2

    filled = [
        cv2.inpaint(
            np.ascontiguousarray(image.permute(1, 2, 0).numpy()), hole.numpy().astype(np.uint8),
            TELEA_RADIUS_PIXELS, cv2.INPAINT_TELEA,
        )
        for image, hole in zip(images, holes, strict=True)
    ]  # fmt: skip
    return torch.from_numpy(np.stack(filled)).reshape(len(images), *images.shape[2:], -1).permute(0, 3, 1, 2)


def fill_by_run(
    opened: RunImages, prior: str, holes: Tensor, arguments: argparse.Namespace, console: Console
) -> Tensor:
    """Return the test images of a run with their holes filled by the most probable answer, uint8."""
    name, model, images, labels, priors = opened
    parts = list[Tensor]()
    with console.progress(f"Completing by {name}", "images") as progress:
        for batch in torch.arange(len(images)).split(BATCH_IMAGES):
            completed, _ = complete_images(
                model, images[batch], holes[batch], prior=priors[prior],
                labels=None if labels is None else labels[batch], scale=arguments.scale,
                restarts=arguments.restarts, steps=arguments.steps,
            )  # fmt: skip
            parts.append(completed[0])
            progress(sum(map(len, parts)), len(images))
    return torch.cat(parts)


def compare(images: Tensor, filled: Tensor, holes: Tensor) -> dict[str, Tensor]:
    """Return PSNR, LPIPS and Laplacian gap of the pixels of each image's hole, float64, shape (N,)."""
    network, name = load_evaluation_lpips("alex", lambda _: None)
    pairs = zip(images.split(BATCH_IMAGES), filled.split(BATCH_IMAGES), strict=True)
    distances = torch.cat([lpips_map(network, to_float(a), to_float(b)) for a, b in pairs]).double()
    lpips = average_in_holes(distances, holes)
    values = compare_in_holes(images, filled, holes)
    return {"PSNR, dB": values["psnr"], f"lpips_{name}": lpips, "Laplacian gap": values["laplacian_gap"]}


def format_mean(values: Tensor, digits: int, signed: bool = False) -> str:
    """Return the mean of values (N,) and its 95 % interval as text."""
    draws = torch.randint(len(values), (RESAMPLES, len(values)), generator=torch.Generator().manual_seed(0))
    ends = values[draws].mean(1).quantile(torch.tensor([0.025, 0.975], dtype=torch.float64))
    mean, low, high = (f"{each:{'+' * signed}.{digits}f}".replace("-", "−") for each in (values.mean(), *ends))
    return f"{mean} ({low} to {high})"


def print_header(title: str, baseline: str, names: list[str]) -> None:
    """Print the title and the header of a table."""
    columns = [*names, *(f"{name}, less {baseline}’s" for name in names[:2])]
    print(f"\n{title}\n\n| | {' | '.join(columns)} |\n|{' --- |' * (len(columns) + 1)}", flush=True)


def print_row(name: str, values: dict[str, Tensor], baseline: dict[str, Tensor]) -> None:
    """Print the values of a method, and how much PSNR and LPIPS differ from those of a baseline."""
    cells = [format_mean(each, 2 if "dB" in key else 4 if "lpips" in key else 3) for key, each in values.items()]
    for key in list(values)[:2]:
        same = values is baseline
        cells.append("" if same else format_mean(values[key] - baseline[key], 2 if "dB" in key else 4, signed=True))
    print(f"| {name} | {' | '.join(cells)} |", flush=True)


def list_filled(
    opened: list[RunImages], holes: Tensor, arguments: argparse.Namespace, console: Console
) -> Iterator[tuple[str, Tensor]]:
    """Yield the name of each method, Telea's first, and the images that it has filled."""
    images = opened[0][2]
    yield "Telea", fill_by_telea(images, holes)
    yield "mean of the visible pixels", fill_by_mean(images, holes)
    yield "membrane", to_uint8(fill_by_membrane(to_float(images, torch.float64), holes))
    for run in opened:
        for prior in run[4]:
            yield f"{run[0]}, {prior}", fill_by_run(run, prior, holes, arguments, console)


def main() -> None:
    """Print a table for each kind of hole."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="runs on the same images")
    parser.add_argument("--images", type=int, default=500, help="test images")
    parser.add_argument("--restarts", type=int, default=1, help="starts of the search")
    parser.add_argument("--steps", type=int, default=60, help="steps from each")
    parser.add_argument("--scale", type=float, help="standard deviation of pixels around G(z); default: the run's")
    parser.add_argument("--holes", nargs="+", choices=HOLES, default=list(HOLES), help="kinds of holes")
    arguments, console = parser.parse_args(), Console()
    opened = [open_run(path, arguments.images, console) for path in arguments.runs]
    images = opened[0][2]
    if any(not torch.equal(images, each[2]) for each in opened):
        raise SystemExit("the runs have other test images; give runs on the same set")
    for kind in arguments.holes:
        holes = torch.stack([HOLES[kind](images.shape[-1], 0, index) for index in range(len(images))])
        telea: dict[str, Tensor] = {}
        for name, filled in list_filled(opened, holes, arguments, console):
            values = compare(images, filled, holes)
            if not telea:
                telea = values
                print_header(f"{kind}, {len(images)} images", name, list(values))
            print_row(name, values, telea)


if __name__ == "__main__":
    main()
