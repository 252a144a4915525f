"""Settings of Accelerate that no training follows are refused, whoever makes them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from vaegan.accelerate_settings import UNSUPPORTED, check_accelerate_settings
from vaegan.errors import UserError
from vaegan.trainers.accelerator import make_accelerator

from ..tiny import tiny

CONFIGS = {
    "ACCELERATE_DYNAMO_BACKEND=INDUCTOR": "distributed_type: 'NO'\ndynamo_config: {dynamo_backend: INDUCTOR}\n",
    "ACCELERATE_USE_FSDP=true": "distributed_type: FSDP\nfsdp_config: {fsdp_version: 2}\n",
    "ACCELERATE_USE_MEGATRON_LM=true": "distributed_type: MEGATRON_LM\nmegatron_lm_config: {}\n",
}
"""Config file of Accelerate for each setting that it makes."""


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (*UNSUPPORTED, "ACCELERATE_USE_CPU"):
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize("variable", UNSUPPORTED)
def test_a_setting_that_is_not_followed_is_named(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    harmless, _ = UNSUPPORTED[variable]
    for value in ("", *harmless, *map(str.upper, harmless)):
        monkeypatch.setenv(variable, value)
        check_accelerate_settings()
    monkeypatch.setenv(variable, "2")
    with pytest.raises(UserError, match=f"{variable}=2: .*; leave it out of `accelerate launch`"):
        make_accelerator(tiny("vae").train)


def test_the_cpu_is_chosen_by_hiding_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    check_accelerate_settings()  # there is no GPU
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(UserError, match=r"ACCELERATE_USE_CPU: .* CUDA_VISIBLE_DEVICES="):
        check_accelerate_settings()
    monkeypatch.setenv("ACCELERATE_USE_CPU", "false")
    check_accelerate_settings()


def test_an_accelerator_of_the_script_must_not_compile() -> None:
    AcceleratorState._reset_state()
    try:
        Accelerator(cpu=True, dynamo_backend="eager")
        with pytest.raises(UserError, match="Accelerator: this script has one with dynamo_backend='EAGER'; make it"):
            make_accelerator(tiny("vae").train)
    finally:
        AcceleratorState._reset_state()


@pytest.mark.parametrize(
    "setting",
    [setting if "DYNAMO" in setting else pytest.param(setting, marks=pytest.mark.long) for setting in CONFIGS],
)
def test_a_config_file_of_accelerate_is_refused_in_one_line(setting: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(f"compute_environment: LOCAL_MACHINE\nnum_processes: 1\n{CONFIGS[setting]}")
    accelerate = Path(sys.executable).with_name("accelerate")
    command = [accelerate, "launch", "--config_file", "config.yaml", "-m", "vaegan", "train", "digits/vae"]
    process = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=120,
        env={**os.environ, "PATH": f"{accelerate.parent}:{os.environ['PATH']}"},
    )  # fmt: skip
    (line,) = [line for line in process.stderr.splitlines() if line.startswith("vaegan: ")]
    assert process.returncode != 0 and line.startswith(f"vaegan: {setting}: ")
    assert not (tmp_path / "runs").exists()
