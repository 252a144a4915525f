"""Runs of a folder of two classes of images, which is then changed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from vaegan.config.schema import Config
from vaegan.data import Images
from vaegan.errors import UserError
from vaegan.progress import Reporter
from vaegan.storage.run_folder import Run

from ...tiny import tiny
from ..data.image_sets import read_all

OPTIONS = (
    "data.source=folder", "data.test=0.25", "train.steps=2", "train.checkpoint_every=1", "train.keep_checkpoints=9",
    "evaluate.metrics=[psnr]",
)  # fmt: skip


class Notes(Reporter):
    """A reporter that keeps the notes."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


def configure(root: Path, *overrides: str) -> Config:
    return tiny("ae", *OPTIONS, f"data.root={root}", *overrides)


def list_names(run: Run, split: str) -> list[str]:
    members = run.members
    assert members is not None
    return [member.name for member in members.members if member.split == split]


def collect(images: Images) -> set[bytes]:
    return {image.numpy().tobytes() for image in read_all(images)}


def refuse(message: str, work: Callable[[], object]) -> None:
    with pytest.raises(UserError, match=message) as caught:
        work()
    assert "\n" not in str(caught.value)
