"""Spectral normalisation (Miyato et al. 2018): weights divided by their largest singular value.

The singular value is followed by power iteration, whose vectors are buffers: fixed while gradients are taken, and
advanced once for each optimizer step. torch's own module advances them in every forward in training mode, so here it is
kept in evaluation mode.
"""

import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.parametrize import ParametrizationList

from vaegan.randomness import seed_global_generator


def add_spectral_norm(network: nn.Module, seed: int, name: str) -> None:
    """Divide the weight of every layer by its largest singular value, from now on.

    Args:
        network: With its initial weights.
        seed: Root of the vectors that the power iteration starts from.
        name: The network's, which they are a function of as well.
    """
    with seed_global_generator(seed, "spectral norm", name):
        for layer in [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]:
            spectral_norm(layer)
    for own in _parametrizations(network):
        own.eval()


@torch.no_grad()
def update_spectral_norm(network: nn.Module) -> None:
    """Advance the power iteration of every normalised weight by one step (algorithm 1 of the paper)."""
    for own in _parametrizations(network):
        own.train()
        own()
        own.eval()


def _parametrizations(network: nn.Module) -> list[ParametrizationList]:
    return [module for module in network.modules() if isinstance(module, ParametrizationList)]
