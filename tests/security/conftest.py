"""Fixtures: the command line in this process, a working folder, a fresh W&B, and no waiting for disks."""

import os

import pytest

from ..cli.conftest import vaegan, work
from ..trainers.conftest import fresh_wandb

__all__ = ["fresh_wandb", "vaegan", "work"]


@pytest.fixture(autouse=True)
def _skip_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for disks, which would take most of the time."""
    monkeypatch.setattr(os, "fsync", lambda file: None)
