"""The command `train`: dry runs, resumes and extensions."""

import json
import re

import pytest
import yaml

from vaegan.config import load_config
from vaegan.trainers import step_cost


def test_dry_run_shows_config_sizes_and_trains_nothing(work, vaegan):
    code, out, err = vaegan("train", "tiny.yaml", "model.family=vaegan", "model.latent_size=3", "--dry-run")
    assert (code, err) == (0, "")
    shown, sizes = re.split(r"\n\n\s+(?=network +parameters)", out)
    config = load_config("tiny.yaml", ["model.family=vaegan", "model.latent_size=3"])
    assert yaml.safe_load(shown) == config.model_dump(mode="json")
    numbers = {name: int(number.replace(",", "")) for name, number in re.findall(r"(\w+) +([\d,]+) *\n", sizes)}
    assert numbers.keys() == {"encoder", "decoder", "discriminator", "all"}
    assert numbers["all"] == numbers["encoder"] + numbers["decoder"] + numbers["discriminator"]
    assert "weights" in sizes and "MiB" in sizes and "optimizer state" in sizes and "nothing was trained" in sizes
    assert re.search(r"about [\d,]+ MiB more at the peak of a step, as on a CPU; [\d.]+ GFLOP a step \(", sizes)
    assert not (work / "runs").exists()


def test_dry_run_says_the_cost_of_a_penalty_or_that_no_cost_can_be_counted(work, vaegan, monkeypatch):
    words = ("model.family=vaegan", "model.adversarial.r1=1", "model.adversarial.penalty_every=2", "--dry-run")
    assert "with its gradient penalty" in vaegan("train", "tiny.yaml", *words)[1]

    def fail(*_: object) -> None:
        raise RuntimeError("no rule\nfor this operation")

    monkeypatch.setattr(step_cost, "build_step", fail)
    code, out, err = vaegan("train", "tiny.yaml", "--dry-run")
    assert (code, err) == (0, "") and "optimizer state" in out
    expected = "memory and operations of a step are not known: they cannot be counted here (no rule for this operation)"
    assert out.splitlines()[-1] == f"{expected}; nothing was trained"


def test_train_then_train_again(work, vaegan):
    code, out, _ = vaegan("train", "tiny.yaml", "train.steps=3")
    assert code == 0 and "trained 3 steps; evaluate it with `vaegan evaluate runs/tiny`" in out
    code, _, err = vaegan("train", "tiny.yaml", "train.steps=3")
    assert code == 2 and "--resume" in err and "--output" in err
    weights = (work / "runs/tiny/model/model.safetensors").stat()
    code, out, _ = vaegan("train", "tiny.yaml", "train.steps=3", "--resume")
    assert code == 0 and "finished already, with 3 steps" in out
    assert (work / "runs/tiny/model/model.safetensors").stat() == weights, "nothing is written again"
    code, _, err = vaegan("train", "tiny.yaml", "train.steps=5", "model.beta=2", "--resume")
    assert code == 2 and len(err.splitlines()) == 1
    assert "steps: 3" in err and "5" in err and "beta: 1.0" in err and "2.0" in err


def test_extend_makes_a_run_longer(work, vaegan):
    assert vaegan("train", "tiny.yaml")[0] == 0
    code, _, err = vaegan("train", "tiny.yaml", "train.steps=9", "--resume")
    assert code == 2 and "(train.steps: 4 -> 9); --extend lets it train longer" in err and len(err.splitlines()) == 1
    code, _, err = vaegan("train", "tiny.yaml", "train.steps=9", "--extend")
    assert code == 2 and "--extend" in err and "--resume" in err and len(err.splitlines()) == 1
    code, _, err = vaegan("train", "tiny.yaml", "train.steps=9", "model.beta=2", "--resume", "--extend")
    assert code == 2 and "(model.beta: 1.0 -> 2.0)" in err
    code, out, _ = vaegan("train", "tiny.yaml", "train.steps=9", "--resume", "--extend")
    assert code == 0 and "runs/tiny: trained 9 steps" in out
    assert vaegan("train", "tiny.yaml", "train.steps=9", "--output", "straight")[0] == 0
    model = "model/model.safetensors"
    assert (work / "runs/tiny" / model).read_bytes() == (work / "straight" / model).read_bytes()
    assert load_config(work / "runs/tiny/config.yaml").train.steps == 9
    code, _, err = vaegan("train", "tiny.yaml", "train.steps=5", "--resume", "--extend")
    assert code == 2 and "train.steps: 9 -> 5" in err and len(err.splitlines()) == 1


def test_a_run_with_a_learning_rate_decay_is_not_made_longer(work, vaegan):
    decaying = "train.learning_rate={start: 1.0e-3, end: 0}"
    assert vaegan("train", "tiny.yaml", decaying)[0] == 0
    code, _, err = vaegan("train", "tiny.yaml", decaying, "train.steps=9", "--resume", "--extend")
    assert code == 2 and "train.learning_rate: the schedule depends" in err and len(err.splitlines()) == 1


def test_an_evaluation_on_the_way_stays_the_same(work, vaegan):
    words = ("train", "tiny.yaml", "train.evaluate_every=2", "--resume")
    assert vaegan(*words, "train.steps=4")[0] == 0
    code, _, err = vaegan(*words, "train.steps=9", "--extend", "evaluate.metrics=[ssim]")
    assert code == 2 and 'evaluate.metrics: ["psnr", "elbo"] -> ["ssim"]' in err and len(err.splitlines()) == 1
    assert vaegan(*words, "train.steps=9", "--extend")[0] == 0


def test_a_resume_may_change_settings_without_effect_on_training(work, vaegan):
    assert vaegan("train", "tiny.yaml")[0] == 0
    code, out, _ = vaegan("train", "tiny.yaml", "train.nan=skip", "evaluate.samples=3", "track.name=x", "--resume")
    assert code == 0 and "finished already, with 4 steps" in out


def test_resume_of_an_empty_folder_starts_a_run(work, vaegan):
    assert vaegan("train", "tiny.yaml", "--resume", "--output", "elsewhere/run")[0] == 0
    assert load_config(work / "elsewhere/run/config.yaml") == load_config("tiny.yaml")


def test_the_run_of_a_recipe_is_named_after_it(work, vaegan):
    small = ["model.width=8", "train.steps=1", "train.batch_size=4", "track.wandb=disabled"]
    assert vaegan("train", "digits/ae", *small)[0] == 0
    assert (work / "runs/digits-ae/model/config.json").is_file()


def test_an_evaluation_on_the_way_has_the_density_too(work, vaegan):
    words = ("model.family=ae", "train.evaluate_every=2", "evaluate.metrics=[sharpness]", "evaluate.density=gaussian")
    assert vaegan("train", "tiny.yaml", *words)[0] == 0
    lines = [json.loads(line) for line in (work / "runs/tiny/history.jsonl").read_text().splitlines()]
    assert sum("validation/sample/spectrum_error" in line for line in lines) == 2


@pytest.mark.parametrize(
    ("metric", "problem"),
    [
        ("reconstruction/psnr", "no metric of which less is better"),
        ("reconstruction/mse", "no metric that can decide"),
        ("sample/kid", "not among those that evaluate.metrics names"),
        ("sample/kurtosis_gaap", "no metric that can decide; did you mean sample/kurtosis_gap?"),
        ("sample/fd", "not its name in features of inception; did you mean sample/fid?"),
        ("sample/fid_inception", "no metric that can decide; did you mean sample/fid?"),
    ],
)
def test_two_averages_are_chosen_by_a_metric_that_is_measured_and_better_if_lower(work, get_error, metric, problem):
    words = (f"train.ema_metric={metric}", "train.second_ema_half_life=9", "evaluate.metrics=[psnr,sharpness,frechet]")
    message = get_error("train", "tiny.yaml", *words, "train.evaluate_every=2")
    assert message.startswith(f"train.ema_metric: {metric}: {problem}") and "allowed: " in message
    assert not (work / "runs/tiny").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("model.discriminator.instance_layers=[9]", "model.discriminator.instance_layers: 9 is beyond the last one"),
        ("model.discriminator.instance_layers=[2,1]", "model.discriminator.instance_layers: not in rising order"),
        ("model.discriminator.layer=9", "model.discriminator.layer: 9 is beyond the last one"),
        ("model.discriminator.instance_layers=[1]", "model.adversarial.instance_queue: 4,096 of "),
    ],
)
def test_a_wrong_layer_or_queue_leaves_no_folder(work, get_error, words, message):
    word = "model.adversarial.instance=0.1" if "instance" in words else "train.steps=3"
    assert message in get_error("train", "digits/vaegan3", words, word, "--output", "new")
    assert not (work / "new").exists()


def test_a_note_of_the_evaluation_is_said_once_in_a_training(work, vaegan, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(work / "nowhere"))
    code, _, err = vaegan("train", "tiny.yaml", "train.evaluate_every=1", "evaluate.metrics=[lpips]")
    assert code == 0 and err.count("lpips: random features") == 1
    lines = [json.loads(line) for line in (work / "runs/tiny/history.jsonl").read_text().splitlines()]
    assert sum("validation/reconstruction/lpips_random" in line for line in lines) == 4
