"""What metrics take from the images, put together over batches and processes."""

from functools import reduce
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor

from vaegan.processes import gathered

Sums = dict[str, Any]
"""By name: numbers and float64 tensors, which are added; lists, which are joined; and more sums."""


Rows = list[tuple[int, Tensor]]
"""What each image has to say, in parts that carry the place of their first image."""


def rows(start: int, values: Tensor) -> Rows:
    """Values of consecutive images, shape (N, ...), from the place ``start``; kept on the CPU."""
    return [(start, values.cpu())]


def in_order(parts: Rows) -> Tensor:
    """The values of all images in the order of their places, shape (N, ...)."""
    return torch.cat([values for _, values in sorted(parts, key=itemgetter(0))])


def added(sums: Sums, more: Sums) -> Sums:
    """Both together, name by name; what only one of them has is taken as it is."""
    return sums | {name: _plus(sums[name], value) if name in sums else value for name, value in more.items()}


def over_processes(sums: Sums) -> Sums:
    """The sums of all processes, on the CPU and added in order of rank: the same bits on each of them."""
    return reduce(added, gathered(_on_cpu(sums)), {})


def _plus(one: Any, other: Any) -> Any:
    return added(one, other) if isinstance(one, dict) else one + other


def _on_cpu(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _on_cpu(each) for name, each in value.items()}
    return value.cpu() if isinstance(value, Tensor) else value
