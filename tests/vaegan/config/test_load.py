"""Loading of configs: files, overrides, recipes, and the way back to YAML."""

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from vaegan.config import Config, dump_config, list_recipes, load_config, load_study
from vaegan.config.classifier import ClassifierConfig
from vaegan.config.codebooks import TrainedPriorConfig
from vaegan.config.load import parse_overrides, read_yaml, validate_config
from vaegan.config.load_ablation import load_ablation
from vaegan.errors import UserError
from vaegan.trainers.dry_run import estimate_size

from .configs import CLASSIFIER, FAMILIES, RUN, VAEGAN, get_refusal


@pytest.mark.parametrize("name", list_recipes())
def test_shipped_recipes_load_and_can_be_built(name):
    first = list_recipes()[name].read_text().splitlines()[0]
    assert first.startswith("# ") and "TODO" not in first
    overrides = ["data.root=somewhere"] if name.startswith("folder") else []
    image_set, _, kind = name.partition("/")
    if (codec := {"pixelcnn": "vqvae", "flow": "ae"}.get(kind)) is not None:
        model = load_config(f"{image_set}/{codec}", overrides).model_dump(mode="json")["model"]
        overrides += [f"model.autoencoder={json.dumps(model)}", f"prior.autoencoder=runs/{codec}"]
    if "variants" in (tree := read_yaml(list_recipes()[name])):
        configs = load_study(name, overrides).configs
    elif "changes" in tree:
        ablation = load_ablation(name, overrides)
        configs = ablation.load_phase("screen", ablation.select_all()).configs
    else:
        configs = {name: load_config(name, overrides)}
    for config in configs.values():
        parameters = estimate_size(config).parameters
        no_decoder = isinstance(config.model, ClassifierConfig | TrainedPriorConfig)
        assert min(parameters.values()) > 0 and ("decoder" in parameters) != no_decoder


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
    assert get_refusal(name).startswith(f"{name}: ") and expected in get_refusal(name)
    assert not Path("pwned").exists()


def test_names_that_lead_nowhere(write):
    Path("folder.yaml").mkdir()
    assert "a folder, not a config file" in get_refusal("folder.yaml")
    assert "neither a file nor a shipped recipe; did you mean digits/vae?" in get_refusal("digits/vea")
    assert "use `vaegan compare quickstart`" in get_refusal("quickstart")
    for name in ("nope", "", "\0", "a\nb"):
        get_refusal(name)
    with pytest.raises(UserError, match=r"use `vaegan train given\.yaml`"):
        load_study(write(RUN))


def test_recipes_are_found_from_any_folder(write):
    assert {"quickstart", "digits/vae", "digits/vaegan3"} <= list_recipes().keys()
    shutil.copy(list_recipes()["digits/vae"], "mine.yaml")
    assert load_config("mine.yaml") == load_config("digits/vae")


@pytest.mark.parametrize(
    ("recipe", "overrides"),
    [
        ("cifar10/vae", ["data.source=folder", "data.root=somewhere", "data.strict=true"]),
        ("cifar10/vae", ["data.source=celeba", "data.root=somewhere", "data.download=true"]),
        ("folder64/vae", ["data.source=digits", "data.root=null"]),
        *((name, ["data.source=shapes", "data.root=null"]) for name in list_recipes() if "/kl" in name),
    ],
)
def test_a_recipe_may_be_given_another_source(recipe: str, overrides: list[str]) -> None:
    assert f"data.source={load_config(recipe, overrides).data.source}" == overrides[0]
