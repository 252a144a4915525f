"""The figures of one line of the history."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from vaegan.config import Config
from vaegan.losses.adversarial import balanced_accuracy
from vaegan.losses.divergence import frechet_standard_normal, mmd_imq
from vaegan.losses.quantisation import perplexity, usage
from vaegan.randomness import draw_normal

from ..meter import Meter
from ..state import State

CONFUSION_KEY = "discriminator/confusion"
CODEBOOK_KEY = "codebook/counts"
MAX_AGGREGATE_POSTERIOR_CODES = 2048
"""Codes that the gap to the prior is measured with, since its kernel grows with their square."""


def compute_scalars(
    config: Config, state: State, meter: Meter, norms: Mapping[str, float], codes: Tensor | None
) -> dict[str, Any]:
    """What is logged after a step.

    Args:
        config: The run.
        state: The training.
        meter: What the steps since the last line have reported, on all processes together.
        norms: The gradients' norms in the last one.
        codes: Its images' codes, of all processes, shape (N, d); None where there are none.
    """
    values: dict[str, Any] = meter.values()
    values |= {f"gradient/{name}": norm for name, norm in norms.items()}
    values |= {f"learning_rate/{name}": rate.param_groups[0]["lr"] for name, rate in state.optimizers.items()}
    values |= {"updates": float(state.updates)}
    if codes is not None and len(codes) > 1:
        values |= _gap(codes[:MAX_AGGREGATE_POSTERIOR_CODES].cpu(), config.seed, state.step)
    if CODEBOOK_KEY in values:
        counts = torch.tensor(values.pop(CODEBOOK_KEY), dtype=torch.float64)
        values |= {"codebook/perplexity": perplexity(counts), "codebook/usage": usage(counts)}
    if CONFUSION_KEY in values:
        values["discriminator/accuracy"] = balanced_accuracy(torch.tensor(values[CONFUSION_KEY], dtype=torch.float64))
    return values


def _gap(codes: Tensor, seed: int, step: int) -> dict[str, float]:
    """How far the aggregate posterior of a batch is from the prior."""
    prior = draw_normal((len(codes), codes.shape[1]), seed, "gap", step)
    return {"gap/mmd2": mmd_imq(codes, prior).item(), "gap/frechet": frechet_standard_normal(codes).item()}
