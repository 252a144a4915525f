"""Initial weights as a function of a seed and a network's name."""

from typing import TypeVar

from torch import nn

from vaegan.randomness import seed_global_generator

NetworkT = TypeVar("NetworkT", bound=nn.Module)


class ZeroConv2d(nn.Conv2d):
    """A convolution whose weights start at 0, the last one of a residual block that starts as the identity."""


def initialise(network: NetworkT, seed: int, name: str) -> NetworkT:
    """Draw the weights of a network as a function of ``seed`` and ``name`` alone (He et al. 2015), and return it.

    Networks of the same shape and name start from the same weights in every family. Biases start at 0; the fan-in is
    torch's.
    """
    if all(weight.is_meta for weight in network.parameters()):  # has no values, and torch would load its compiler first
        return network
    network.float()  # whatever torch.set_default_dtype says
    with seed_global_generator(seed, "initialise", name):
        for layer in network.modules():
            if isinstance(layer, ZeroConv2d):
                nn.init.zeros_(layer.weight)
            elif isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight, a=0.2)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
            elif isinstance(layer, nn.Embedding):
                nn.init.normal_(layer.weight)
    return network
