"""The floating-point operations of trainings, and studies whose variants have as many of them."""

from pathlib import Path

import pytest
import torch

from vaegan.cli.console import Console
from vaegan.config.load_study_files import load_study
from vaegan.data import MicroBatch
from vaegan.errors import UserError
from vaegan.evaluate.run_list import list_runs
from vaegan.trainers import step_cost
from vaegan.trainers.accelerator import make_accelerator
from vaegan.trainers.loop import compute_gradients
from vaegan.trainers.state import build_state
from vaegan.trainers.step_cost import CostCounter
from vaegan.trainers.steps import build_step
from vaegan.workflows.study import prepare_study
from vaegan.workflows.training_flops import FlopCounter, match_flops

from ...tiny import tiny

SIZES = {"network": "mlp", "width": 8}


def test_operations_are_those_of_every_step_of_a_training() -> None:
    config = tiny("vaegan3", "train.steps=5", "model.adversarial.penalty_every=3")
    counted = FlopCounter().count(config)
    step, size, accelerator = build_step(config), config.train.batch_size, make_accelerator(config.train)
    state = build_state(config, step, accelerator)
    batch = MicroBatch(torch.zeros(size, *config.data.image_shape, dtype=torch.uint8), torch.zeros(size).long())
    noise = {name: torch.randn(size, *shape) for name, shape in step.get_noise_shapes().items()}
    with CostCounter() as counter:
        for number in range(config.train.steps):
            compute_gradients(step, state, number, [batch], noise, 0, accelerator)
    assert counted == counter.flops > 0


def test_a_step_is_counted_once_whatever_the_seed_and_the_number_of_steps(monkeypatch) -> None:
    counter, config = FlopCounter(), tiny("vae", "train.steps=2")
    one = counter.count(config)
    monkeypatch.setattr(step_cost, "build_step", None)
    assert counter.count(tiny("vae", "train.steps=6", "evaluate.samples=3").model_copy(update={"seed": 9})) == 3 * one
    assert counter.count(tiny("vae", "model.width=16")) is None and counter.problem


def test_as_many_operations_give_each_variant_its_steps() -> None:
    configs = {"vae": tiny("vae", "train.steps=60"), "vaegan3": tiny("vaegan3", "model.adversarial.penalty_every=3")}
    configs["half"] = tiny("vae", f"train.batch_size={configs['vae'].train.batch_size // 2}", "train.steps=1")
    matched, counter = match_flops(configs), FlopCounter()
    steps = {name: config.train.steps for name, config in matched.items()}
    assert steps["vae"] == 60 and steps["half"] == 120 and 1 < steps["vaegan3"] < 60
    counts = {name: counter.count(config) for name, config in matched.items()}
    assert counts["half"] == counts["vae"]
    assert abs(counts["vaegan3"] - counts["vae"]) < 1.5 * counts["vaegan3"] / steps["vaegan3"]
    assert all(matched[name] == config for name, config in configs.items() if config.train.steps == steps[name])
    untrained = tiny("vae").model_copy(update={"train": tiny("vae").train.model_copy(update={"steps": 0})})
    assert match_flops({"given": untrained} | configs) == {"given": untrained} | matched


def test_a_study_lists_runs_of_as_many_operations_with_priors_whose_autoencoder_is_not_trained(tmp_path: Path) -> None:
    tree = {
        "title": "T", "matched": ["flops"], "shared": {"train": {"steps": 40}, "track": {"wandb": "disabled"}},
        "variants": {
            "ae": {"recipe": "digits/ae", "set": {"model": SIZES}},
            "flow": {"recipe": "digits/flow", "prior": "ae", "set": {"model": {"width": 8, "depth": 1}}},
        },
    }  # fmt: skip
    loaded = prepare_study(load_study(tree), tmp_path)
    counts = {name: FlopCounter().count(config) for name, config in loaded.configs.items()}
    steps = {name: config.train.steps for name, config in loaded.configs.items()}
    assert steps["ae"] == 40 != steps["flow"] and abs(counts["flow"] - counts["ae"]) <= counts["flow"] / steps["flow"]
    found = list_runs(loaded.study, loaded.configs, tmp_path, Console(), loaded.classifier)
    assert [config.train.steps for config in found.runs.values()] == [40] and found.later == 1


def test_operations_that_cannot_be_counted_are_not_matched(monkeypatch) -> None:
    monkeypatch.setattr(step_cost, "build_step", None)
    message = r"^matched: flops: cannot be counted here \(.*callable\); match images_seen instead$"
    with pytest.raises(UserError, match=message):
        match_flops({"vae": tiny("vae")})
