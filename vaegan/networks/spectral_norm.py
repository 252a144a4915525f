"""Spectral normalisation (Miyato et al. 2018): weights divided by their largest singular value.

The singular value is estimated by power iteration, whose vectors are buffers: fixed while gradients are computed, and
updated once per optimizer step. torch's own module updates them in every forward in training mode, so it is kept in
evaluation mode here.
"""

import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.parametrize import ParametrizationList

from vaegan.randomness import seed_global_generator


def add_spectral_norm(network: nn.Module, seed: int, name: str) -> None:
    """Divide the weight of every trained layer by its largest singular value in all forwards from now on.

    Args:
        network: Network with its initial weights.
        seed: Root of the initial vectors of the power iteration.
        name: Name of the network; these vectors depend on it as well.
    """
    with seed_global_generator(seed, "spectral norm", name):
        for layer in [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]:
            if layer.weight.requires_grad:
                spectral_norm(layer)
    fix_spectral_norm(network)


def fix_spectral_norm(network: nn.Module) -> None:
    """Keep the vectors of the power iteration of every normalised weight in all forwards from now on."""
    for parametrization in _get_parametrizations(network):
        parametrization.eval()


@torch.no_grad()
def update_spectral_norm(network: nn.Module) -> None:
    """Do one step of the power iteration of every normalised weight (algorithm 1 of the paper)."""
    for parametrization in _get_parametrizations(network):
        parametrization.train()
        parametrization()
        parametrization.eval()


def _get_parametrizations(network: nn.Module) -> list[ParametrizationList]:
    return [module for module in network.modules() if isinstance(module, ParametrizationList)]
