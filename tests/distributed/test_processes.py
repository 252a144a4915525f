"""Two real processes train what one process trains."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from vaegan.config import dump
from vaegan.data import open_data
from vaegan.runs import Run
from vaegan.trainers import train

from ..tiny import EVERYTHING, FAMILIES, farthest, flat, last, same_bits, tiny

WORDS = (*EVERYTHING, "train.dtype=float64", "train.steps=6", "train.log_every=5")
"""Stopped at step 3, so that the resume has half an interval behind it, with and without a penalty."""


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> Path:
    """Folder of the runs that two processes of one `torchrun` trained, with two micro-batches each."""
    root = tmp_path_factory.mktemp("pair")
    files = [root / f"{name}.yaml" for name in FAMILIES]
    for name, file in zip(FAMILIES, files, strict=True):
        file.write_text(dump(tiny(name, *WORDS, "train.micro_batch_size=2")))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    worker = [str(Path(__file__).with_name("worker.py")), "2", str(root / "runs"), *map(str, files)]
    ended = subprocess.run([*command, *worker], capture_output=True, text=True, env=environment, timeout=600)
    assert ended.returncode == 0, ended.stderr[-6000:]
    return root / "runs"


@pytest.mark.parametrize("name", FAMILIES)
def test_two_processes_are_one(name: str, pair: Path, tmp_path: Path) -> None:
    config = tiny(name, *WORDS)
    alone = train(config, tmp_path / name, open_data(config.data))
    expected, found = flat(last(alone.path)), flat(last(pair / name))
    weights = [key for key in expected if ".optimizer/" not in key]
    difference, where = farthest({key: expected[key] for key in weights}, {key: found[key] for key in weights})
    assert difference < 1e-10, where
    difference, where = farthest(expected, found)
    assert difference < 1e-8, where

    meter = json.loads((pair / name / "checkpoints" / "step_00000003" / "state.json").read_text())["state"]["meter"]
    assert meter["loss/reconstruction"][1] == pytest.approx(2)  # steps since the last line, whatever the processes

    lines = [
        [json.loads(line) for line in run.history_file.read_text().splitlines()] for run in (alone, Run(pair / name))
    ]
    assert [line["step"] for line in lines[0]] == [line["step"] for line in lines[1]] == [1, 5, 6]
    for one, two in zip(*lines, strict=True):
        assert one.keys() == two.keys()
        for key in one:
            torch.testing.assert_close(torch.tensor(two[key]), torch.tensor(one[key]), rtol=1e-6, atol=1e-9, msg=key)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_ranks_hold_the_same_bits(name: str, pair: Path) -> None:
    ranks = [load_file(pair / name / f"rank{rank}.safetensors") for rank in range(2)]
    assert same_bits(*ranks)
    saved = flat(last(pair / name))
    assert same_bits(ranks[0], {key: saved[key] for key in ranks[0]})
