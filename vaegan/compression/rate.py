"""The choice of the step for a target of bits per pixel."""

import math
from typing import NamedTuple

from torch import Tensor

from vaegan.errors import UserError

from .coders import TableCoder
from .codes import quantise
from .prior import CodePrior


class ChosenStep(NamedTuple):
    """A step for a target of bits per pixel."""

    multiple: int
    """The step, in units of two cells of the prior."""
    rate: float
    """Bits per pixel of the messages of the images that it was chosen by."""


def measure_rate(prior: CodePrior, multiple: int, values: Tensor, pixels: int) -> float:
    """Return the bits per pixel of the messages of images.

    Args:
        prior: Prior of values.
        multiple: The step, in units of two cells of the prior.
        values: Values of the codes of the images, float64, shape (N, T, P).
        pixels: Pixels of an image.

    Raises:
        Failure: A value is not finite.
    """
    coder = TableCoder(prior.make_tables(multiple), values.shape[-1], escapes=True)
    messages = coder.encode(quantise(values, prior.get_step(multiple)), None)
    return 8 * sum(map(len, messages)) / (len(messages) * pixels)


def choose_multiple(prior: CodePrior, values: Tensor, target: float, pixels: int) -> ChosenStep:
    """Return the finest step with which images take at most a target of bits per pixel, found by bisection.

    Args:
        prior: Prior of values.
        values: Values of the codes of the images, float64, shape (N, T, P).
        target: Bits per pixel.
        pixels: Pixels of an image.

    Raises:
        UserError: No step takes so few, or none that tells the images apart.
        Failure: A value is not finite.
    """
    coarsest = ChosenStep(prior.most_multiple, measure_rate(prior, prior.most_multiple, values, pixels))
    if coarsest.rate > target:
        raise UserError(f"--rate {target:g}: the coarsest step takes {coarsest.rate:.3g} bits per pixel; give more")
    too_fine, finer_rate, found = 0, 0.0, coarsest
    while found.multiple - too_fine > 1:
        middle = (too_fine + found.multiple) // 2
        rate = measure_rate(prior, middle, values, pixels)
        if rate <= target:
            found = ChosenStep(middle, rate)
        else:
            too_fine, finer_rate = middle, rate
    if found.rate == 0 and finer_rate > 0:
        least = math.ceil(1e4 * finer_rate) / 1e4
        raise UserError(
            f"--rate {target:g}: all images would have the same code; give at least {least:g} bits per pixel"
        )
    return found
