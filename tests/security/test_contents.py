"""Files of the right form and with the right checksums but wrong contents are refused with one line."""

import json
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from vaegan import load
from vaegan.data import open_data
from vaegan.errors import UserError
from vaegan.evaluate.result import EvaluationResult, load_cached_result, write_result
from vaegan.storage.run_folder import Run
from vaegan.storage.training_cost import read_training_cost
from vaegan.trainers import train

from ..tiny import tiny
from .world import fix_checksums

NAMES = ("autoencoder", "average", "discriminator", "discriminator.optimizer", "autoencoder.optimizer")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = tiny("vaegan3", "train.steps=2", "train.checkpoint_every=1")
    return train(config, tmp_path_factory.mktemp("runs") / "run", open_data(config.data)).path


@pytest.fixture
def run(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the finished run, in the folder `run`."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(finished, "run"))


@pytest.fixture
def cut_off(run: Path) -> Path:
    """The checkpoint of the first step of a run whose later checkpoint and model are lost."""
    shutil.rmtree(run / "model")
    shutil.rmtree(run / "checkpoints" / "step_00000002")
    return run / "checkpoints" / "step_00000001"


def check_one_line(answer: tuple[int, str, str]) -> str:
    """Check that a command failed with one line, and return the line."""
    code, _, err = answer
    assert code in (1, 2), answer
    assert err.startswith("vaegan: ") and err.count("\n") == 1 and len(err) < 700 and err[:-1].isprintable(), err
    return err


def change(file: Path, how: Callable[[dict[str, Any]], object]) -> None:
    """Change the mapping in a file of JSON or tensors, and correct its checksum."""
    if file.suffix == ".json":
        tree = json.loads(file.read_text())
        how(tree)
        file.write_text(json.dumps(tree))
    else:
        tree = {name: tensor.clone() for name, tensor in load_file(file).items()}
        how(tree)
        file.unlink()
        save_file(tree, file)
    fix_checksums(file)


def change_first(make: Callable[[Tensor], Tensor]) -> Callable[[dict[str, Tensor]], None]:
    """Return a change of the first of named tensors."""
    return lambda tensors: tensors.update({min(tensors): make(tensors[min(tensors)])})


TENSORS: dict[str, Callable[[dict[str, Tensor]], object]] = {
    "none": dict.clear,
    "one is missing": lambda tensors: tensors.pop(min(tensors)),
    "one more": lambda tensors: tensors.update({"../../x": torch.zeros(2)}),
    "another shape": change_first(lambda _: torch.zeros(3, 3)),
    "no dimension": change_first(lambda _: torch.tensor(1.0).clone()),
    "no element": change_first(lambda _: torch.zeros(0)),
    "whole numbers": change_first(Tensor.long),
    "complex numbers": change_first(lambda weight: weight.to(torch.complex64)),
}


@pytest.mark.parametrize("how", TENSORS)
def test_weights_that_are_not_those_of_the_model(how: str, run: Path, vaegan) -> None:
    change(run / "model" / "model.safetensors", TENSORS[how])
    message = check_one_line(vaegan("sample", "run"))
    assert "model.safetensors: not the weights of the model in config.json" in message
    with pytest.raises(UserError) as caught:
        load("run/model")  # carried away from its run
    assert message == f"vaegan: {caught.value}\n"


@pytest.mark.parametrize("path", ["run", "run/model"])
def test_a_short_description_allocates_no_network_that_the_weights_do_not_have(path: str, run: Path) -> None:
    largest = {"width": 4096, "depth": 16, "network": "resnet", "latent_size": 65536}
    change(run / "model" / "config.json", lambda tree: tree["model"].update(largest))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match=r"config\.json"):
        load(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**18, "KiB"


SHAPES = [
    [1, 8, 16],
    [1, 16, 16],
    [3, 8, 8],
    [2, 8, 8],
    [1, 0, 0],
    [1, -8, -8],
    [1, 8, 10**9],
    [10**6, 256, 256],
    [1, 8],
]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_description_of_other_images(shape: list[int], run: Path, vaegan) -> None:
    change(run / "model" / "config.json", lambda tree: tree.update(image_shape=shape))
    assert "config.json" in check_one_line(vaegan("sample", "run"))


@pytest.mark.parametrize(
    "change", [("image_size: 8", "image_size: 16"), ("channels: 1", "channels: 3"), ("beta: 1.0", "beta: 2.0")]
)
def test_a_config_of_another_model(change: tuple[str, str], run: Path, vaegan) -> None:
    text = (run / "config.yaml").read_text()
    assert text.count(change[0]) == 1
    (run / "config.yaml").write_text(text.replace(*change))
    for words in (("sample", "run"), ("evaluate", "run")):
        assert "config.json: not the model of run/config.yaml" in check_one_line(vaegan(*words))


def resume_and_fail(run: Path, vaegan) -> str:
    """Resume a run, which must fail, and return its one line."""
    return check_one_line(vaegan("train", "run/config.yaml", "--output", "run", "--resume"))


STATES: dict[str, list[object]] = {
    "updates": [..., "x", None, -5, 1.5, 10**40],
    "skipped": [..., [1], -1],
    "meter": [..., 5, [], {"a": 5}, {"a": ["x", 1]}, {"a": [[[1], [1, 2]], 1]}, {"a": [1, "x"]}, {"a": [10**400, 1]}],
    "fingerprint": [...],
}
"""Values that replace a key of a checkpoint's state; ...: the key is removed."""


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in STATES.items() for value in values])
def test_a_checkpoint_whose_state_is_none(key: str, value: object, cut_off: Path, vaegan) -> None:
    def spoil(tree: dict[str, Any]) -> None:
        del tree["state"][key]
        tree["state"] |= {} if value is ... else {key: value}

    change(cut_off / "state.json", spoil)
    assert cut_off.name in (message := resume_and_fail(cut_off, vaegan)) or "images" in message


@pytest.mark.parametrize(
    ("name", "how"),
    [("autoencoder", how) for how in TENSORS]
    + [("autoencoder.optimizer", how) for how in TENSORS if how != "none"]
    + [(name, "another shape") for name in NAMES[1:4]],
)
def test_a_checkpoint_whose_tensors_are_anothers(name: str, how: str, cut_off: Path, vaegan) -> None:
    """An optimizer may have no tensors, as before the first update."""
    change(cut_off / f"{name}.safetensors", TENSORS[how])
    assert cut_off.name in resume_and_fail(cut_off, vaegan)


@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_without_a_file(name: str, cut_off: Path, vaegan) -> None:
    (cut_off / f"{name}.safetensors").unlink()
    change(cut_off / "sha256.json", lambda tree: tree.pop(f"{name}.safetensors"))
    change(cut_off / "state.json", lambda tree: tree["files"].remove(name))
    assert cut_off.name in resume_and_fail(cut_off, vaegan)


INVALID_METRICS: list[dict[str, object]] = [
    {"metrics": []}, {"metrics": {"a": "x"}}, {"metrics": {"a": None}}, {"metrics": {"a": [1.0]}},
    {"metrics": {"a": float("nan")}}, {"metrics": {"a": float("inf")}}, {"metrics": ...}, {"curves": ...}, {"more": 1},
    {"curves": {"frequency": 1.0}}, {"curves": {"frequency": ["x"]}}, {"curves": []}, {"protocol": [["origin", 1]]},
    {"matrices": [[1]]}, {"matrices": {"seen": [[0.5]]}}, {"scores": "0" * 64}, {"scores": 1}, {"scores": ...},
]  # fmt: skip
"""Values that replace keys of valid metrics; ...: the key is removed."""


def test_cached_figures_that_are_none_are_measured_again(tmp_path: Path) -> None:
    def is_cached(over: dict[str, object]) -> bool:
        run = Run(tmp_path)
        scores = {"a": torch.ones(2, dtype=torch.float64)}
        write_result(EvaluationResult({"a": 1.5}, {"origin": {}}, {"frequency": [0.5]}, {"seen": [[1]]}, scores), run)
        written = json.loads(run.metrics_file.read_text()) | over
        run.metrics_file.write_text(json.dumps({key: one for key, one in written.items() if one is not ...}))
        return load_cached_result(run, {}) is not None

    assert is_cached({})
    assert [over for over in INVALID_METRICS if is_cached(over)] == []


@pytest.mark.parametrize("key", ["seconds", "memory_bytes"])
def test_times_and_bytes_that_are_none(key: str, tmp_path: Path) -> None:
    file = tmp_path / "timing.jsonl"
    for value in (
        1.5,
        "x",
        None,
        [1],
        {},
        ...,
        -1.0,
        *([0] if key == "seconds" else []),
        float("nan"),
        float("inf"),
        10**400,
    ):
        line = {"step": 1, "seconds": 1.5, "memory_bytes": 1.5, key: value}
        file.write_text(json.dumps({key: one for key, one in line.items() if one is not ...}) + "\n")
        notes: list[str] = []
        tree = read_training_cost(file, notes.append)
        if value == 1.5:
            assert tree == {"seconds": 1.5, "memory_bytes": 1.5} and not notes
        else:
            assert tree == {} and len(notes) == 1 and "timing.jsonl" in notes[0]
