"""A checkpoint of every kind of tensor and state, and how tests read it back."""

from pathlib import Path

import torch

from vaegan.storage.checkpoints import Checkpoint, load_newest_checkpoint

CHECKPOINT_FILES = ("network.safetensors", "network.optimizer.safetensors", "state.json", "sha256.json")
"""Names of the files of `make_checkpoint`."""


def make_checkpoint(step: int) -> Checkpoint:
    """Return a checkpoint whose contents depend on the step."""
    generator = torch.Generator().manual_seed(step)
    weights = torch.randn(3, 4, 2, 2, generator=generator)
    return Checkpoint(
        step,
        {
            "network": {
                "a.weight": weights.to(memory_format=torch.channels_last),
                "b": torch.randn(5, generator=generator, dtype=torch.float64),
                "odd": torch.tensor([float("nan"), -0.0, float("inf"), 1e-45]),
            },
            "network.optimizer": {"a.weight/step": torch.tensor(float(step)), "a.weight/exp_avg": weights.mT},
            "empty": {},
        },
        {"meter": {"loss": [0.1 + 0.2 + step, 3.0], "counts": [[[1, 2], [3, 4]], 0.0]}, "wandb": None},
    )


def load_with_notes(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """Read the newest whole checkpoint, and return it with the notes about damaged ones."""
    notes: list[str] = []
    return load_newest_checkpoint(folder, notes.append), notes
