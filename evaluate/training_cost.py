"""Cost of a training: the time of a step, and the number of parameters."""

import statistics
from itertools import pairwise
from pathlib import Path

import torch

from vaegan.config import Config
from vaegan.config.models import GANConfig
from vaegan.errors import UserError
from vaegan.models import Autoencoder
from vaegan.models.model import count_parameters
from vaegan.networks.build import build_discriminator
from vaegan.storage.training_cost import read_timing


def measure_step_seconds(timing_file: Path) -> float:
    """Return the median seconds per step of the lines of `timing.jsonl` but the first, which includes preparations.

    Raises:
        UserError: The file has no such lines, cannot be read, or is not what a training writes.
    """
    steps, seconds, _ = read_timing(timing_file)
    intervals = zip(pairwise(steps), seconds[1:], strict=True)
    rates = [duration / (end - start) for (start, end), duration in intervals if end > start and duration > 0]
    if not rates:
        raise UserError(
            f"{timing_file}: does not say how long a step takes; remove the run's folder, and it is timed again"
        )
    return statistics.median(rates)


def count_run_parameters(model: Autoencoder, config: Config) -> dict[str, int]:
    """Return the number of parameters of each part of a run's model, and of its discriminator if it has one."""
    counts = count_parameters(model)
    if isinstance(config.model, GANConfig):
        with torch.device("meta"):
            discriminator = build_discriminator(config.model, model.image_shape, config.seed)
        counts["discriminator"] = sum(count_parameters(discriminator).values())
    return counts
