"""The global batch is divided evenly over the processes, or a message says why it cannot be."""

import pytest

from vaegan.errors import UserError
from vaegan.trainers.batch_partition import get_batch_slice

from ..tiny import tiny


def test_the_batch_must_divide_evenly() -> None:
    config = tiny("vae", "train.batch_size=12").train
    assert [get_batch_slice(config, rank, 3) for rank in range(3)] == [slice(0, 4), slice(4, 8), slice(8, 12)]
    with pytest.raises(UserError, match=r"train\.batch_size: 12 is not a multiple of the 5 processes"):
        get_batch_slice(config, 0, 5)
    with pytest.raises(UserError, match=r"train\.micro_batch_size: 4 does not divide the 6 images"):
        get_batch_slice(tiny("vae", "train.batch_size=12", "train.micro_batch_size=4").train, 0, 2)
