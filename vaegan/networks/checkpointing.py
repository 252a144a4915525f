"""Activation checkpointing (Chen et al. 2016): what the stages of a generator compute is computed again when needed."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def recompute(stage: nn.Module, *inputs: Any) -> Any:
    """Return the output of a stage and keep only its inputs; nothing in the stage is random."""
    return checkpoint(stage, *inputs, use_reentrant=False, preserve_rng_state=False)


class Stages(nn.Sequential):
    """Stages that run one after another, as in `nn.Sequential`.

    Attributes:
        recomputes: True if only the input of each stage with layers of its own is kept for the backward pass, which
            computes the stage once more, to the same bits.
    """

    recomputes = False

    def forward(self, features: Tensor) -> Tensor:
        """Return the output of the last stage."""
        for stage in self:
            features = self.run(stage, features)
        return features

    def run(self, stage: nn.Module, features: Tensor) -> Tensor:
        """Return the output of one stage."""
        if not (self.recomputes and torch.is_grad_enabled() and next(stage.children(), None) is not None):
            output: Tensor = stage(features)
            return output
        output = recompute(stage, features)
        return output


def recompute_stages(network: nn.Module) -> None:
    """Let all `Stages` of a network, and those of diffusers, compute their activations again in the backward pass."""
    for module in network.modules():
        if isinstance(module, Stages):
            module.recomputes = True
        elif hasattr(module, "gradient_checkpointing") and hasattr(module, "mid_block"):
            # Without a mid_block it is of AutoencoderTiny, which would leave out a scaling under checkpointing.
            of_diffusers: Any = module
            of_diffusers.gradient_checkpointing, of_diffusers._gradient_checkpointing_func = True, recompute
