"""The train, validation and test splits: deterministic, disjoint, and the same for every seed of a run."""

import torch
from torch import Tensor

from vaegan.config.data import DataConfig
from vaegan.errors import UserError
from vaegan.randomness import make_generator

from .dataset import Source, SplitIndices


def count_images_per_split(count: int, validation: float, test: float) -> tuple[int, int, int]:
    """Return the number of images in the train, validation and test splits.

    Args:
        count: Images in all.
        validation: Fraction to validate on, in [0, 1); above 0 it gives at least one image.
        test: Fraction to test on, in [0, 1); above 0 it gives at least one image.

    Raises:
        UserError: No image would be left to train on.
    """
    validation_count, test_count = (max(1, round(count * part)) if part > 0 else 0 for part in (validation, test))
    train_count = count - validation_count - test_count
    if train_count < 1:
        raise UserError(
            f"data: {count} image{'s' * (count != 1)} cannot be split with data.validation={validation:g} and "
            f"data.test={test:g}; add images, or set one of them to 0"
        )
    return train_count, validation_count, test_count


def split_consecutively(count: int, validation: float, test: float) -> SplitIndices:
    """Split images in their order, for images that are independent draws."""
    return SplitIndices(*torch.split(torch.arange(count), list(count_images_per_split(count, validation, test))))


def draw_splits(count: int, validation: float, test: float, test_indices: Tensor | None = None) -> SplitIndices:
    """Draw the splits of a set, the same ones whatever the run's seed.

    Args:
        count: Images in the set.
        validation: Fraction of the images, without an official test split, to validate on.
        test: Fraction to test on; ignored if there is an official test split.
        test_indices: Images of the official test split, int64; None: there is none.
    """
    shuffled = torch.randperm(count, generator=make_generator(0, "split"))
    if test_indices is not None:
        shuffled = shuffled[~torch.isin(shuffled, test_indices)]
        test = 0
    *others, drawn_test = torch.split(shuffled, list(count_images_per_split(len(shuffled), validation, test)))
    splits = *others, drawn_test if test_indices is None else test_indices
    return SplitIndices(*(indices.sort().values for indices in splits))


def split_source(source: Source, config: DataConfig, usable: Tensor) -> SplitIndices:
    """Return the splits of a set as indices of the source, without its broken images.

    Args:
        source: The set, with the splits that it defines, or an official test split, or neither.
        config: The `data` section.
        usable: Whether each image can be used, bool, shape (N,).
    """
    if source.splits is not None:
        return SplitIndices(*(indices[usable[indices]] for indices in source.splits))
    numbers, official = usable.nonzero().flatten(), source.test_indices
    test_indices = None if official is None else torch.isin(numbers, official).nonzero().flatten()
    splits = draw_splits(len(numbers), config.validation, config.test, test_indices)
    return SplitIndices(*(numbers[indices] for indices in splits))
