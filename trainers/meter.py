"""Averages of what the steps report, over images, micro-batches, steps and processes."""

from collections.abc import Mapping
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from .steps.base import StepOutput


class Meter:
    """Sums since the last line of the history, kept on the device so that no step waits for them."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.steps: dict[str, float] = {}

    def add(self, report: StepOutput, share: float) -> None:
        """Take in one micro-batch, which is a ``share`` of the step's images over all processes."""
        for key, value in report.scalars.items():
            self._add(key, value.double() * share, share)
        for key, value in report.counts.items():
            self._add(key, value.double(), 0.0)

    def merge(self, other: "Meter") -> None:
        """Take in what another meter has summed up."""
        for key, value in other.sums.items():
            self._add(key, value, other.steps[key])

    def clear(self) -> None:
        """Start anew."""
        self.sums.clear()
        self.steps.clear()

    def total(self, accelerator: Accelerator) -> "Meter":
        """The sums of all processes together, on every process."""
        whole = Meter()
        if not self.sums:
            return whole
        keys = sorted(self.sums)
        sums = [self.sums[key].flatten() for key in keys]
        flat = torch.cat([*sums, sums[0].new_tensor([self.steps[key] for key in keys])])
        flat = accelerator.reduce(flat, "sum") if accelerator.num_processes > 1 else flat
        *parts, steps = flat.split([*map(len, sums), len(keys)])
        for key, part, share in zip(keys, parts, steps.tolist(), strict=True):
            whole._add(key, part.reshape(self.sums[key].shape), share)
        return whole

    def values(self) -> dict[str, Any]:
        """Means over the images of the scalars, sums of the counts (as nested lists)."""
        return {
            key: value.item() / self.steps[key] if self.steps[key] else value.tolist()
            for key, value in self.sums.items()
        }

    def state(self) -> dict[str, Any]:
        """The sums as JSON knows them, exactly."""
        return {key: [value.tolist(), self.steps[key]] for key, value in self.sums.items()}

    def restore(self, state: Mapping[str, Any], accelerator: Accelerator) -> None:
        """Go on from the `state` of a `total` on the main process; the others start from zeros under the same keys."""
        for key, (value, steps) in state.items():
            sums = torch.tensor(value, dtype=torch.float64, device=accelerator.device)
            main = float(accelerator.is_main_process)
            self._add(key, sums * main, steps * main)

    def _add(self, key: str, value: Tensor, steps: float) -> None:
        self.sums[key] = self.sums[key] + value if key in self.sums else value
        self.steps[key] = self.steps.get(key, 0.0) + steps
