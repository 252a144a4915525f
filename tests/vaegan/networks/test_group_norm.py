"""GroupNorm of bfloat16 features against one in float64."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from vaegan.networks.group_norm import GroupNorm

BFLOAT16_EPS = torch.finfo(torch.bfloat16).eps


class KernelTypes(TorchDispatchMode):
    """Keep the types in which the kernels of GroupNorm are called."""

    def __init__(self) -> None:
        super().__init__()
        self.types: set[torch.dtype] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if "group_norm" in func.name():
            self.types |= {value.dtype for value in args if isinstance(value, torch.Tensor)}
        return func(*args, **(kwargs or {}))


def test_features_of_bfloat16_have_the_statistics_of_float32() -> None:
    """Features far from 0 with a small spread, whose mean and variance would be wrong in bfloat16."""
    generator = torch.Generator().manual_seed(0)
    features = (20 + 0.5 * torch.randn(3, 8, 16, 16, generator=generator)).bfloat16()
    features = features.to(memory_format=torch.channels_last).requires_grad_()
    exact = features.detach().double().requires_grad_()
    weight = torch.randn(features.shape, generator=generator).bfloat16()
    norm, reference = GroupNorm(4, 8), nn.GroupNorm(4, 8).double()
    with KernelTypes() as kernels:
        with torch.autocast("cpu", torch.bfloat16):
            output = norm(features)
        output.backward(weight)
    assert kernels.types == {torch.float32}
    expected = reference(exact)
    assert output.dtype == torch.bfloat16 and output.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(output.double(), expected, rtol=BFLOAT16_EPS, atol=1e-4)
    expected.backward(weight.double())
    assert features.grad is not None and exact.grad is not None
    torch.testing.assert_close(features.grad.double(), exact.grad, rtol=BFLOAT16_EPS, atol=1e-3)
    assert norm.weight.grad is not None and reference.weight.grad is not None
    torch.testing.assert_close(norm.weight.grad.double(), reference.weight.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_other_features_have_the_bits_of_torch(dtype: torch.dtype) -> None:
    features = torch.randn(2, 8, 4, 4, dtype=dtype, generator=torch.Generator().manual_seed(0))
    assert torch.equal(GroupNorm(4, 8).to(dtype)(features), nn.GroupNorm(4, 8).to(dtype)(features))
