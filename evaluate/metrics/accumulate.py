"""Accumulation of what metrics measure, over batches and then over processes."""

from collections.abc import Callable
from functools import reduce
from operator import itemgetter
from typing import Any, TypeVar

import torch
from torch import Tensor

from vaegan.distributed import broadcast_from_main, gather_to_main

T = TypeVar("T")

Sums = dict[str, Any]
"""Accumulated values by name: numbers and float64 tensors, which are added; lists, which are joined; further sums."""


Rows = list[tuple[int, Tensor]]
"""Values of single images in parts, each with the index of its first image."""


def make_rows(start: int, values: Tensor) -> Rows:
    """Return the values of consecutive images from index ``start``, shape (N, ...), as rows on the CPU."""
    return [(start, values.cpu())]


def concatenate_in_order(rows: Rows) -> Tensor:
    """Return the values of all images in the order of their indices, shape (N, ...)."""
    return torch.cat([values for _, values in sorted(rows, key=itemgetter(0))])


def add_sums(sums: Sums, other: Sums) -> Sums:
    """Return the totals of two sums, name by name; a name that only one of them has is kept."""
    return sums | {name: _add(sums[name], value) if name in sums else value for name, value in other.items()}


def reduce_on_main(sums: Sums, compute: Callable[[Sums], T]) -> T:
    """Return to all processes what the main one computes from the totals, which it adds on the CPU in order of rank.

    The main process alone holds the values of all images, and computes once.
    """
    gathered = gather_to_main(_to_cpu(sums))
    return broadcast_from_main(lambda: compute(reduce(add_sums, gathered, {})))


def _add(value: Any, other: Any) -> Any:
    return add_sums(value, other) if isinstance(value, dict) else value + other


def _to_cpu(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _to_cpu(item) for name, item in value.items()}
    return value.cpu() if isinstance(value, Tensor) else value
