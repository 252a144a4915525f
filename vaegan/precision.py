"""The arithmetic of convolutions and matrix products: TF32, full precision, and the choice of cuDNN's algorithms."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch


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
