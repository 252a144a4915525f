"""The scalars of one line of the history."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from vaegan.config import Config
from vaegan.losses.adversarial import balanced_accuracy
from vaegan.losses.aggregate_posterior import frechet_standard_normal, mmd_imq
from vaegan.losses.quantisation import perplexity, usage
from vaegan.randomness import draw_normal

from ..meter import Meter
from ..state import State
from ..steps.base import CODEBOOK_KEY, CONFUSION_KEY

MAX_AGGREGATE_POSTERIOR_CODES = 512
"""Most codes, the first of the batch, by which the aggregate posterior is compared with the prior: the kernel of the
MMD grows with N², and all processes wait for it."""


def compute_scalars(
    config: Config, state: State, meter: Meter, norms: Mapping[str, float], codes: Tensor | None
) -> dict[str, Any]:
    """Compute what is logged after a step: name and value, a float or the nested list of a confusion matrix.

    Args:
        config: The run.
        state: The training.
        meter: Sums over the steps since the last line, over all processes.
        norms: Gradient norm of each network in the last step.
        codes: Codes of the last step's images, over all processes, shape (N, d); None if the family has no prior.
    """
    values: dict[str, Any] = meter.compute()
    values |= {f"gradient/{name}": norm for name, norm in norms.items()}
    values |= {f"learning_rate/{name}": optimizer.param_groups[0]["lr"] for name, optimizer in state.optimizers.items()}
    values |= {"updates": float(state.updates)}
    if codes is not None and len(codes) > 1:
        values |= _compare_with_prior(codes[:MAX_AGGREGATE_POSTERIOR_CODES], config.seed, state.step)
    if CODEBOOK_KEY in values:
        counts = torch.tensor(values.pop(CODEBOOK_KEY), dtype=torch.float64)
        values |= {"codebook/perplexity": perplexity(counts), "codebook/usage": usage(counts)}
    for key in [key for key in values if key.startswith(CONFUSION_KEY)]:  # of all, and of each scale
        accuracy = balanced_accuracy(torch.tensor(values[key], dtype=torch.float64))
        values[key.replace(CONFUSION_KEY, "discriminator/accuracy")] = accuracy
    return values


def _compare_with_prior(codes: Tensor, seed: int, step: int) -> dict[str, float]:
    """Compute the MMD² and the Fréchet distance of the aggregate posterior, given by its codes (N, d), to N(0, I).

    Both are computed on the device of the codes, in float64.
    """
    prior_codes = draw_normal((len(codes), codes.shape[1]), seed, "gap", step).to(codes.device)
    return {"gap/mmd2": mmd_imq(codes, prior_codes).item(), "gap/frechet": frechet_standard_normal(codes).item()}
