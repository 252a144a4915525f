"""The step for a target of bits per pixel is the finest one that meets it."""

from collections.abc import Callable

import pytest
import torch

from vaegan.compression.codes import encode_values
from vaegan.compression.rate import choose_multiple, measure_rate
from vaegan.errors import UserError

from .conftest import Fitted


def test_a_step_meets_its_target_and_no_finer_one_does(fitted: Callable[[str], Fitted]) -> None:
    part = fitted("grid")
    pixels, labels = part.read(60)
    with torch.no_grad():
        values = encode_values(part.model, pixels, labels)
    for target in (1.0, 2.5, 6.0):
        found = choose_multiple(part.prior, values, target, 64)
        assert measure_rate(part.prior, found.multiple, values, 64) == found.rate <= target
        if found.multiple > 1:
            assert measure_rate(part.prior, found.multiple - 1, values, 64) > target
            assert found.rate > 0.7 * target
    with pytest.raises(
        UserError, match=r"--rate 1e-09: all images would have the same code; give at least [0-9.]+ bits"
    ) as error:
        choose_multiple(part.prior, values, 1e-9, 64)  # a certain symbol takes no bytes
    least = float(str(error.value).split()[-4])
    assert 0 < choose_multiple(part.prior, values, least, 64).rate <= least
    with pytest.raises(UserError, match=r"--rate 0.001: the coarsest step takes .* bits per pixel; give more"):
        choose_multiple(part.prior, 1000 * values, 0.001, 64)
    assert choose_multiple(part.prior, values, 1000, 64).multiple == 1
