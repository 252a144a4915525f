"""Ablations: the studies that they consist of, the images of their budgets, and what is refused."""

from pathlib import Path

import pytest

from vaegan.config import load_config, load_study
from vaegan.config.differences import describe_differences, get_training_settings
from vaegan.config.load_ablation import LoadedAblation, Selection, load_ablation
from vaegan.errors import UserError

from .configs import CLASSIFIER, RUN

ABLATION = {
    "title": "T",
    "base": {"recipe": "own.yaml", "set": {"train": {"warmup_steps": 3, "ema_decay": 0.81}}},
    "changes": {
        "half": {"train": {"batch_size": 4}},
        "fast": {"train": {"learning_rate": 0.1}},
        "faster": {"train": {"learning_rate": 0.2}},
        "set": {"train": {"batch_size": 16, "warmup_steps": 7, "ema_decay": 0.5}},
    },
    "metric": "reconstruction/psnr",
    "screen": {"steps": 10},
    "confirm": {"steps": 20},
}
HALF = Selection(["half"], ["half"])


@pytest.fixture
def loaded(write) -> LoadedAblation:
    write(RUN, "own.yaml")
    return load_ablation(write(ABLATION))


def test_a_batch_of_another_size_sees_the_same_images_and_changes_nothing_else(loaded) -> None:
    for phase, seed, steps in (("screen", 0, 10), ("confirm", 1, 20)):
        study = loaded.load_phase(phase, loaded.select_all())
        assert {config.train.steps * config.train.batch_size for config in study.configs.values()} == {8 * steps}
        assert {config.seed for config in study.configs.values()} == {seed}
        assert {config.evaluate.split for config in study.configs.values()} == {"validation"}
        base, half = (get_training_settings(study.configs[name]) for name in ("base", "half"))
        expected = {
            "train.steps": 2 * steps, "train.batch_size": 4, "train.warmup_steps": 6, "train.log_every": 100,
            "train.ema_decay": pytest.approx(0.9),
        }  # fmt: skip
        assert {key: half[key] for key in base if base[key] != half[key]} == expected
        assert study.configs["half"].train.checkpoint_every == 2000
        chosen = study.configs["set"].train
        assert (chosen.steps, chosen.warmup_steps, chosen.ema_decay, chosen.log_every) == (steps // 2, 7, 0.5, 25)


def test_the_sum_takes_the_first_of_changes_that_exclude_each_other(loaded) -> None:
    assert loaded.list_summed(["fast", "half", "faster"]) == ["fast", "half"]
    assert loaded.list_summed(["faster", "fast"]) == ["faster"]
    total = loaded.load_phase("confirm", Selection(["faster", "fast", "half"], ["faster", "half"]))
    assert list(total.study.variants) == ["base", "faster", "fast", "half", "sum"]
    summed = total.configs["sum"].train
    assert (summed.learning_rate, summed.batch_size, summed.steps) == (0.2, 4, 40)
    for alone, summed, expected in (
        (["faster", "fast"], ["faster"], ["base", "faster", "fast"]),
        ([], ["fast", "half"], ["base", "sum"]),
    ):
        study = loaded.load_phase("confirm", Selection(alone, summed)).study
        assert list(study.variants) == expected


def test_a_value_and_a_schedule_of_a_setting_exclude_each_other() -> None:
    rates = {"value": 0.1, "schedule": {"start": 0.3, "end": 0}, "end": {"end": 0.1}, "shape": {"shape": "linear"}}
    changes = {name: {"train": {"learning_rate": rate}} for name, rate in rates.items()}
    loaded = load_ablation({**ABLATION, "changes": changes, "base": {"recipe": "digits/vaegan3"}})
    assert loaded.list_summed(["value", "schedule", "end"]) == ["value"]
    assert loaded.list_summed(["schedule", "value", "end"]) == ["schedule"]
    assert loaded.list_summed(["end", "shape", "value"]) == ["end", "shape"]


def test_a_change_that_includes_all_others_is_their_sum() -> None:
    wide, low, both = {"width": 16}, {"adversarial": {"r1": 0.1}}, {"width": 16, "adversarial": {"r1": 0.1}}
    models = {"wide": wide, "low": low, "both": both, "beta": {"beta": 2}}
    changes = {name: {"model": model} for name, model in models.items()}
    loaded = load_ablation({**ABLATION, "changes": changes, "base": {"recipe": "digits/vaegan3"}})
    assert loaded.list_summed(["wide", "low", "both"]) == loaded.list_summed(["both", "wide"]) == ["both"]
    assert loaded.list_summed(["wide", "low"]) == ["wide", "low"]
    assert loaded.select_all().summed == ["both", "beta"]
    selection = Selection(["wide", "both"], loaded.list_summed(["wide", "both"]))
    assert list(loaded.load_phase("confirm", selection).study.variants) == ["base", "wide", "both"]


@pytest.mark.parametrize(("every", "expected"), [(125, 50), (500, 250), (100, 50), (3, 2)])
def test_an_evaluation_after_the_last_step_remains_there(every: int, expected: int) -> None:
    tree = {**ABLATION, "base": {"recipe": "digits/vae"}, "changes": {"large": {"train": {"batch_size": 128}}}}
    study = load_ablation({**tree, "screen": {"steps": 500}}, [f"train.evaluate_every={every}"]).load_phase(
        "screen", Selection(["large"], [])
    )
    assert (study.configs["large"].train.steps, study.configs["large"].train.evaluate_every) == (250, expected)


@pytest.mark.parametrize(
    ("recipe", "overrides", "expected"),
    [
        ("digits/flow", [], {"train.steps": 40, "train.batch_size": 32}),
        (
            "digits/vqvae",
            [],
            {"model.codebook_decay": pytest.approx(0.99**0.5), "model.revive_below": 0.05, "train.steps": 40},
        ),
        (
            "digits/vaegan3",
            ["model.adversarial.warmup_steps=30", "model.beta_warmup_steps=5", "model.adversarial.ramp_steps=7"],
            {"model.adversarial.warmup_steps": 60, "model.adversarial.ramp_steps": 14, "model.beta_warmup_steps": 10},
        ),
    ],
)
def test_what_holds_for_a_step_is_scaled_and_nothing_else(recipe, overrides, expected) -> None:
    base = {"recipe": recipe, "set": {"prior": {"autoencoder": "a"}} if recipe == "digits/flow" else {}}
    if recipe == "digits/flow":
        base["set"]["model"] = {"autoencoder": load_config("digits/vae").model_dump(mode="json")["model"]}
    tree = {**ABLATION, "base": base, "changes": {"half": {"train": {"batch_size": 32}}}, "screen": {"steps": 20}}
    study = load_ablation(tree, overrides).load_phase("screen", HALF)
    one, half = (get_training_settings(study.configs[name]) for name in ("base", "half"))
    changed = {key: half[key] for key in one if one[key] != half[key]}
    assert changed.keys() >= expected.keys() and {key: changed[key] for key in expected} == expected
    assert "model.solver_steps" not in changed


def test_the_study_of_a_phase_is_one_that_compare_takes(write) -> None:
    Path("ablations").mkdir()
    write(RUN, "ablations/own.yaml")
    write(CLASSIFIER, "ablations/judge.yaml")
    loaded = load_ablation(write({**ABLATION, "features": "judge.yaml"}, "ablations/own-ablation.yaml"))
    study = loaded.load_phase("screen", HALF)
    assert study.classifier is not None and study.classifier[0] == "judge"
    again = load_study(study.study)
    assert again.configs == study.configs
    trained = loaded.load_phase("confirm", HALF, Path("screen/features/judge"))
    assert trained.classifier is None
    assert {config.evaluate.features for config in trained.configs.values()} == {
        str(Path("screen/features/judge").absolute())
    }
    differences = describe_differences(
        get_training_settings(load_config("ablations/own.yaml", {**ABLATION["base"]["set"], "train.steps": 20})),
        get_training_settings(trained.configs["base"]),
    )
    assert differences == "seed: 0 -> 1", "the base is the recipe with the ablation's settings"


def test_settings_of_the_command_line_are_those_of_the_base_or_of_the_ablation(loaded, write) -> None:
    changed = load_ablation(write(ABLATION), ["train.batch_size=16", "screen.steps=5", "model.width=16", "keep=1"])
    study = changed.load_phase("screen", Selection(["half", "fast"], ["half", "fast"]))
    assert changed.ablation.keep == 1 and {config.model.width for config in study.configs.values()} == {16}
    assert [config.train.steps for config in study.configs.values()] == [5, 20, 5, 20]


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("bas=1", "given.yaml: bas: unknown key (given 1); did you mean base?"),
        ("base.recipe=nope", "given.yaml: base.recipe: nope: neither a file nor a shipped recipe"),
        ("base.recipe=quickstart", "base.recipe: quickstart is a study; name a run's recipe"),
        (
            "base.recipe=digits/features",
            "given.yaml: base (digits/features): model.family=classifier: a study compares",
        ),
        ("base.set.train=3", "given.yaml: base.set.train: got 3; allowed: mapping"),
        ("base.recipe=ablations/digits", "base.recipe: ablations/digits is an ablation; name a run's recipe"),
        ("train.step=3", "given.yaml: base: train.step: unknown key (given 3); did you mean train.steps?"),
        ("train.steps=3", "base.set.train.steps: the budget is screen.steps and confirm.steps; leave it out"),
        ("evaluate.split=test", "base.set.evaluate.split: test: changes are chosen on validation; leave it out"),
        ("changes=null", "changes: got null; allowed: mapping"),
        ("changes.a={}", "changes.a: changes nothing; give settings, such as {train: {batch_size: 32}}"),
        ("changes.a.train.batch_size=8", "given.yaml: changes.a: changes nothing, as the base has these settings"),
        ("base.set.seed=7", "base.set.seed: the seeds are screen.seeds and confirm.seeds; leave it out"),
        ("changes.a.train.learning_rate=0.2", "changes.a: the same as changes.faster; leave one of them out"),
        ("changes.a=3", "changes.a: got 3; allowed: mapping"),
        ("changes.a.data.image_size=16", "changes.a.data: a change sets model or train; what holds for all variants"),
        ("changes.a.train.steps=3", "changes.a.train.steps: every variant sees as many images; leave it out"),
        ("changes.a.train.batch_size=3", "given.yaml: changes.a: train.batch_size=3 does not divide the 80 images of"),
        ("changes.a.train.batch_siz=3", "given.yaml: changes.a: train.batch_siz: unknown key (given 3); did you mean"),
        ("changes.a.model.widht=3", "given.yaml: changes.a: model.widht: unknown key"),
        ("changes.Sum.train.batch_size=4", "changes.Sum: the ablation has a variant of this name itself"),
        ("changes.HALF.train.batch_size=4", "another one differs only in case"),
        ("changes.wandb.train.batch_size=4", "changes.wandb: the study keeps something else under this name"),
        ("metric=", "metric=: empty; write a value"),
        ("keep=0", "keep: got 0; allowed: integer >= 1"),
        ("screen.steps=null", "screen.steps: got null; allowed: integer >= 1"),
        ("screen.seeds=[]", "screen.seeds: got []"),
        ("screen.seeds=[4,4]", "screen.seeds: 4 given twice; list each once"),
        ("confirm.seeds=[0,1]", "confirm.seeds: 0 is one of screen.seeds; confirm with other seeds"),
        ("features=nope", "given.yaml: features: nope: neither a config file nor a set with a recipe for this"),
    ],
)
def test_errors_in_an_ablation(override: str, expected: str, loaded, write) -> None:
    with pytest.raises(UserError) as caught:
        load_ablation(write(ABLATION), [override])
    assert expected in str(caught.value) and "\n" not in str(caught.value)


def test_each_command_names_the_one_for_the_file(loaded, write) -> None:
    for load, name, command in (
        (load_config, write(ABLATION), "ablate"), (load_study, write(ABLATION), "ablate"),
        (load_ablation, "own.yaml", "train"), (load_ablation, "quickstart", "compare"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=f"use `vaegan {command} {name}`"):
            load(name)
