"""Train, validation and test: deterministic, apart, and the same for every seed of a run."""

import torch
from torch import Tensor

from vaegan.errors import Mistake
from vaegan.randomness import generator

from .images import Parts


def sizes(count: int, validation: float, test: float) -> tuple[int, int, int]:
    """Images in the train, validation and test splits; a share above 0 has at least one.

    Raises:
        Mistake: No image would be left to train on.
    """
    held_out = [max(1, round(count * share)) if share > 0 else 0 for share in (validation, test)]
    train = count - sum(held_out)
    if train < 1:
        raise Mistake(
            f"data: {count} image{'s' * (count != 1)} cannot be split with data.validation={validation:g} and "
            f"data.test={test:g}; add images, or set one of them to 0"
        )
    return train, *held_out  # type: ignore[return-value]


def consecutive(count: int, validation: float, test: float) -> Parts:
    """Splits in the order of the images, for images that are independent draws."""
    return Parts(*torch.split(torch.arange(count), list(sizes(count, validation, test))))


def drawn(count: int, validation: float, test: float, held_out: Tensor | None = None) -> Parts:
    """Splits of a set's images, drawn once and for all.

    Args:
        count: Images in the set.
        validation: Share of the images, without those of an official test split, to validate on.
        test: Share to test on; not used where there is an official test split.
        held_out: Indices of the official test split.
    """
    shuffled = torch.randperm(count, generator=generator(0, "split"))
    if held_out is not None:
        shuffled = shuffled[~torch.isin(shuffled, held_out)]
        test = 0
    train, valid, rest = torch.split(shuffled, list(sizes(len(shuffled), validation, test)))
    return Parts(_sorted(train), _sorted(valid), _sorted(rest if held_out is None else held_out))


def _sorted(indices: Tensor) -> Tensor:
    return indices.sort().values
