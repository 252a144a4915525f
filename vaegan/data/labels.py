"""Labels that are given as numbers, in Python or in a file of arrays."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaegan.errors import UserError

MAX_CLASSES = 65536
"""Largest number of classes, as in `model.labels`."""


def check_labels(labels: Any, count: int) -> Tensor:
    """Return labels, int64, shape (N,).

    Raises:
        UserError: They are not ``count`` integers from 0 to `MAX_CLASSES` - 1.
    """
    advice = f"give one integer for each of the {count} images, from 0 to at most {MAX_CLASSES - 1}"
    try:
        numbers = np.asarray(labels.cpu() if isinstance(labels, Tensor) else labels)
    except ValueError:  # lists of several lengths
        numbers = np.asarray(labels, dtype=object)
    except (TypeError, RuntimeError, NotImplementedError):  # tensors that NumPy does not read
        raise UserError(f"data: labels of a type that NumPy does not read; {advice}") from None
    is_integer = numbers.shape == (count,) and numbers.dtype.kind in "iu"
    if not is_integer or not 0 <= numbers.min() <= numbers.max() < MAX_CLASSES:
        raise UserError(f"data: labels of {numbers.dtype} of shape {numbers.shape}; {advice}")
    return torch.from_numpy(numbers.astype(np.int64))
