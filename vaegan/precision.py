"""The arithmetic of convolutions and matrix products: TF32, full precision, and the choice of cuDNN's algorithms."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Literal

import torch

LAUNCHED_PRECISIONS: dict[str, Literal["bf16"] | None] = {"no": None, "bf16": "bf16"}
"""`train.precision` for each supported value of `accelerate launch --mixed_precision`."""


def get_launched_precision() -> str:
    """Return the value of `accelerate launch --mixed_precision`; `no` without it."""
    return os.environ.get("ACCELERATE_MIXED_PRECISION", "no")


def choose_precision(dtype: str) -> Literal["fp32", "bf16"]:
    """Return the precision that `train.precision=auto` stands for on this machine, by a fixed rule and not by a timing.

    Args:
        dtype: `train.dtype`, the type of the weights.
    """
    if dtype != "float32":
        return "fp32"
    return LAUNCHED_PRECISIONS.get(get_launched_precision()) or ("bf16" if has_bfloat16_units() else "fp32")


def has_bfloat16_units() -> bool:
    """Return whether the device of a training, the GPU or else the CPU, multiplies matrices of bfloat16 in hardware."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_amx_tile_supported())


def set_tf32(enabled: bool) -> None:
    """Switch TF32, of 10 bits of mantissa, on or off for the matrix products and convolutions of float32."""
    torch.set_float32_matmul_precision("high" if enabled else "highest")
    torch.backends.cudnn.allow_tf32 = enabled


@contextmanager
def full_precision(device: torch.device, deterministic: bool = True) -> Iterator[None]:
    """Compute without autocast and without TF32 inside the block; restore the settings afterwards.

    Args:
        device: Device whose autocast is switched off.
        deterministic: Whether cuDNN uses deterministic algorithms, so that equal inputs give equal bits.
    """
    cudnn = torch.backends.cudnn
    matmul_precision, allow_tf32 = torch.get_float32_matmul_precision(), cudnn.allow_tf32
    algorithms = cudnn.flags(enabled=cudnn.enabled, deterministic=True, allow_tf32=False)
    set_tf32(False)
    try:
        with torch.autocast(device.type, enabled=False), algorithms if deterministic else nullcontext():
            yield
    finally:
        torch.set_float32_matmul_precision(matmul_precision)
        cudnn.allow_tf32 = allow_tf32


@contextmanager
def tuned_convolutions() -> Iterator[None]:
    """Let cuDNN time its algorithms for each new shape inside the block and take the fastest; restore it afterwards."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before
