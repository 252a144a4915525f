"""Averages of the scalars that steps report, over images, micro-batches, steps and processes."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from .steps.base import StepOutput


def reduce_sums(sums: Sequence[Tensor], accelerator: Accelerator) -> list[Tensor]:
    """Return the totals over all processes, on every process; each process gives the sums over its own images."""
    if accelerator.num_processes == 1 or not sums:
        return list(sums)
    flat = accelerator.reduce(torch.cat([each.flatten() for each in sums]), "sum")
    parts = flat.split([each.numel() for each in sums])
    return [part.reshape(each.shape) for part, each in zip(parts, sums, strict=True)]


class Meter:
    """Sums since the last line of the history, kept on the device so that no step waits for them.

    Attributes:
        sums: For each key the sum of weighted scalars, or of counts, float64.
        weights: For each key the sum of its weights, in steps; 0 for counts.
    """

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.weights: dict[str, float] = {}

    def add(self, output: StepOutput, fraction: float) -> None:
        """Add the output of one micro-batch.

        Args:
            output: Its scalars and counts.
            fraction: Its number of images, divided by the images of the whole step over all processes.
        """
        for key, value in output.scalars.items():
            self._add(key, value.double() * fraction, fraction)
        self.add_counts(output.counts)

    def add_counts(self, counts: Mapping[str, Tensor]) -> None:
        """Add sums over the images of one micro-batch."""
        for key, value in counts.items():
            self._add(key, value.double(), 0.0)

    def merge(self, other: "Meter") -> None:
        """Add the sums of another meter."""
        for key, value in other.sums.items():
            self._add(key, value, other.weights[key])

    def reset(self) -> None:
        """Remove all sums."""
        self.sums.clear()
        self.weights.clear()

    def reduce(self, accelerator: Accelerator) -> "Meter":
        """Return, on every process, a meter with the sums over all processes."""
        total = Meter()
        if not self.sums:
            return total
        keys = sorted(self.sums)
        weights = next(iter(self.sums.values())).new_tensor([self.weights[key] for key in keys])
        *sums, weights = reduce_sums([*(self.sums[key] for key in keys), weights], accelerator)
        for key, value, weight in zip(keys, sums, weights.tolist(), strict=True):
            total._add(key, value, weight)
        return total

    def get_totals(self, accelerator: Accelerator) -> dict[str, Tensor]:
        """Return the sums over all processes, on every process, without waiting for the device."""
        keys = sorted(self.sums)
        return dict(zip(keys, reduce_sums([self.sums[key] for key in keys], accelerator), strict=True))

    def compute(self) -> dict[str, Any]:
        """Return the means over the images of the scalars, and the sums of the counts as nested lists."""
        return {
            key: value.item() / self.weights[key] if self.weights[key] else value.tolist()
            for key, value in self.sums.items()
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the sums as JSON values, every float exact."""
        return {key: [value.tolist(), self.weights[key]] for key, value in self.sums.items()}

    def load_state_dict(self, state: Mapping[str, Any], accelerator: Accelerator) -> None:
        """Add saved sums on the main process, and zeros under the same keys on the others.

        Args:
            state: `state_dict` of a meter that was reduced over all processes.
            accelerator: The processes of this training.
        """
        for key, (value, weight) in state.items():
            sums = torch.tensor(value, dtype=torch.float64, device=accelerator.device)
            main = float(accelerator.is_main_process)
            self._add(key, sums * main, weight * main)

    def _add(self, key: str, value: Tensor, weight: float) -> None:
        self.sums[key] = self.sums[key] + value if key in self.sums else value
        self.weights[key] = self.weights.get(key, 0.0) + weight
