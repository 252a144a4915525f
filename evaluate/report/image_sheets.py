"""The images of the report: rows of variants, columns of what they have in common, each image in several views."""

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from vaegan.images import to_float, to_pil, to_uint8
from vaegan.models import Autoencoder
from vaegan.models.density import Density

from ..descriptions import format_sample_source

IMAGE, DIFFERENCE, DETAIL = "image", "difference", "detail"
"""The views of a reconstruction."""
VIEWS = {IMAGE: "Images", DIFFERENCE: "Difference", DETAIL: "Fine detail"}
"""Their names."""
DETAIL_SIGMA_PIXELS = 1.0
"""Standard deviation in pixels of the blur that fine detail is left over from."""
FACTORS = (32, 16, 8, 4, 2, 1)
"""By which differences and detail may be amplified."""
MAX_CLIPPED_FRACTION = 0.01
"""Share of the values that an amplification may push over the edge."""
PAIRS, STEPS = 3, 9
"""Pairs of images that are interpolated, and images from one to the other."""


Labels: TypeAlias = Mapping[str, Tensor | None]
"""Classes of real images, int64, shape (N,), by variant; None where that is unconditional."""


@dataclass(frozen=True)
class Tile:
    """One image."""

    description: str
    """What it is."""
    views: dict[str, str]
    """Data URI of each view that there is."""


@dataclass(frozen=True)
class Column:
    """Images that have something in common."""

    title: str
    """What."""
    tiles: list[Tile | None]
    """Of each row; None: there is none."""


@dataclass(frozen=True)
class Sheet:
    """Rows and columns of images."""

    rows: list[str]
    """The variants; empty: the real images."""
    columns: list[Column]


@dataclass(frozen=True)
class Reconstructions:
    """Real images and what each variant makes of them."""

    sheet: Sheet
    difference: int
    """Times that the difference is amplified."""
    detail: int
    """Times that fine detail is amplified."""


def draw_reconstructions(models: Mapping[str, Autoencoder], real: Tensor, labels: Labels) -> Reconstructions:
    """What each model makes of the same real images, as it is, as its distance from them and as its fine detail.

    Args:
        models: By variant.
        real: uint8, shape (N, C, S, S).
        labels: Of the images, by variant.
    """
    made = {
        name: to_uint8(model.reconstruct(_given(model, real), labels[name])).cpu() for name, model in models.items()
    }
    differences = {name: (images.int() - real.int()).abs() for name, images in made.items()}
    details = {name: get_fine_detail(images) for name, images in {"": real, **made}.items()}
    stronger = choose_amplification(torch.cat(list(differences.values())), 255)
    crisper = choose_amplification(details[""], 127)
    views = {
        name: {
            IMAGE: to_data_uris(images),
            **({DIFFERENCE: to_data_uris((stronger * differences[name]).clamp(0, 255).byte())} if name else {}),
            DETAIL: to_data_uris((128 + crisper * details[name]).round().clamp(0, 255).byte()),
        }
        for name, images in {"": real, **made}.items()
    }
    columns = [
        Column(
            f"Image {index + 1}",
            [
                Tile(
                    f"image {index + 1}, {f'reconstructed by {name}' if name else 'real'}",
                    {view: uris[index] for view, uris in own.items()},
                )
                for name, own in views.items()
            ],
        )
        for index in range(len(real))
    ]
    return Reconstructions(Sheet(list(views), columns), stronger, crisper)


def draw_samples(models: Mapping[str, Autoencoder], densities: Mapping[str, Density], count: int, seed: int) -> Sheet:
    """What each model draws from the density fitted to its codes, or else from its prior if it has one.

    Args:
        models: By variant.
        densities: That of each of them, or of none.
        count: How many images of each.
        seed: Root of the codes; those of a column are made of the same noise, and of the same class.
    """
    drawable = [name for name, model in models.items() if name in densities or model.has_prior]
    drawn = {name: to_data_uris(to_uint8(models[name].sample(count, seed, densities.get(name)))) for name in drawable}
    said = {
        name: format_sample_source("sample", str(densities[name]) if name in densities else None) for name in drawable
    }
    columns = [
        Column(
            f"Code {index + 1}",
            [Tile(f"sample {index + 1} of {name}{said[name]}", {IMAGE: uris[index]}) for name, uris in drawn.items()],
        )
        for index in range(count)
    ]
    return Sheet(list(drawn), columns if drawn else [])


def draw_interpolations(models: Mapping[str, Autoencoder], real: Tensor, labels: Labels) -> list[Sheet]:
    """What lies between the first real images and the next ones, along a straight line of posterior means.

    A conditional model makes all of them in the class of the first one.

    Args:
        models: By variant.
        real: uint8, shape (N, C, S, S); the first two are a pair, then the next two, up to `PAIRS`.
        labels: Of the images, by variant.

    Returns:
        A sheet for each pair: the real images at the ends of the first row, `STEPS` columns.
    """
    ends = [pair for pair in list(pairwise(range(len(real))))[::2][:PAIRS]]
    sheets = []
    for start, end in ends:
        originals = to_data_uris(real[[start, end]])
        ways = {}
        for name, model in models.items():
            own = labels[name]
            known = None if own is None else own[[start, end]]
            codes = model.encode(_given(model, real[[start, end]]), known).mean
            way = torch.stack([torch.lerp(codes[0], codes[1], share) for share in torch.linspace(0, 1, STEPS).tolist()])
            ways[name] = to_data_uris(to_uint8(model.decode(way, None if own is None else int(own[start]))))
        columns = []
        for step in range(STEPS):
            place = f"{100 * step / (STEPS - 1):.0f} % of the way from image {start + 1} to image {end + 1}"
            of_real = {0: (start, originals[0]), STEPS - 1: (end, originals[1])}.get(step)
            first = Tile(f"image {of_real[0] + 1}, real, an end of the row", {IMAGE: of_real[1]}) if of_real else None
            tiles = [Tile(f"{place}, by {name}", {IMAGE: uris[step]}) for name, uris in ways.items()]
            columns.append(Column(place, [first, *tiles]))
        sheets.append(Sheet(["", *models], columns))
    return sheets


def get_fine_detail(images: Tensor) -> Tensor:
    """What a blur of `DETAIL_SIGMA_PIXELS` takes away from images, uint8 (N, C, S, S) => float, the same shape, in levels."""
    images = images.float()
    soft: Tensor = gaussian_blur(images, [7, 7], [DETAIL_SIGMA_PIXELS, DETAIL_SIGMA_PIXELS])
    return images - soft


def choose_amplification(values: Tensor, most: float) -> int:
    """The largest of `FACTORS` that leaves all but `MAX_CLIPPED_FRACTION` of the absolute values at ``most`` or below."""
    largest = float(np.quantile(values.abs().float().numpy(), 1 - MAX_CLIPPED_FRACTION)) if values.numel() else 0.0
    return next((factor for factor in FACTORS if factor * largest <= most), FACTORS[-1])


def to_data_uris(images: Tensor) -> list[str]:
    """Each image, uint8 (N, C, S, S), as a PNG inside its address."""
    uris = []
    for image in images:
        file = io.BytesIO()
        to_pil(image).save(file, "PNG", optimize=True)
        uris.append("data:image/png;base64," + base64.b64encode(file.getvalue()).decode())
    return uris


def _given(model: Autoencoder, real: Tensor) -> Tensor:
    return to_float(real).to(next(model.parameters()))
