"""The check of written parts against the model that they are of: both compute the same, up to rounding."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from vaegan.models import Autoencoder
from vaegan.randomness import draw_normal

from .formats import Function
from .parts import Part, QuantisingEncoder, find_open_sides

MAX_DIFFERENCE = 1e-5
"""Largest difference of a written part from the model, relative to the largest value where that is above 1."""
BATCHES = (1, 3)
"""Numbers of images that are compared."""
OPEN_SIDES = (2, 3)
"""Height and width of further images, in units of the downsampling, where the sides are open."""


def draw_inputs(
    model: Autoencoder, parts: Sequence[Part], count: int, sides: Sequence[int]
) -> list[tuple[Tensor, ...]]:
    """Draw the inputs of each part: noise as images, and the codes or indices that the model makes of it.

    Args:
        model: The model.
        parts: Its parts, the encoder first.
        count: Number of images.
        sides: Height and width of the images.
    """
    shape = (model.image_shape[0], *sides)
    images = torch.stack([draw_normal(shape, 0, "export", index) for index in range(count)]).tanh()
    numbered = {"images": images, "labels": torch.arange(count) % (model.classes or 1)}
    encoder = parts[0]
    made = encoder(*(numbered[given.name] for given in encoder.inputs))
    codes, *spread = made
    if encoder.outputs[0].name == "mean":
        noise = torch.stack([draw_normal(codes.shape[1:], 0, "codes", index) for index in range(count)])
        codes = codes + (0.5 * spread[0]).exp() * noise
    numbered |= {"codes": codes, "indices": codes, "time": (torch.arange(count) + 1) / (count + 1)}
    return [tuple(numbered[given.name] for given in part.inputs) for part in parts]


def list_sizes(model: Autoencoder) -> Iterator[tuple[int, tuple[int, int]]]:
    """List the number and the sides of the images of each comparison."""
    side = model.image_shape[-1]
    for count in BATCHES:
        yield count, (side, side)
    if (multiple := find_open_sides(model)) is not None:
        yield BATCHES[-1], (OPEN_SIDES[0] * multiple, OPEN_SIDES[1] * multiple)


def measure_difference(part: Part, written: Function, inputs: Sequence[Tensor]) -> float:
    """Measure the largest difference of a written part from the model, relative to the largest value above 1.

    An index of another entry than the model's differs by the difference of both entries' squared distances from the
    vector: where two entries are equally near, rounding decides.

    Args:
        part: The part of the model.
        written: The same, as it was written.
        inputs: Its inputs.
    """
    expected, found = part(*inputs), written(*inputs)
    if len(expected) != len(found):
        return torch.inf
    differences = list(map(_compare, expected, found))
    if isinstance(part.module, QuantisingEncoder) and differences[0] and found[0].shape == expected[0].shape:
        with torch.no_grad():
            vectors = part.module.encode_vectors(*inputs).movedim(1, -1)
        entries = [
            part.module.codebook[indices.clamp(0, len(part.module.codebook) - 1)] for indices in (expected[0], found[0])
        ]
        nearest, other = ((vectors - each).square().sum(-1) for each in entries)
        return max(_compare(nearest, other), _compare(entries[1].movedim(-1, 1), found[1]))
    return max(differences)


def _compare(expected: Tensor, found: Tensor) -> float:
    if expected.shape != found.shape or expected.dtype != found.dtype:
        return torch.inf
    largest = (expected.double() - found.double()).abs().max() / expected.double().abs().max().clamp_min(1)
    return float(largest.nan_to_num(torch.inf))
