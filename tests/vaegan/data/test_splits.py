"""The splits: disjoint, deterministic, never empty by accident."""

import pytest
import torch

from vaegan.data.splits import count_images_per_split, draw_splits
from vaegan.errors import UserError


def test_splits_are_a_partition_and_deterministic() -> None:
    one, other = draw_splits(1797, 0.1, 0.2), draw_splits(1797, 0.1, 0.2)
    splits = [one.train, one.validation, one.test]
    assert torch.equal(torch.cat(splits).sort().values, torch.arange(1797))
    assert [len(split) for split in splits] == [1258, 180, 359]
    assert all(torch.equal(a, b) for a, b in zip(splits, [other.train, other.validation, other.test], strict=True))


def test_an_official_test_split_is_kept_whole_and_validation_comes_from_the_rest() -> None:
    test_indices = torch.arange(80, 100)
    splits = draw_splits(100, 0.25, 0.5, test_indices)
    assert torch.equal(splits.test, test_indices) and len(splits.validation) == 20
    assert torch.equal(torch.cat([splits.train, splits.validation]).sort().values, torch.arange(80))


def test_a_fraction_above_zero_is_never_empty_and_a_set_that_is_too_small_is_refused() -> None:
    assert count_images_per_split(3, 0.01, 0.01) == (1, 1, 1)
    assert count_images_per_split(1, 0, 0) == (1, 0, 0)
    with pytest.raises(UserError, match="2 images cannot be split"):
        count_images_per_split(2, 0.1, 0.1)
