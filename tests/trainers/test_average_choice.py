"""Two averages of the weights: the one that the validation images choose is the run's model, also after a resume."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from vaegan.data import Data
from vaegan.errors import Failure, UserError
from vaegan.storage.loading import load
from vaegan.storage.run_folder import Run
from vaegan.trainers import train
from vaegan.trainers.average_choice import choose_average, name_in_history, read_choice
from vaegan.trainers.log import grids

from ..tiny import are_bit_identical, load_newest, tiny

WORDS = (
    "train.steps=6", "train.checkpoint_every=2", "train.evaluate_every=2", "train.ema_half_life=1",
    "train.second_ema_half_life=1e6", "train.ema_metric=distance",
)  # fmt: skip


class Evaluator:
    """Measure how far the weights of a model are from a target, which changes in the middle of the training."""

    def __init__(self, prefers_second: bool) -> None:
        self.prefers_second, self.calls = prefers_second, 0

    def __call__(self, model: torch.nn.Module, data: Data, progress: object) -> dict[str, float]:
        self.calls += 1
        is_second = self.calls % 2 == 0  # the averages are measured in their order
        return {"distance": float(is_second != self.prefers_second), "psnr": 20.0}


@pytest.mark.parametrize("prefers_second", [False, True])
def test_the_chosen_average_is_the_model_and_the_other_lies_beside_it(
    prefers_second: bool, data: Data, tmp_path: Path
) -> None:
    config = tiny("vae", *WORDS)
    run = train(config, tmp_path / "run", data, Evaluator(prefers_second))
    tensors = load_newest(run.path).tensors
    assert not are_bit_identical(tensors["average"], tensors["second_average"])
    folders = (run.model_folder, run.other_model_folder)
    first, second = reversed(folders) if prefers_second else folders
    assert are_bit_identical(dict(load(first).state_dict()), dict(tensors["average"]))
    assert are_bit_identical(dict(load(second).state_dict()), dict(tensors["second_average"]))
    lines = [json.loads(line) for line in run.history_file.read_text().splitlines()]
    measured = [line for line in lines if "validation/distance" in line]
    assert [line["step"] for line in measured] == [2, 4, 6]
    assert measured[-1]["validation/second_average/distance"] == float(not prefers_second)
    # A training that is stopped after its last evaluation does not evaluate again, and chooses the same.
    before = {path: path.read_bytes() for path in (run.model_folder / "model.safetensors", run.history_file)}
    (run.model_folder / "config.json").unlink()
    resumed = train(config, tmp_path / "run", data, Evaluator(not prefers_second), resume=True)
    assert {path: path.read_bytes() for path in before} == before and resumed.finished


@pytest.mark.parametrize("interrupted", [False, True])
def test_the_last_samples_are_of_the_chosen_average(interrupted: bool, data: Data, tmp_path: Path) -> None:
    words = [*WORDS[1:], "train.steps=4", "train.evaluate_every=4", "train.checkpoint_every=4"]
    config = tiny("vae", *words, "train.learning_rate=0.1")
    run = train(config, tmp_path / "run", data, Evaluator(prefers_second=True))
    file = run.samples / "step_00000004_sample.png"
    if interrupted:  # after its last checkpoint, before the evaluation
        file.unlink()
        lines = run.history_file.read_text().splitlines(keepends=True)
        run.history_file.write_text("".join(line for line in lines if "validation/" not in line))
        train(config, tmp_path / "run", data, Evaluator(prefers_second=True), resume=True)
    drawn = np.asarray(Image.open(file))
    averages = {folder: load(folder) for folder in (run.model_folder, run.other_model_folder)}
    images, indices = grids.select_fixed_images(data)
    expected = {}
    for folder, model in averages.items():
        grid = grids.draw_grids(model, images[indices], images.get_labels(indices, None), config.seed)["sample"]
        expected[folder] = np.asarray(grid)
    assert np.array_equal(drawn, expected[run.model_folder])
    assert not np.array_equal(drawn, expected[run.other_model_folder])


def test_a_choice_between_checkpoints_is_the_model_at_once(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw, evaluator, same = grids.draw_grids, Evaluator(prefers_second=False), []

    def evaluate(*inputs: Any) -> dict[str, float]:
        evaluator.prefers_second = evaluator.calls >= 2  # from step 4
        return evaluator(*inputs)

    def draw_and_compare(model: torch.nn.Module, *inputs: Any) -> Any:
        same.append(are_bit_identical(dict(load(tmp_path / "run").state_dict()), dict(model.state_dict())))
        return draw(model, *inputs)

    monkeypatch.setattr(grids, "draw_grids", draw_and_compare)  # called after the evaluation
    train(tiny("vae", *WORDS, "train.sample_every=2"), tmp_path / "run", data, evaluate)
    assert same[:2] == [True, True]  # at steps 2 and 4; the model of the last step is not written yet


def test_the_average_of_one_half_life_is_that_of_a_run_with_it_alone(data: Data, tmp_path: Path) -> None:
    two = train(tiny("vae", *WORDS), tmp_path / "two", data, Evaluator(False))
    alone = train(tiny("vae", *WORDS[:3], "train.ema_half_life=1e6"), tmp_path / "one", data, Evaluator(False))
    ours, theirs = load_newest(two.path).tensors["second_average"], load_newest(alone.path).tensors["average"]
    assert are_bit_identical(dict(ours), dict(theirs))
    assert not alone.other_model_folder.exists()


def test_the_lower_value_wins_and_what_is_not_finite_loses() -> None:
    train_config = tiny("vae", *WORDS).train
    nan = float("nan")
    cases = [(1.0, 2.0, "average"), (2.0, 1.0, "second_average"), (1.0, 1.0, "average"), (nan, 5.0, "second_average")]
    for first, second, chosen in cases:
        measured = {"average": {"distance": first}, "second_average": {"distance": second}}
        assert choose_average(train_config, measured) == chosen
        line = {key: None if value != value else value for key, value in name_in_history(measured).items()}
        assert read_choice(train_config, [{"loss": 1.0}, line, {"loss": 2.0}]) == chosen
    assert read_choice(train_config, []) == "average"


def test_the_network_of_the_features_may_follow_the_metric() -> None:
    train_config = tiny("vae", *WORDS[:-1], "train.ema_metric=sample/kid").train
    measured = {
        "average": {"sample/kidney": 0.0, "sample/kid_digits": 2.0},
        "second_average": {"sample/kidney": 1.0, "sample/kid_digits": 1.0},
    }
    assert choose_average(train_config, measured) == "second_average"
    assert read_choice(train_config, [name_in_history(measured)]) == "second_average"


def test_a_metric_that_is_not_measured_stops_the_training_in_a_line(data: Data, tmp_path: Path) -> None:
    words = [*WORDS[:-1], "train.ema_metric=sample/fid"]
    with pytest.raises(Failure, match=r"^train\.ema_metric: sample/fid is not measured; there are distance, psnr"):
        train(tiny("vae", *words), tmp_path / "run", data, Evaluator(False))
    assert load_newest(Run(tmp_path / "run").path).step == 2  # and nothing is lost


def test_a_choice_is_made_before_the_end() -> None:
    with pytest.raises(UserError, match=r"train\.evaluate_every: 7 is more than train\.steps=6; give less"):
        tiny("vae", *WORDS, "train.evaluate_every=7")


@pytest.mark.parametrize("missing", ["evaluate_every", "ema_metric", "second_ema_half_life"])
def test_a_choice_takes_both_averages_a_metric_and_evaluations(missing: str) -> None:
    words = [*WORDS, f"train.{missing}=null"]
    with pytest.raises(UserError, match=r"train.second_ema_half_life: choosing between two averages takes"):
        tiny("vae", *words)
