import math

import pytest
import torch
from torch import Tensor

from vaegan.errors import Failure
from vaegan.evaluate.metrics.metric import add_sums, concatenate_in_order, make_rows, round_to_8_bits
from vaegan.images import to_float

from ..distortions import evaluate


def test_images_that_are_not_finite_are_a_failure(digits: Tensor) -> None:
    for metric in ("psnr", "sharpness", "elbo"):
        with pytest.raises(Failure, match="not finite"):
            evaluate(digits[:4], lambda images: images * math.nan, metric)


def test_reconstructions_are_rounded_as_a_file_would(digits: Tensor) -> None:
    images = to_float(digits[:3]) + 0.3 / 127.5
    assert torch.equal(round_to_8_bits(images), to_float(digits[:3]))
    assert round_to_8_bits(torch.tensor([-3.0, 3.0], dtype=torch.float64)).tolist() == [-1, 1]


def test_sums_of_parts_are_the_sums_of_the_whole() -> None:
    values = torch.arange(12.0).double().reshape(6, 2)
    whole, first, second = (
        {
            "count": len(part),
            "total": part.sum(0),
            "rows": make_rows(start, part),
            "nested": {"squares": (part**2).sum()},
        }
        for start, part in ((0, values), (0, values[:4]), (4, values[4:]))
    )
    for sums in (add_sums(first, second), add_sums(second, first)):
        assert sums["nested"] == whole["nested"] and torch.equal(sums["total"], whole["total"])
        assert torch.equal(concatenate_in_order(sums["rows"]), values)
