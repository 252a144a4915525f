"""The update of a step, which is taken only if every gradient is finite.

The device decides this, and the host reads the decision later, so that a step need not wait for the one before.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vaegan.config.schema import TrainConfig
from vaegan.networks import spectral_norm

from . import ema
from .meter import Meter
from .state import State
from .steps.base import TrainingStep

MAX_SKIPPED_UPDATES = 5
"""Updates skipped in a row, under `train.nan: skip`, before the training stops."""
MAX_QUEUED_STEPS = {"cuda": 1}
"""Steps that are queued on a device before the norms of an earlier one are read; 0 on a device that is not named."""


@dataclass(frozen=True)
class QueuedStep:
    """A step that was handed to the device, and what the host reads of it later."""

    norms: Tensor
    """Gradient norm of each network before it was clipped, shape (networks,), on its way to the host."""
    copied: torch.cuda.Event | None
    """Event after which the norms are on the host; None: they are there."""
    meter: Meter
    """Scalars and counts of this process's images."""
    codes: Tensor | None
    """Codes of this process's images, shape (N, d); None if the family has no prior."""

    def read_norms(self) -> list[float]:
        """Wait for the norms and return them."""
        if self.copied is not None:
            self.copied.synchronize()
        return list(self.norms.tolist())


def queue_step(norms: Tensor, meter: Meter, codes: Tensor | None) -> QueuedStep:
    """Start to copy the norms of a step to the host, and return what is read of the step later."""
    if norms.device.type != "cuda":
        return QueuedStep(norms, None, meter, codes)
    host = torch.empty(norms.shape, dtype=norms.dtype, pin_memory=True).copy_(norms, non_blocking=True)
    copied = torch.cuda.Event()
    copied.record()
    return QueuedStep(host, copied, meter, codes)


def get_max_skipped_updates(config: TrainConfig) -> int:
    """Return the number of updates skipped in a row at which a training stops."""
    return MAX_SKIPPED_UPDATES if config.nan == "skip" else 1


def apply_update(
    training_step: TrainingStep[Any], state: State, step: int, norms: Tensor, totals: Mapping[str, Tensor]
) -> None:
    """Step the optimizers, and update what follows the weights: spectral norm, adaptive state, codebook, average.

    If a gradient is not finite, or too many before it were not, nothing changes but the count of skipped updates.

    Args:
        training_step: The step that computed the gradients.
        state: The training.
        step: Number of optimizer steps before this one.
        norms: Gradient norm of each network, on the device.
        totals: Sums over the images of all ranks.
    """
    config, counters = training_step.config.train, state.counters
    applied = norms.isfinite().all() & ~counters.stopped
    for optimizer in state.optimizers.values():
        step_optimizer(optimizer, applied)
    followers = [*training_step.get_followers(state.networks), *state.adaptive_state.values()]
    with torch.no_grad(), undo_unless(applied, followers):
        for network in state.networks.values():
            spectral_norm.update_spectral_norm(network)
        training_step.after_update(state.networks, state.adaptive_state, totals)
    for average, half_life in zip(state.average_tensors, ema.get_half_lives(config).values(), strict=True):
        decay = ema.compute_decay(config, half_life, step, counters.updates)
        ema.update_ema(average, state.model_tensors, decay, applied)
    counters.count(applied, get_max_skipped_updates(config))


def step_optimizer(optimizer: torch.optim.Optimizer, applied: Tensor) -> None:
    """Step an optimizer, or leave its weights and moments as they are.

    Args:
        optimizer: Fused Adam, or another one whose moments exist.
        applied: Whether it is stepped, a bool scalar on its device.
    """
    if optimizer.defaults.get("fused"):
        optimizer.found_inf = (~applied).float()  # type: ignore[attr-defined]  # as torch.amp.GradScaler sets it
        optimizer.step()
        return
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    moments = [moment for weight in weights for moment in optimizer.state[weight].values()]
    with torch.no_grad(), undo_unless(applied, [*weights, *moments]):
        optimizer.step()


@contextmanager
def undo_unless(applied: Tensor, tensors: Sequence[Tensor]) -> Iterator[None]:
    """Give tensors that the block changes in place their old values, unless the flag, a bool scalar, is set."""
    old_values = [tensor.clone() for tensor in tensors]
    yield
    for tensor, old in zip(tensors, old_values, strict=True):
        tensor.copy_(torch.where(applied.to(tensor.device), tensor, old))
