"""Cost of a training: time and memory as `timing.jsonl` has them, and the number of parameters."""

import math
import statistics
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import torch

from vaegan.config import Config
from vaegan.config.models import GANConfig
from vaegan.errors import UserError
from vaegan.io import read_json_lines
from vaegan.models import Autoencoder
from vaegan.models.model import count_parameters
from vaegan.networks.build import build_discriminator
from vaegan.text import get_reason


def read_training_cost(timing_file: Path, notify: Callable[[str], None]) -> dict[str, float]:
    """Return the `seconds` that a training took and the most `memory_bytes` that it used.

    Args:
        timing_file: `timing.jsonl` of the run.
        notify: Called with one line if the file cannot be used; the result is then empty.
    """
    try:
        _, seconds, memory = _read_timing(timing_file)
    except UserError as error:
        notify(f"{error}; what the training cost is left out")
        return {}
    return {"seconds": sum(seconds), "memory_bytes": max(memory)}


def measure_step_seconds(timing_file: Path) -> float:
    """Return the median seconds per step of the lines of `timing.jsonl` but the first, which includes preparations.

    Raises:
        UserError: The file has no such lines, cannot be read, or is not what a training writes.
    """
    steps, seconds, _ = _read_timing(timing_file)
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


def _read_timing(file: Path) -> list[list[float]]:
    """Return the steps, the seconds and the bytes of memory of all lines.

    Raises:
        UserError: The file cannot be read, or is not what a training writes.
    """
    try:
        lines = read_json_lines(file)
        columns = [[float(line[key]) for line, _ in lines] for key in ("step", "seconds", "memory_bytes")]
    except OSError as error:
        raise UserError(f"{file}: {get_reason(error)}") from None
    except (KeyError, TypeError, ValueError, OverflowError):
        columns = []
    if not columns or not sum(columns[1]) or not all(0 <= value < math.inf for values in columns for value in values):
        raise UserError(f"{file}: not what a training writes")
    return columns
