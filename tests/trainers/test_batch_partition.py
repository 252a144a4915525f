"""How the work of a step is divided, and in which arithmetic it is done."""

import pytest
import torch

from vaegan.errors import UserError
from vaegan.trainers.batch_partition import get_autocast_dtype, get_batch_slice, make_accelerator

from ..tiny import tiny


def test_the_batch_must_be_shared_evenly() -> None:
    config = tiny("vae", "train.batch_size=12").train
    assert [get_batch_slice(config, rank, 3) for rank in range(3)] == [slice(0, 4), slice(4, 8), slice(8, 12)]
    with pytest.raises(UserError, match=r"train\.batch_size: 12 is not a multiple of the 5 processes"):
        get_batch_slice(config, 0, 5)
    with pytest.raises(UserError, match=r"train\.micro_batch_size: 4 does not divide the 6 images"):
        get_batch_slice(tiny("vae", "train.batch_size=12", "train.micro_batch_size=4").train, 0, 2)


@pytest.mark.parametrize(
    ("launched", "asked", "expected"),
    [
        (None, "null", None), ("no", "null", None), ("bf16", "null", torch.bfloat16), ("bf16", "bf16", torch.bfloat16),
        ("no", "bf16", torch.bfloat16), (None, "fp32", None), (None, "tf32", None),
    ],
)  # fmt: skip
def test_the_precision_of_accelerate_launch_is_taken_over(monkeypatch, launched, asked, expected) -> None:
    monkeypatch.delenv("ACCELERATE_MIXED_PRECISION", raising=False)
    if launched is not None:
        monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", launched)
    config = tiny("vae", f"train.precision={asked}").train
    try:
        assert make_accelerator(config).mixed_precision == "no"  # autocast is ours
        assert get_autocast_dtype(config) == expected
        assert torch.get_float32_matmul_precision() == ("high" if asked == "tf32" else "highest")
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize(
    ("launched", "asked", "words"),
    [
        ("fp16", "null", "--mixed_precision=fp16: not supported"),
        ("fp8", "bf16", "fp8"),
        ("bf16", "fp32", "leave one out"),
    ],
)
def test_precisions_that_cannot_be_are_refused(monkeypatch, launched: str, asked: str, words: str) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", launched)
    with pytest.raises(UserError, match=words):
        make_accelerator(tiny("vae", f"train.precision={asked}").train)


def test_processes_that_would_each_train_alone_are_refused(monkeypatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="WORLD_SIZE: 2 processes were launched, but Accelerate joins 1"):
        make_accelerator(tiny("vae").train)
