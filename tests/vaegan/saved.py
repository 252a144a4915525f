"""A checkpoint, and how it comes back."""

from pathlib import Path

import torch

from vaegan.storage.checkpoints import Checkpoint, load_newest_checkpoint

FILES = ("network.safetensors", "network.optimizer.safetensors", "state.json", "sha256.json")


def checkpoint(step: int) -> Checkpoint:
    draw = torch.Generator().manual_seed(step)
    weights = torch.randn(3, 4, 2, 2, generator=draw)
    return Checkpoint(
        step,
        {
            "network": {
                "a.weight": weights.to(memory_format=torch.channels_last),
                "b": torch.randn(5, generator=draw, dtype=torch.float64),
                "odd": torch.tensor([float("nan"), -0.0, float("inf"), 1e-45]),
            },
            "network.optimizer": {"a.weight/step": torch.tensor(float(step)), "a.weight/exp_avg": weights.mT},
            "empty": {},
        },
        {"meter": {"loss": [0.1 + 0.2 + step, 3.0], "counts": [[[1, 2], [3, 4]], 0.0]}, "wandb": None},
    )


def latest(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    notes: list[str] = []
    return load_newest_checkpoint(folder, notes.append), notes
