"""What metrics take from the images, put together over batches and processes."""

from collections.abc import Callable
from functools import reduce
from operator import itemgetter
from typing import Any, TypeVar

import torch
from torch import Tensor

from vaegan.distributed import broadcast_from_main, gather_to_main

T = TypeVar("T")

Sums = dict[str, Any]
"""By name: numbers and float64 tensors, which are added; lists, which are joined; and more sums."""


Rows = list[tuple[int, Tensor]]
"""What each image has to say, in parts that carry the place of their first image."""


def make_rows(start: int, values: Tensor) -> Rows:
    """Values of consecutive images, shape (N, ...), from the place ``start``; kept on the CPU."""
    return [(start, values.cpu())]


def concatenate_in_order(parts: Rows) -> Tensor:
    """The values of all images in the order of their places, shape (N, ...)."""
    return torch.cat([values for _, values in sorted(parts, key=itemgetter(0))])


def add_sums(sums: Sums, more: Sums) -> Sums:
    """Both together, name by name; what only one of them has is taken as it is."""
    return sums | {name: _plus(sums[name], value) if name in sums else value for name, value in more.items()}


def reduce_on_main(sums: Sums, conclude: Callable[[Sums], T]) -> T:
    """What the first process makes of the sums of all, added in order of rank and on the CPU; all of them get it.

    It alone holds what all images have to say, and works on it once.
    """
    everybody = gather_to_main(_on_cpu(sums))
    return broadcast_from_main(lambda: conclude(reduce(add_sums, everybody, {})))


def _plus(one: Any, other: Any) -> Any:
    return add_sums(one, other) if isinstance(one, dict) else one + other


def _on_cpu(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _on_cpu(each) for name, each in value.items()}
    return value.cpu() if isinstance(value, Tensor) else value
