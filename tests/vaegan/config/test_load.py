"""Configs: what is read, what is refused and in which words."""

import json
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from vaegan.config import Config, dump_config, list_recipes, load_config, load_study
from vaegan.config.describe import format_schema, get_schema_node, iterate_keys
from vaegan.config.differences import describe_differences, get_training_settings
from vaegan.config.load import parse_overrides, read_tree, validate_config
from vaegan.config.models import ClassifierConfig, PixelCNNConfig
from vaegan.config.study_schema import StudyConfig
from vaegan.errors import UserError
from vaegan.trainers.dry_run import estimate_size

FAMILIES = "ae | vae | vqvae | pixelcnn | vaegan | larsen | ganvae | classifier"
RUN = {
    "model": {"family": "vae", "network": "mlp", "width": 8, "latent_size": 2},
    "data": {"source": "digits", "image_size": 8, "channels": 1},
    "train": {"steps": 3, "batch_size": 8},
}
VAEGAN = {**RUN, "model": {**RUN["model"], "family": "vaegan"}}
CLASSIFIER = {**RUN, "model": {"family": "classifier", "width": 8, "classes": 10}}


def refusal(name: str, *overrides: str) -> str:
    """The one line with which a config is refused."""
    with pytest.raises(UserError) as caught:
        load_config(name, overrides)
    message = str(caught.value)
    assert len(message.splitlines()) == 1 and len(message) < 700
    return message


@pytest.mark.parametrize("name", list_recipes())
def test_shipped_recipes_load_and_can_be_built(name):
    first = list_recipes()[name].read_text().splitlines()[0]
    assert first.startswith("# ") and "TODO" not in first
    overrides = ["data.root=somewhere"] if name.startswith("folder") else []
    if name.endswith("/pixelcnn"):
        set_, _ = name.split("/")
        own = load_config(f"{set_}/vqvae", overrides).model_dump(mode="json")["model"]
        overrides += [f"model.autoencoder={json.dumps(own)}", "prior.autoencoder=runs/vqvae"]
    if "variants" in read_tree(list_recipes()[name]):
        _, configs = load_study(name, overrides)
    else:
        configs = {name: load_config(name, overrides)}
    for config in configs.values():
        planned = estimate_size(config).parameters
        without = isinstance(config.model, ClassifierConfig | PixelCNNConfig)
        assert min(planned.values()) > 0 and ("decoder" in planned) != without


@pytest.mark.parametrize("tree", [RUN, VAEGAN, CLASSIFIER, {**RUN, "model": {"family": "ae"}}])
def test_what_is_printed_reads_back_to_the_same_config(tree, write):
    config = load_config(write(tree))
    assert load_config(write(dump_config(config), "again.yaml")) == config


@given(
    name=st.text(st.characters(codec="utf-8"), max_size=12)
    | st.from_regex(r"[-+.0-9e_:xnultrufaso~]{1,8}", fullmatch=True),
    rate=st.floats(min_value=1e-300, max_value=1e300),
    seed=st.integers(0, 2**63 - 1),
)
@example(name="\x85", rate=1.0, seed=0)
@example(name="1e3", rate=1e-5, seed=2**63 - 1)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_round_trip_keeps_odd_names_and_numbers(name, rate, seed, write):
    tree = {**RUN, "seed": seed, "track": {"name": name}, "train": {"steps": 1, "learning_rate": rate}}
    config = validate_config(Config, tree, "given")
    assert config.track.name == name
    assert load_config(write(dump_config(config))) == config


def test_overrides_go_on_top(write):
    config = load_config(write(VAEGAN), ["train.steps=7", "model.adversarial.r1=0.5", "track={tags: [a, 2024]}"])
    assert (config.train.steps, config.train.batch_size) == (7, 8)
    assert config.model.adversarial.r1 == 0.5 and config.model.adversarial.penalty_every == 4
    assert config.track.tags == ("a", "2024")


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-3", 1e-3), ("1e3", 1e3), ("null", None), ("", None), ("true", True), ("1_000", 1000), ("[1, .5]", [1, 0.5]),
     ("on", "on"), ("1:30", "1:30"), ("2020-01-01", "2020-01-01"), ("010", "010"), ("'5'", "5"), ("-2", -2)],
)  # fmt: skip
def test_words_are_read_as_yaml_1_2(text, value):
    assert parse_overrides([f"a.b={text}"]) == {"a": {"b": value}}


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("train.step=3", "train.step: unknown key (given 3); did you mean train.steps?; allowed: steps, batch_size,"),
        ("trian.steps=3", 'trian: unknown key (given {"steps": 3}); did you mean train?; allowed: seed, model, data,'),
        ("steps=3", "steps: unknown key (given 3); did you mean train.steps?"),
        ("train.wandb=offline", 'train.wandb: unknown key (given "offline"); did you mean track.wandb?'),
        ("model.classes=two", "model.classes: unknown key of family vae"),
        ("model.discriminator.classes=two", "model.discriminator: unknown key of family vae"),
        ("model={family: vae, likelihood: bernoulli, learned_scale: true}", "model.learned_scale: bernoulli has"),
        ("model.family=vee", f'model.family: got "vee"; did you mean vae?; allowed: {FAMILIES}'),
        ("model.family=[1]", f"model.family: got [1]; allowed: {FAMILIES}"),
        ("model=null", f"model: got null; allowed: mapping with `family: {FAMILIES}`"),
        ("model={}", None),
        ("data=3", "data: got 3; allowed: mapping of source, root,"),
        ("data.image_size=12", "data.image_size: got 12; allowed: integer >= 8, <= 256, multiple of 8"),
        ("data.source=digit", 'data.source: got "digit"; did you mean digits?; allowed: digits | photos |'),
        ("data.channels='3'", 'data.channels: got "3"; did you mean 3?; allowed: 1 | 3'),
        ("data.source=folder", "data.root: missing"),
        ("data.count=10", "data.count: only photos and shapes"),
        ("data.validation=0.9", "data.validation: with data.test it leaves no image"),
        ("data.strict=1", "data.strict: got 1; allowed: true | false"),
        ('data.root="a\\0b"', "data.root: a path cannot hold a null character"),
        ("evaluate.metrics=[psn]", 'evaluate.metrics.0: got "psn"; did you mean psnr?; allowed: psnr | ssim |'),
        ("evaluate.metrics=[]", "evaluate.metrics: got []"),
        ("evaluate.density=gmn", 'evaluate.density: got "gmn"; allowed: gaussian | gmm | gmm:K, of K components'),
        ("evaluate.density=gmm:0", 'evaluate.density: got "gmm:0"; allowed: gaussian | gmm | gmm:K, of K components'),
        ("evaluate.density=3", "evaluate.density: got 3; allowed: text | null"),
        ("evaluate.density=gmm:20", None),
        ("seed=-1", "seed: got -1; allowed: integer >= 0"),
        ("seed=true", "seed: got true; allowed: integer"),
        ("seed=" + "9" * 30, "seed: got " + "9" * 30),
        ("seed=" + "9" * 5000, "Exceeds the limit"),
        ("train.steps='5'", 'train.steps: got "5"; allowed: integer'),
        ("train.steps=2.0", "train.steps: got 2.0; allowed: integer"),
        ("train.steps=100000000", "train.steps: got 100000000; allowed: integer >= 1, < 100,000,000"),
        ("train.steps.x=3", 'train.steps: got {"x": 3}; allowed: integer'),
        ("train.learning_rate=.inf", "train.learning_rate: got Infinity; allowed: number > 0"),
        ("train.learning_rate=.nan", "train.learning_rate: got NaN; allowed: number > 0"),
        ("train.betas=[0.9]", "train.betas.1: missing; allowed: number >= 0, < 1"),
        ("train.micro_batch_size=3", "train.micro_batch_size: 3 does not divide train.batch_size=8"),
        ("train={steps: 1, evaluate_every: 1}", None),
        ("track.name=true", "track.name: got true; allowed: text | null"),
        ("track={name: a, name: b}", "name: given twice"),
        ("track.name=!!python/name:os.system", "only plain values are read"),
        ("track.name=!!binary aGk=", "only plain values are read"),
        ("track.tags=!!set {a}", "only plain values are read"),
        ("seed=!!bool x", "not YAML"),
        ("seed=!!int ''", "not YAML"),
        ("track.name=[", "not YAML"),
        ("track.name=\0", "not YAML"),
        ("seed=" + "[" * 5000, "not YAML"),
        ("seed=" + "[" * 300 + "]" * 300, "not plain settings"),
        ("train", "train: not a setting; write key.sub=value"),
        ("train..steps=3", "not a setting"),
        ("=3", "not a setting"),
        ("a\nb=3", "not a setting"),
        ("x\udcff=3", "not a setting"),
        (".".join("abcdefghijkl") + "=3", "not a setting"),
        ("y" * 3000 + "=3", "unknown key"),
        ("data.source=" + "y" * 3000, "allowed: digits"),
    ],
)  # fmt: skip
def test_a_mistake_names_key_value_and_what_is_allowed(override, expected, write):
    name = write(RUN)
    if expected is None:
        assert load_config(name, [override])
    else:
        assert expected in refusal(name, override)


def test_two_settings_that_cannot_go_together(write):
    message = refusal(write(RUN), "data.validation=0", "train.evaluate_every=2")
    assert "data.validation" in message and "train.evaluate_every" in message


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (bytes(range(256)), "not YAML"),
        ("a: \0", "not YAML"),
        ("- 1\n- 2\n", "expected sections such as `model:` and `train:`, not [1, 2]"),
        ("", "expected sections"),
        ("train: {steps: 1,\n  steps: 2}", "steps: given twice (the second time on line 2)"),
        ("seed: 1\nseed: 1", "seed: given twice (the second time on line 2)"),
        ("? [1, 2]\n: 3", "a key must be a word (line 1)"),
        ("model: {1: 2, family: vae}", "model.1: unknown key of family vae (given 2)"),
        ("a: 1\n---\nb: 2", "not YAML"),
        ("a: &a [*a]", "*a: aliases are not read; write the value out (line 1)"),
        ("a: &a {x: 1}\nb: {<<: *a}", "aliases are not read"),
        ("a: &a [x,x]\nb: &b [*a,*a]\n", "aliases are not read"),
        ("model: !!python/object/apply:os.system ['touch pwned']", "only plain values are read (line 1)"),
        ("model: {family: vae}", "data: missing; allowed: mapping of source,"),
        ("model: {width: 8}\ndata: {}\ntrain: {}", f"model.family: missing; allowed: {FAMILIES}"),
        ("#" * 300_000, "File too large: more than 262,144 bytes"),
        ("seed: !!int 0x" + "f" * 5000, "not YAML: invalid literal"),
        ("!!merge x: {seed: 1}", "a key must be a word (line 1)"),
    ],
)
def test_files_that_are_no_config(content, expected, write):
    name = write(content)
    assert refusal(name).startswith(f"{name}: ") and expected in refusal(name)
    assert not Path("pwned").exists()


def test_names_that_lead_nowhere(write):
    Path("folder.yaml").mkdir()
    assert "a folder, not a config file" in refusal("folder.yaml")
    assert "neither a file nor a shipped recipe; did you mean digits/vae?" in refusal("digits/vea")
    assert "use `vaegan compare quickstart`" in refusal("quickstart")
    for name in ("nope", "", "\0", "a\nb"):
        refusal(name)
    with pytest.raises(UserError, match=r"use `vaegan train given\.yaml`"):
        load_study(write(RUN))


def test_a_study_finds_its_recipes_beside_itself_too(write):
    Path("studies").mkdir()
    write(RUN, "studies/own.yaml")
    study = {
        "title": "T",
        "variants": {"own": {"recipe": "own.yaml"}, "shipped": {"recipe": "digits/vae"}},
        "seeds": [3, 4],
    }
    described, configs = load_study(write(study, "studies/study.yaml"), ["train.steps=9", "title=New"])
    assert described.title == "New" and described.shared == {"train": {"steps": 9}}
    assert {name: (config.seed, config.train.steps) for name, config in configs.items()} == {
        "own": (3, 9),
        "shipped": (3, 9),
    }
    write({**RUN, "train": {"steps": 1, "batch_size": 5}}, "own.yaml")
    assert load_study("studies/study.yaml")[1]["own"].train.batch_size == 5, "a path is first of all a path"


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("seed=3", "seed: unknown key (given 3); did you mean seeds?"),
        ("seeds=[]", "seeds: got []"),
        ("shared=3", "shared: got 3; allowed: mapping"),
        ("variants=null", "variants: got null"),
        ("variants.own=null", "variants.own: got null; allowed: mapping of recipe, set"),
        ("variants.own.recip=x", "did you mean variants.own.recipe?"),
        ("variants.own.recipe=digits/vea", "did you mean digits/vae?"),
        ("variants.own.set.train.step=1", "given.yaml: variants.own (own.yaml): train.step: unknown key"),
        ("variants.own.recipe=digits/features", "variants.own (digits/features): model.family=classifier: a study"),
        ("variants.own.recipe=nope", "given.yaml: variants.own.recipe: nope: neither a file"),
        (
            "references=[own]",
            "references: got own; allowed, since a variant must come after it: none, since there is one",
        ),
        ("references=[own,own]", "references: own given twice"),
        ("variants={'a/b': {recipe: own.yaml}}", None),
        ("variants={..: {recipe: own.yaml}}", "its name becomes a folder"),
    ],
)
def test_mistakes_in_a_study(override, expected, write):
    write(RUN, "own.yaml")
    name = write({"title": "T", "variants": {"own": {"recipe": "own.yaml"}}})
    with pytest.raises(UserError) as caught:
        load_study(name, [override])
    assert (expected or "variants.a/b: its name becomes a folder") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_differences_name_the_settings_that_training_depends_on(write):
    before = get_training_settings(load_config(write(RUN)))
    changed = ["model.beta=2", "train.clip_norm=1", "evaluate.metrics=[psnr]", "track.name=x", "data.workers=1"]
    now = get_training_settings(load_config("given.yaml", changed))
    assert describe_differences(before, before) == ""
    assert describe_differences(before, now) == "model.beta: 1.0 -> 2.0; train.clip_norm: null -> 1.0"
    other = get_training_settings(load_config(write(VAEGAN, "other.yaml")))
    assert 'model.family: "vae" -> "vaegan"; model.discriminator.network: absent -> "conv"' in describe_differences(
        before, other
    )
    assert describe_differences(before, other).endswith("more")


def test_the_printed_schema_has_every_setting_and_fits_a_terminal():
    text = format_schema()
    assert max(map(len, text.splitlines())) <= 80
    everything = [*iterate_keys(get_schema_node(Config)), *iterate_keys(get_schema_node(StudyConfig))]
    assert len(everything) > 60
    for key, below in everything:
        assert re.search(rf"^ *{re.escape(key)}[:,]", text, re.MULTILINE), key
        assert below.get("description") or "families" in below, f"{key} has no docstring"
    assert "model.discriminator_learning_rate" not in text
    assert re.search(r"train\.discriminator_learning_rate: number > 0 \| null = null\n", text)


def test_recipes_are_found_from_any_folder(write):
    assert {"quickstart", "digits/vae", "digits/vaegan3"} <= list_recipes().keys()
    shutil.copy(list_recipes()["digits/vae"], "mine.yaml")
    assert load_config("mine.yaml") == load_config("digits/vae")
