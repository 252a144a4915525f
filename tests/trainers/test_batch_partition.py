"""The global batch is divided evenly over the processes, or a message says why it cannot be."""

import pytest

from vaegan.errors import UserError
from vaegan.trainers.batch_partition import get_batch_slice

from ..tiny import tiny


def test_the_batch_must_divide_evenly() -> None:
    config = tiny("vae", "train.batch_size=12")
    assert [get_batch_slice(config, rank, 3) for rank in range(3)] == [slice(0, 4), slice(4, 8), slice(8, 12)]
    with pytest.raises(UserError, match=r"train\.batch_size: 12 is not a multiple of the 5 processes"):
        get_batch_slice(config, 0, 5)
    with pytest.raises(UserError, match=r"train\.micro_batch_size: 4 does not divide the 6 images"):
        get_batch_slice(tiny("vae", "train.batch_size=12", "train.micro_batch_size=4"), 0, 2)


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (["train.batch_size=12"], "batch_size"),
        (["train.batch_size=24", "train.micro_batch_size=3"], "micro_batch_size"),
    ],
)
def test_images_that_are_scored_together_are_not_divided(words: list[str], key: str) -> None:
    config = tiny("vaegan3", "model.discriminator.packing=2", *words)
    with pytest.raises(UserError, match=rf"train\.{key}: .*packing=2 .*a process has 3 images; give each an even"):
        get_batch_slice(config, 0, 4)
    assert get_batch_slice(tiny("vaegan3", *words), 0, 4).stop == config.train.batch_size // 4
