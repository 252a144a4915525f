"""Networks whose tensors are fake ones on a GPU, so that a tensor of the CPU among them is noticed without a GPU."""

import torch
from torch import nn


def move_to_fake_cuda(network: nn.Module) -> nn.Module:
    """Replace the tensors of a network by fake ones on a GPU, in place, inside a `FakeTensorMode`; return it."""
    for module in network.modules():
        for name, weight in module._parameters.items():
            if weight is not None:
                fake = torch.empty_like(weight, device="cuda", requires_grad=False)
                module._parameters[name] = nn.Parameter(fake, requires_grad=weight.requires_grad)
        for name, buffer in module._buffers.items():
            module._buffers[name] = torch.empty_like(buffer, device="cuda")
    return network
