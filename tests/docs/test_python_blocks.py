"""Every block of Python on a page runs, from the top of the page to its end."""

import re
from pathlib import Path

import numpy as np
import pytest

import vaegan

from .pages import PAGES, Block, read_blocks

STEPS = re.compile(r'("(?:train\.)?steps": )\d+')
"""The only numbers that are changed."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the files that pages presuppose, in an empty working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VAEGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("WANDB_MODE", "disabled")
    draw = np.random.default_rng(0)
    np.save("faces.npy", draw.integers(0, 256, (80, 3, 32, 32), dtype=np.uint8))
    np.save("labels.npy", np.arange(80) % 2)
    return tmp_path


@pytest.mark.parametrize("page", [page for page in PAGES if read_blocks(page, "python")], ids=lambda page: page.stem)
def test_every_block_runs(page: Path, folder: Path) -> None:
    if "load_classifier" in page.read_text(encoding="utf-8"):
        vaegan.train("digits/features", {"train.steps": 1}, output="runs/features/digits", progress=False)
    run_blocks(page, read_blocks(page, "python"))


def test_a_block_that_fails_is_found(tmp_path: Path) -> None:
    with pytest.raises(NameError, match="nothing"):
        run_blocks(tmp_path, [Block(1, "something = 1\n"), Block(4, "print(something, nothing)\n")])


def run_blocks(page: Path, blocks: list[Block]) -> None:
    """Run the blocks of a page in one namespace, with the page's lines in tracebacks."""
    namespace: dict[str, object] = {"__name__": page.stem}
    for block in blocks:
        code = "\n" * (block.line - 1) + STEPS.sub(r"\g<1>1", block.code)
        exec(compile(code, str(page), "exec"), namespace)
