"""The results of `vaegan uncertainty`: predictions of pixels, their table and their picture."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from PIL.Image import Image
from torch import Tensor

from vaegan.applications.encoding import encode_images
from vaegan.applications.heat_maps import draw_heat_maps
from vaegan.applications.traversals import draw_traversals
from vaegan.applications.uncertainty import (
    ObservationModel,
    calibrate_scale,
    compute_coverage,
    draw_shared_noise,
    predict_pixels,
)
from vaegan.images import lay_on_white, to_uint8
from vaegan.models import Autoencoder
from vaegan.workflows.trained_model import open_images_of_run

from .console import Console

DECODED_IMAGES = 512
"""Images that are decoded at a time: draws times images of a batch."""
CALIBRATION_IMAGES, CALIBRATION_DRAWS = 128, 16
"""Validation images, evenly chosen, and draws of the posterior of each, by which the scale is calibrated."""
LEVEL = 0.9
"""Level of the interval of which the command says how many of an image's values it holds."""


@dataclass(frozen=True)
class UncertaintyResults:
    """The predictions of the pixels of N images."""

    images: Tensor
    """The images, shape (N, C, S, S) in [-1, 1]."""
    values: Tensor
    """Mean, spread and, where there is a scale, total, float32, shape (N, 2 or 3, C, S, S)."""
    inside: list[float]
    """Fraction of each image's values inside their intervals of `LEVEL`; empty: there is no scale."""

    @property
    def errors(self) -> Tensor:
        """Absolute error of the mean, shape (N, C, S, S)."""
        return (self.images - self.values[:, 0]).abs()

    def show(self, names: Sequence[str], console: Console) -> None:
        """Print root mean squares of each image's error, spread and total, and how much its intervals hold."""
        columns = [self.errors, *self.values[:, 1:].unbind(1)]
        rows = [
            [name, *(f"{column[index].square().mean().sqrt().item():.4f}" for column in columns)]
            + [f"{100 * fraction:.1f} %" for fraction in self.inside[index : index + 1]]
            for index, name in enumerate(names)
        ]
        header = ["image", "error", "spread", "total", f"inside {100 * LEVEL:.0f} % intervals"]
        console.table(header[: len(rows[0])], rows)

    def draw(self, names: Sequence[str], console: Console) -> Image:
        """Draw a row for each image: itself, mean, spread, total and error; say which values are brightest."""
        spread, *total, error = (each.square().mean(1).sqrt() for each in (*self.values[:, 1:].unbind(1), self.errors))
        top = max(each.max().item() for each in (*total, error))
        heat = [draw_heat_maps(spread), *(draw_heat_maps(each, top) for each in (*total, error))]
        seen = [lay_on_white(to_uint8(each)).expand(-1, 3, -1, -1) for each in (self.images, self.values[:, 0])]
        columns, others = ["image", "mean", "spread", "total", "error"], "total and error"
        if not total:
            columns.remove("total")
            others = "error"
        console.say(f"brightest: spread {spread.max().item():.4f}, {others} {top:.4f}, of a pixel range of 2")
        return draw_traversals(torch.stack([*seen, *heat], 1), names, columns)


@torch.no_grad()
def predict_images(
    model: Autoencoder, images: Tensor, labels: Tensor | None, noise: ObservationModel | None, draws: int, seed: int,
    console: Console,
) -> UncertaintyResults:  # fmt: skip
    """Return the predictions of the pixels of images, batch by batch.

    Args:
        model: Model in evaluation mode.
        images: Shape (N, C, S, S) in [-1, 1].
        labels: Class of each image, int64, shape (N,); None: its networks take none.
        noise: p(x | z); None: the model has none.
        draws: Draws of each image's posterior, the same noise for all images.
        seed: Root of the noise.
        console: Shows the progress.
    """
    shared, parts, inside = draw_shared_noise(model.code_size, draws, seed), list[Tensor](), list[float]()
    with console.progress("Decoding draws", "images") as progress:
        for batch in torch.arange(len(images)).split(max(1, DECODED_IMAGES // draws)):
            classes = None if labels is None else labels[batch]
            prediction = replace(
                predict_pixels(model, model.encode(images[batch], classes), shared, classes), noise=noise
            )
            values = [prediction.mean, prediction.spread]
            if noise is not None:
                values.append(prediction.total)
                ends = prediction.compute_pit(to_uint8(images[batch]))
                inside += compute_coverage(*ends, [LEVEL])[:, 0].tolist()
            parts.append(torch.stack(values, 1).float())
            progress(int(batch[-1]) + 1, len(images))
    return UncertaintyResults(images, torch.cat(parts), inside)


def calibrate_on_validation(
    run: Path, model: Autoencoder, noise: ObservationModel, console: Console, data_root: Path | None,
    allow_other_data: bool,
) -> ObservationModel:  # fmt: skip
    """Return p(x | z) of a run with the scale that calibrates its validation images, and say which scale it is.

    Raises:
        UserError: The run has no validation images, or they are missing or others.
    """
    data, _ = open_images_of_run(run, "validation", console, data_root, allow_other_data)
    images = data.validation
    positions = images.select_evenly(min(CALIBRATION_IMAGES, len(images)))
    with console.progress("Encoding", "images") as progress:
        posterior = encode_images(model, images, positions, progress)
    labels = images.get_labels(positions, model.classes if model.networks_take_labels else None)
    prediction = predict_pixels(model, posterior, draw_shared_noise(model.code_size, CALIBRATION_DRAWS, 0), labels)
    scale = calibrate_scale(images[positions], prediction)
    console.say(f"scale {scale:.4g} instead of {noise.scale:.4g}, by {len(positions)} validation images")
    return replace(noise, scale=scale)
