"""Tables of integer probabilities, by which symbols are coded; the same on every machine, since nothing is rounded."""

from decimal import Decimal, localcontext
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
"""An array of int64."""

TOTAL = 2**24
"""Sum of the probabilities of a table, which the entropy coder takes."""
LOGIT_STEPS = 16
"""Steps of a logit in one nat, for tables that a network predicts; rounding to them costs 2e-4 nats a symbol."""


def normalise(weights: Integers) -> Integers:
    """Scale weights to probabilities of at least 1 that sum to `TOTAL`, int64, shape (..., K).

    Args:
        weights: Whole numbers of 0 or more, their sum at most 2**38, shape (..., K) with K of 2 to 2**16 + 1.
    """
    free = TOTAL - weights.shape[-1]
    scaled = weights * free // np.maximum(weights.sum(-1, keepdims=True), 1)
    largest = scaled.argmax(-1, keepdims=True)
    rest = free - scaled.sum(-1, keepdims=True)
    np.put_along_axis(scaled, largest, np.take_along_axis(scaled, largest, -1) + rest, -1)
    probabilities: Integers = scaled + 1
    return probabilities


def count_symbols(cells: int, multiple: int) -> int:
    """Return the largest symbol S of a table: its symbols are -S to S.

    Args:
        cells: Cells on either side of 0.
        multiple: Half of the cells of a symbol.
    """
    return max(0, -(-(cells - multiple) // (2 * multiple)))


def merge_cells(weights: Integers, multiple: int) -> Integers:
    """Add up the cells of each symbol, int64, shape (T, 2 S + 1).

    Symbol s stands for the values from (2 s - 1) to (2 s + 1) times ``multiple`` cells.

    Args:
        weights: Weights of cells around 0, shape (T, 2 H): cell i is the values from i - H to i - H + 1.
        multiple: Half of the cells of a symbol.
    """
    half = weights.shape[-1] // 2
    most = count_symbols(half, multiple)
    edges = (2 * np.arange(-most, most + 2) - 1) * multiple
    sums = np.concatenate([np.zeros_like(weights[:, :1]), weights.cumsum(-1)], -1)
    return np.diff(sums[:, np.clip(edges, -half, half) + half], axis=-1)


@lru_cache(maxsize=1)
def list_exponentials() -> Integers:
    """List 2**24 exp(-j / `LOGIT_STEPS`), rounded, for j from 0 to where it is 0, computed in decimal numbers."""
    values: list[int] = []
    with localcontext() as context:
        context.prec = 40
        while not values or values[-1]:
            values.append(int((TOTAL * (Decimal(-len(values)) / LOGIT_STEPS).exp()).to_integral_value()))
    return np.array(values, dtype=np.int64)


def make_tables(logits: Integers) -> Integers:
    """Return the tables of rounded logits, int64, shape (..., K).

    Args:
        logits: Logits in steps of 1 / `LOGIT_STEPS`, shape (..., K).
    """
    exponentials = list_exponentials()
    below = np.minimum(logits.max(-1, keepdims=True) - logits, len(exponentials) - 1)
    return normalise(exponentials[below])
