"""What metrics take from the images, put together over batches and processes."""

from functools import reduce
from typing import Any

from torch import Tensor

from vaegan.processes import gathered

Sums = dict[str, Any]
"""By name: numbers and float64 tensors, which are added; lists, which are joined; and more sums."""


def summed(values: Tensor) -> Sums:
    """What `mean` needs of values of shape (N,)."""
    return {"total": values.double().sum(), "count": len(values)}


def mean(sums: Sums) -> float:
    """Over all values that were `summed` and `added`."""
    return float(sums["total"] / sums["count"])


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
