"""The run folder: what it says of itself, and the model that a resume exports again."""

import json
import os
from hashlib import sha256
from pathlib import Path

import pytest
from safetensors.torch import load_file

from vaegan.data import Data
from vaegan.errors import UserError
from vaegan.storage.run_folder import Run
from vaegan.trainers import train

from ...own_networks import build_own_networks
from ...tiny import are_bit_identical, tiny


def test_a_finished_run_describes_its_model(run: Run) -> None:
    assert run.exists and run.finished and run.exported_step == 5
    assert run.config == tiny("vae")
    description = json.loads((run.model_folder / "config.json").read_text())
    checksum = sha256((run.model_folder / "model.safetensors").read_bytes()).hexdigest()
    assert description == {
        "step": 5, "image_shape": [1, 8, 8], "sha256": checksum, "model": tiny("vae").model.model_dump(mode="json"),
        "classes": None, "networks": None, "data_version": 2, "data_fit": "crop",
        "code_scale": None,
    }  # fmt: skip
    missing = Run(run.path / "nowhere")
    assert not missing.exists and not missing.finished and missing.exported_step is None


def test_a_run_with_steps_left_is_not_finished(run: Run) -> None:
    run.write_config(tiny("vae", "train.steps=6"))
    assert run.exists and not run.finished


def test_a_damaged_model_is_written_anew_by_a_resume(run: Run, data: Data) -> None:
    file = run.model_folder / "model.safetensors"
    before = file.read_bytes()
    file.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    train(tiny("vae"), run.path, data, resume=True)
    assert file.read_bytes() == before and run.finished


def test_a_resume_writes_a_lost_model_anew(run: Run, data: Data) -> None:
    before = (run.model_folder / "model.safetensors").read_bytes()
    saved = {path: path.stat().st_mtime_ns for path in run.checkpoints.rglob("*")}
    os.system(f"rm -r {run.model_folder}")
    train(tiny("vae"), run.path, data, resume=True)
    assert (run.model_folder / "model.safetensors").read_bytes() == before
    assert {path: path.stat().st_mtime_ns for path in run.checkpoints.rglob("*")} == saved  # not written again


@pytest.mark.parametrize("text", ["", "model: {", "model: {family: vae}\n", "a: 1\na: 2\n"])
def test_a_damaged_config_is_refused(run: Run, text: str) -> None:
    run.config_file.write_text(text)
    with pytest.raises(UserError, match=r"config\.yaml") as caught:
        _ = run.config
    assert "\n" not in str(caught.value)


def test_initial_weights_of_given_modules_are_kept_and_written_through_no_link(tmp_path: Path) -> None:
    run, networks = Run(tmp_path / "run"), build_own_networks()
    run.write_networks(networks)
    files = {name: load_file(run.networks_folder / f"{name}.safetensors") for name in networks}
    assert all(are_bit_identical(files[name], module.state_dict()) for name, module in networks.items())
    other = tmp_path / "other"
    other.mkdir()
    linked = Run(tmp_path / "linked")
    linked.path.mkdir()
    linked.networks_folder.symlink_to(other)
    with pytest.raises(UserError, match="networks: a link, and what is written would replace files elsewhere"):
        linked.write_networks(networks)
    assert list(other.iterdir()) == []
