"""Measure how true the uncertainty of trained models is, beside plain baselines, and print a Markdown table.

    python benchmarks/uncertainty.py runs/vae runs/vaegan2 runs/vaegan3 --images 1000

Of each run the images of the test split, evenly chosen, are predicted in five ways, all around the mean of the decoded
draws of the posterior:

- `scale as trained`: the mixture of p(x | z) over the draws, with the scale that the run was trained with;
- `scale calibrated`: the same with the scale that makes the intervals of validation images true;
- `one deviation`: the baseline, a normal distribution with one standard deviation for all pixels, the root mean square
  error on validation images;
- `one deviation, calibrated`: the same with the standard deviation that makes the intervals of validation images true;
- `one of each place`: a normal distribution with the root mean square error of each pixel's place on validation images.

The table has the expected calibration error, the mean width of the 90 % intervals in units of [-1, 1], and Spearman's
rank correlation, inside an image, of the absolute errors with the standard deviations. The last row of a run has that
with the gradient of the mean image, since errors lie at edges. 95 % intervals are from a bootstrap of the images.
Recorded results: benchmarks/README.md.
"""

import argparse
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from scipy.stats import rankdata
from torch import Tensor

from vaegan.applications.uncertainty import (
    ObservationModel,
    PixelPrediction,
    calibrate_scale,
    compute_calibration_error,
    compute_coverage,
    compute_mean_widths,
    draw_shared_noise,
    predict_pixels,
)
from vaegan.cli.console import Console
from vaegan.data import Images
from vaegan.evaluate.comparing.bootstrap import Estimate, Means, estimate
from vaegan.losses.discrete_likelihood import HALF_LEVEL
from vaegan.models import Autoencoder
from vaegan.storage.loading import load
from vaegan.storage.run_data import open_run_data
from vaegan.storage.run_folder import Run

DRAWS, BATCH_IMAGES, LEVEL = 16, 64, 0.9
TRAINED, CALIBRATED = "scale as trained", "scale calibrated"
CONSTANT, FITTED, PLACES = "one deviation", "one deviation, calibrated", "one of each place"
EDGES = "gradient of the mean"


@dataclass
class Rows:
    """Values of the images that were predicted in one way, in parts."""

    coverage: list[Tensor] = field(default_factory=list)
    width: list[Tensor] = field(default_factory=list)
    correlation: list[Tensor] = field(default_factory=list)


def predict_split(model: Autoencoder, images: Images, positions: Tensor) -> tuple[Tensor, PixelPrediction]:
    """Return images of a split, uint8 (N, C, S, S), and their prediction."""
    pixels = images[positions]
    labels = images.get_labels(positions, model.classes if model.networks_take_labels else None)
    noise = draw_shared_noise(model.code_size, DRAWS, 0)
    with torch.no_grad():
        return pixels, predict_pixels(model, model.encode(pixels, labels), noise, labels)


def get_errors(pixels: Tensor, prediction: PixelPrediction) -> Tensor:
    """Return the errors of the means, float64, shape (N, C, S, S)."""
    return pixels.double() / 127.5 - 1 - prediction.mean


def correlate_ranks(errors: Tensor, deviations: Tensor) -> Tensor:
    """Compute Spearman's rank correlation inside each image of two tensors (N, C, S, S); 0 without variance: (N,)."""
    one, other = (torch.from_numpy(rankdata(each.flatten(1).double().numpy(), axis=1)) for each in (errors, deviations))
    one, other = one - one.mean(1, keepdim=True), other - other.mean(1, keepdim=True)
    correlations: Tensor = (one * other).sum(1) / (one.norm(dim=1) * other.norm(dim=1))
    return correlations.nan_to_num(0)


def compute_normal_coverage(errors: Tensor, pixels: Tensor, deviations: Tensor) -> Tensor:
    """Compute the coverage of 8-bit pixels by normal distributions around the means, shape (N, levels)."""
    lower, upper = (torch.special.ndtr((errors + side * HALF_LEVEL) / deviations) for side in (-1, 1))
    return compute_coverage(lower.where(pixels > 0, 0.0), upper.where(pixels < 255, 1.0))


def compute_gradient(images: Tensor) -> Tensor:
    """Compute the length of the gradient at each pixel of images (N, C, S, S)."""
    rows, columns = torch.gradient(images, dim=(2, 3))
    return (rows.square() + columns.square()).sqrt()


def measure(run: Path, count: int, console: Console) -> dict[str, Rows]:
    """Measure a run in each way, on ``count`` test images."""
    model, config = load(run), Run(run).config
    data, _ = open_run_data(Run(run), config, console)
    validation = data.validation.select_evenly(min(count // 4, len(data.validation)))
    pixels, prediction = predict_split(model, data.validation, validation)
    if prediction.noise is None:
        raise SystemExit(f"{run}: no scale of p(x | z)")
    trained = prediction.noise
    calibrated = replace(trained, scale=calibrate_scale(pixels, prediction))
    squares = get_errors(pixels, prediction).square()
    constant, places = squares.mean().sqrt(), squares.mean(0).sqrt()
    fitted = calibrate_scale(pixels, PixelPrediction(prediction.mean[None], ObservationModel("gaussian", 1.0)))
    console.say(
        f"{run}: scale {trained.scale:.4f}, calibrated {calibrated.scale:.4f}, one deviation {constant:.4f}, calibrated"
        f" {fitted:.4f}"
    )
    rows = {name: Rows() for name in (TRAINED, CALIBRATED, CONSTANT, FITTED, PLACES, EDGES)}
    positions = data.test.select_evenly(min(count, len(data.test)))
    normal_width = 2 * torch.special.ndtri(torch.tensor((1 + LEVEL) / 2)).item()
    with console.progress("Measuring", "images", BATCH_IMAGES) as progress:
        batches = positions.split(BATCH_IMAGES)
        for number, batch in enumerate(batches):
            pixels, prediction = predict_split(model, data.test, batch)
            errors = get_errors(pixels, prediction)
            for name, noise in ((TRAINED, trained), (CALIBRATED, calibrated)):
                scaled = replace(prediction, noise=noise)
                rows[name].coverage.append(compute_coverage(*scaled.compute_pit(pixels)))
                rows[name].width.append(compute_mean_widths(scaled, LEVEL))
                rows[name].correlation.append(correlate_ranks(errors.abs(), scaled.total))
            normal = {CONSTANT: constant.expand_as(places), FITTED: torch.full_like(places, fitted), PLACES: places}
            for name, deviations in normal.items():
                rows[name].coverage.append(compute_normal_coverage(errors, pixels, deviations))
                rows[name].width.append((normal_width * deviations.mean()).expand(len(batch)))
                rows[name].correlation.append(correlate_ranks(errors.abs(), deviations.expand_as(errors)))
            rows[EDGES].correlation.append(correlate_ranks(errors.abs(), compute_gradient(prediction.mean)))
            progress(number + 1, len(batches))
    return rows


def estimate_error(coverage: Tensor) -> Estimate:
    """Estimate the expected calibration error from the images' coverages (N, levels)."""
    return estimate([{"pairs/x": coverage}], lambda means: compute_calibration_error(means["pairs/x"]))


def estimate_mean(values: Tensor) -> Estimate:
    """Estimate the mean of the images' values (N,)."""

    def get(means: Means) -> Tensor:
        return means["pairs/x"][:, 0]

    return estimate([{"pairs/x": values[:, None]}], get)


def write(value: Estimate, digits: int) -> str:
    """Write an estimate with its interval."""
    return f"{value.value:.{digits}f} ({value.low:.{digits}f} to {value.high:.{digits}f})".replace("-", "−")


def main() -> None:
    """Measure every run and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+", help="run folders")
    parser.add_argument("--images", type=int, default=1000, help="test images; a quarter of it of validation images")
    arguments = parser.parse_args()
    console = Console()
    lines = ["| run | prediction | calibration error | width of 90 % intervals | rank correlation with the error |",
             "| --- | --- | --- | --- | --- |"]  # fmt: skip
    for run in arguments.runs:
        for name, rows in measure(run, arguments.images, console).items():
            correlation = torch.cat(rows.correlation)
            cells = ["", ""]
            if rows.coverage:
                cells[0] = write(estimate_error(torch.cat(rows.coverage)), 3)
                cells[1] = f"{torch.cat(rows.width).mean().item():.3f}"
            lines.append(f"| {run.parent.name if run.name.startswith('seed_') else run.name} | {name} | "
                         f"{' | '.join(cells)} | {write(estimate_mean(correlation), 3)} |")  # fmt: skip
    console.say("\n".join(lines))
    console.say(f"{len(correlation):,} test images of the last run, {DRAWS} draws, {torch.get_num_threads()} threads")


if __name__ == "__main__":
    main()
