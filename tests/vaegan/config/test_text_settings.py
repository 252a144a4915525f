"""Settings that are text: the characters behind ``=`` as they are, whatever they would mean in YAML."""

from pathlib import Path

import pytest

from vaegan.config import Config, StudyConfig, dump_config, load_config
from vaegan.config.describe_schema import get_schema_node, iterate_keys
from vaegan.config.load import parse_overrides
from vaegan.config.text_settings import find_text_setting

from .configs import RUN


@pytest.mark.parametrize(
    "text",
    ["D #2", "a: b", "[x", "{x}", "'quoted'", '"', " two  words ", "~", "true", "12", "2020-1-1", "!t", "Null"],
)
def test_a_path_and_a_name_take_the_characters_as_they_are(text: str) -> None:
    for key in ("data.root", "track.name", "evaluate.features", "prior.autoencoder", "title", "variants.a.recipe",
                "variants.a.set.data.root", "shared.track.name"):  # fmt: skip
        tree: object = parse_overrides([f"{key}={text}"])
        for name in key.split("."):
            assert isinstance(tree, dict)
            tree = tree[name]
        assert tree == text


def test_null_unsets_what_may_be_left_out_and_is_a_word_elsewhere(write) -> None:
    overrides = ["data.source=folder", "data.root=./null", "track.name=null", "track.project=null"]
    config = load_config(write(RUN), overrides)
    assert config.data.root == Path("null").absolute()
    assert config.track.name is None and config.track.project == "null"


def test_other_settings_stay_yaml() -> None:
    words = ["track.tags=[a, '2']", "train.steps=1_000", "train.nan=skip", "model.x.y='5'", "seeds=[0, 1]"]
    assert parse_overrides(words) == {
        "track": {"tags": ["a", "2"]}, "train": {"steps": 1000, "nan": "skip"}, "model": {"x": {"y": "5"}},
        "seeds": [0, 1],
    }  # fmt: skip


def test_the_text_settings_are_these() -> None:
    keys = {key for schema in (Config, StudyConfig) for key, _ in iterate_keys(get_schema_node(schema))}
    assert {key for key in keys if find_text_setting(key) is not None and not key.startswith("networks.")} == {
        "data.root", "data.sha256", "data.hub", "data.image_column", "data.label_column", "evaluate.features",
        "evaluate.density", "train.init", "train.ema_metric", "train.discriminator_features",
        "train.discriminator_features_sha256",
        "track.project", "track.entity", "track.name", "track.group",
        "prior.autoencoder", "title", "features", "variants.NAME.recipe", "variants.NAME.model",
        "variants.NAME.prior",
    }  # fmt: skip


def test_a_path_that_is_not_utf_8_survives_the_file_of_its_run(write) -> None:
    config = load_config(write(RUN), ["data.source=folder", "data.root=/photos/caf\udce9", "track.name=\udcff"])
    assert str(config.data.root) == "/photos/caf\udce9"
    assert load_config(write(dump_config(config))) == config
