"""Sheets of images for the report: a row for each variant, and each image in several views."""

import base64
import io
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor

from vaegan.data import Images
from vaegan.images import lay_on_white, to_float, to_pil, to_uint8
from vaegan.models import Autoencoder
from vaegan.models.autoencoder import Sampler
from vaegan.nearest_images import MAX_COMPARED_IMAGES

from ..metric_descriptions import format_sample_source
from ..negative_controls import blur

IMAGE, DIFFERENCE, DETAIL = "image", "difference", "detail"
"""Views of a reconstruction."""
VIEWS = {IMAGE: "Images", DIFFERENCE: "Difference", DETAIL: "Fine detail"}
"""Label of each view."""
DETAIL_SIGMA_PIXELS = 1.0
"""Standard deviation of the Gaussian blur that is subtracted to leave fine detail."""
AMPLIFICATIONS = (32, 16, 8, 4, 2, 1)
"""Factors by which differences and detail may be amplified."""
MAX_CLIPPED_FRACTION = 0.01
"""Fraction of the values that an amplification may clip."""
INTERPOLATION_PAIRS, INTERPOLATION_STEPS = 3, 9
"""Number of pairs of images that are interpolated, and of images from one to the other."""

LabelsByVariant: TypeAlias = Mapping[str, Tensor | None]
"""Classes of real images for each variant, int64, shape (N,); None for an unconditional model."""


class Tile(NamedTuple):
    """One image of a sheet, in all its views."""

    description: str
    """Alternative text."""
    views: dict[str, str]
    """Data URI of each view."""


class Column(NamedTuple):
    """The images of all rows with the same original, code or point of an interpolation."""

    title: str
    """Name of that original, code or point."""
    tiles: list[Tile | None]
    """Image of each row; None where the row has none."""


class Sheet(NamedTuple):
    """Rows and columns of images."""

    rows: list[str]
    """Variant of each row; empty for the real images."""
    columns: list[Column]


class Reconstructions(NamedTuple):
    """Real images and the reconstructions of each variant."""

    sheet: Sheet
    difference: int
    """Amplification of the difference."""
    detail: int
    """Amplification of fine detail."""


def build_reconstructions(models: Mapping[str, Autoencoder], real: Tensor, labels: LabelsByVariant) -> Reconstructions:
    """Build the sheet of each model's reconstructions of the same real images, with their differences and fine detail.

    Args:
        models: Model of each variant.
        real: Real images, uint8, shape (N, C, S, S).
        labels: Classes of the real images for each variant.
    """
    reconstructed = {
        name: lay_on_white(to_uint8(model.reconstruct(_to_input(model, real), labels[name])).cpu())
        for name, model in models.items()
    }
    real = lay_on_white(real)
    differences = {name: (images.int() - real.int()).abs() for name, images in reconstructed.items()}
    details = {name: get_fine_detail(images) for name, images in {"": real, **reconstructed}.items()}
    difference_factor = choose_amplification(torch.cat(list(differences.values())), 255)
    detail_factor = choose_amplification(details[""], 127)
    rows = {}
    for name, images in {"": real, **reconstructed}.items():
        views = {IMAGE: images}
        if name:
            views[DIFFERENCE] = (difference_factor * differences[name]).clamp(0, 255).byte()
        views[DETAIL] = (128 + detail_factor * details[name]).round().clamp(0, 255).byte()
        origin = f"reconstructed by {name}" if name else "real"
        rows[name] = _make_tiles([f"image {index + 1}, {origin}" for index in range(len(real))], views)
    sheet = _make_sheet([f"Image {index + 1}" for index in range(len(real))], rows)
    return Reconstructions(sheet, difference_factor, detail_factor)


def build_samples(samplers: Mapping[str, Sampler], count: int) -> Sheet:
    """Build the sheet of the first samples of each variant that can be sampled, a row for each variant.

    Args:
        samplers: Sampler of each variant; the samples of a column are of the same noise and the same class.
        count: Number of images of each variant.
    """
    rows = {}
    for name, sampler in samplers.items():
        if sampler.source is not None:
            source = format_sample_source("sample", sampler.source if sampler.density else None)
            descriptions = [f"sample {index + 1} of {name}{source}" for index in range(count)]
            rows[name] = _make_tiles(descriptions, {IMAGE: to_uint8(sampler.draw(0, count))})
    return _make_sheet([f"Code {index + 1}" for index in range(count)], rows)


def build_closest_pairs(
    samplers: Mapping[str, Sampler], nearest: Mapping[str, Mapping[str, Tensor]], training: Images, count: int
) -> list[Sheet]:
    """Build for each variant the sheet of the samples that are nearest to a training image, above those images.

    Args:
        samplers: Sampler of each variant.
        nearest: For each variant and each space the distance of every sample from its nearest training image, and the
            index of that image among those that `Memorisation` compares, shape (N, 2).
        training: Training images.
        count: Number of pairs in each space.
    """
    positions, sheets = training.select_evenly(MAX_COMPARED_IMAGES), []
    for name, spaces in nearest.items():
        titles, samples, images = list[str](), list[Tensor](), list[Tensor]()
        for space, pairs in spaces.items():
            closest = pairs[:, 0].argsort(stable=True)[:count].tolist()
            titles += [f"{rank}. in {space}, distance {pairs[row, 0]:.3g}" for rank, row in enumerate(closest, start=1)]
            samples += [to_uint8(samplers[name].draw(row, row + 1)).cpu() for row in closest]
            images += [training[positions[pairs[row, 1].long()][None]] for row in closest]
        rows = {
            name: _make_tiles([f"{title}: sample of {name}" for title in titles], {IMAGE: torch.cat(samples)}),
            "": _make_tiles([f"{title}: its nearest training image" for title in titles], {IMAGE: torch.cat(images)}),
        }
        sheets.append(_make_sheet(titles, rows))
    return sheets


def build_interpolations(models: Mapping[str, Autoencoder], real: Tensor, labels: LabelsByVariant) -> list[Sheet]:
    """Build sheets of interpolations between real images, decoded along the line between their posterior means.

    A conditional model decodes all images of a row with the class of its first one.

    Args:
        models: Model of each variant.
        real: Real images, uint8, shape (N, C, S, S); the first two are a pair, then the next two, up to
            `INTERPOLATION_PAIRS`.
        labels: Classes of the real images for each variant.

    Returns:
        A sheet for each pair, with the real images at the ends of the first row and `INTERPOLATION_STEPS` columns.
    """
    weights = torch.linspace(0, 1, INTERPOLATION_STEPS).tolist()
    sheets = []
    for start, end in list(pairwise(range(len(real))))[::2][:INTERPOLATION_PAIRS]:
        way = f"of the way from image {start + 1} to image {end + 1}"
        titles = [f"{100 * weight:.0f} % {way}" for weight in weights]
        first, last = _make_tiles(
            [f"image {index + 1}, real, an end of the row" for index in (start, end)], {IMAGE: real[[start, end]]}
        )
        rows: dict[str, list[Tile | None]] = {"": [first, *[None] * (INTERPOLATION_STEPS - 2), last]}
        for name, model in models.items():
            classes = labels[name]
            classes = None if classes is None else classes[[start, end]]
            codes = model.encode(_to_input(model, real[[start, end]]), classes).mean
            line = torch.stack([torch.lerp(codes[0], codes[1], weight) for weight in weights])
            images = to_uint8(model.decode(line, None if classes is None else int(classes[0])))
            rows[name] = [*_make_tiles([f"{title}, by {name}" for title in titles], {IMAGE: images})]
        sheets.append(_make_sheet(titles, rows))
    return sheets


def get_fine_detail(images: Tensor) -> Tensor:
    """Return images less their blur by `DETAIL_SIGMA_PIXELS`, uint8 => float, shape (N, C, S, S), in levels of 255."""
    return images.float() - blur(images.float(), DETAIL_SIGMA_PIXELS)


def choose_amplification(values: Tensor, limit: float) -> int:
    """Return the largest of `AMPLIFICATIONS` that clips at most `MAX_CLIPPED_FRACTION` of the values.

    Args:
        values: Differences or details of any shape.
        limit: Largest absolute value that is not clipped.
    """
    largest = float(np.quantile(values.abs().float().numpy(), 1 - MAX_CLIPPED_FRACTION)) if values.numel() else 0.0
    return next((factor for factor in AMPLIFICATIONS if factor * largest <= limit), AMPLIFICATIONS[-1])


def to_data_uris(images: Tensor) -> list[str]:
    """Return the data URI of each image, uint8, shape (N, C, S, S), as a PNG; those with alpha are laid on white."""
    uris = []
    for image in lay_on_white(images):
        file = io.BytesIO()
        to_pil(image).save(file, "PNG", optimize=True)
        uris.append("data:image/png;base64," + base64.b64encode(file.getvalue()).decode())
    return uris


def _to_input(model: Autoencoder, real: Tensor) -> Tensor:
    return to_float(real).to(next(model.parameters()))


def _make_tiles(descriptions: Sequence[str], views: Mapping[str, Tensor]) -> list[Tile]:
    """Return a tile for each description; each view of it is an image of uint8, shape (N, C, S, S)."""
    uris = {view: to_data_uris(images) for view, images in views.items()}
    return [Tile(text, {view: uris[view][index] for view in uris}) for index, text in enumerate(descriptions)]


def _make_sheet(titles: Sequence[str], rows: Mapping[str, Sequence[Tile | None]]) -> Sheet:
    """Return a sheet from its rows by their names and the titles of its columns."""
    columns = zip(*rows.values(), strict=True)
    return Sheet(list(rows), [Column(title, list(tiles)) for title, tiles in zip(titles, columns, strict=False)])
