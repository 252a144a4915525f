"""The command line in this process, a folder to use it in, W&B alone, and disks that are not waited for."""

import os

import pytest

from ..cli.conftest import vaegan, work
from ..trainers.conftest import alone

__all__ = ["alone", "vaegan", "work"]


@pytest.fixture(autouse=True)
def _no_waiting_for_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would take most of the time."""
    monkeypatch.setattr(os, "fsync", lambda file: None)
