"""Train, validation and test: deterministic, apart, and the same for every seed of a run."""

import torch
from torch import Tensor

from vaegan.errors import UserError
from vaegan.randomness import make_generator

from .dataset import SplitIndices


def count_images_per_split(count: int, validation: float, test: float) -> tuple[int, int, int]:
    """Images in the train, validation and test splits; a share above 0 has at least one.

    Raises:
        UserError: No image would be left to train on.
    """
    held_out = [max(1, round(count * share)) if share > 0 else 0 for share in (validation, test)]
    train = count - sum(held_out)
    if train < 1:
        raise UserError(
            f"data: {count} image{'s' * (count != 1)} cannot be split with data.validation={validation:g} and "
            f"data.test={test:g}; add images, or set one of them to 0"
        )
    return train, *held_out  # type: ignore[return-value]


def split_consecutively(count: int, validation: float, test: float) -> SplitIndices:
    """Splits in the order of the images, for images that are independent draws."""
    return SplitIndices(*torch.split(torch.arange(count), list(count_images_per_split(count, validation, test))))


def draw_splits(count: int, validation: float, test: float, held_out: Tensor | None = None) -> SplitIndices:
    """Splits of a set's images, drawn once and for all.

    Args:
        count: Images in the set.
        validation: Share of the images, without those of an official test split, to validate on.
        test: Share to test on; not used where there is an official test split.
        held_out: Indices of the official test split.
    """
    shuffled = torch.randperm(count, generator=make_generator(0, "split"))
    if held_out is not None:
        shuffled = shuffled[~torch.isin(shuffled, held_out)]
        test = 0
    train, valid, rest = torch.split(shuffled, list(count_images_per_split(len(shuffled), validation, test)))
    return SplitIndices(_sorted(train), _sorted(valid), _sorted(rest if held_out is None else held_out))


def _sorted(indices: Tensor) -> Tensor:
    return indices.sort().values
