"""The precision of a training comes from its config or from `accelerate launch`, and its processes work together."""

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from vaegan.errors import UserError
from vaegan.trainers.accelerator import describe_unused_device, get_autocast_dtype, make_accelerator

from ..tiny import tiny


@pytest.mark.parametrize(
    ("launched", "configured", "expected"),
    [
        (None, "null", None), ("no", "null", None), ("bf16", "null", torch.bfloat16), ("bf16", "bf16", torch.bfloat16),
        ("no", "bf16", torch.bfloat16), (None, "fp32", None), (None, "tf32", None),
    ],
)  # fmt: skip
def test_the_precision_of_accelerate_launch_is_taken_over(monkeypatch, launched, configured, expected) -> None:
    monkeypatch.delenv("ACCELERATE_MIXED_PRECISION", raising=False)
    if launched is not None:
        monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", launched)
    config = tiny("vae", f"train.precision={configured}").train
    try:
        assert make_accelerator(config).mixed_precision == "no"  # autocast is ours
        assert get_autocast_dtype(config) == expected
        assert torch.get_float32_matmul_precision() == ("high" if configured == "tf32" else "highest")
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize(
    ("launched", "configured", "message"),
    [
        ("fp16", "null", "--mixed_precision=fp16: not supported"),
        ("fp8", "bf16", "fp8"),
        ("bf16", "fp32", "leave one out"),
    ],
)
def test_precisions_that_are_not_supported_or_differ_are_refused(monkeypatch, launched, configured, message) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", launched)
    with pytest.raises(UserError, match=message):
        make_accelerator(tiny("vae", f"train.precision={configured}").train)


def test_processes_that_would_each_train_alone_are_refused(monkeypatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="WORLD_SIZE: 2 processes were launched, but Accelerate joins 1"):
        make_accelerator(tiny("vae").train)


def test_an_accelerator_of_the_script_must_not_autocast() -> None:
    AcceleratorState._reset_state()
    try:
        own = Accelerator(cpu=True)
        assert make_accelerator(tiny("vae").train).device == own.device
        AcceleratorState._reset_state()
        Accelerator(cpu=True, mixed_precision="bf16")
        with pytest.raises(UserError, match="Accelerator: this script has one with mixed_precision='bf16'; make it"):
            make_accelerator(tiny("vae").train)
    finally:
        AcceleratorState._reset_state()


def test_a_gpu_that_is_not_used_is_named(monkeypatch) -> None:
    assert describe_unused_device() is None
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert describe_unused_device().startswith("MPS (Apple): not used; the training computes on the CPU")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert describe_unused_device() is None
