"""Loading of a config: a YAML file and ``key.sub=value`` overrides, checked against the schema."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from pydantic import BaseModel, ValidationError

from vaegan.errors import UserError
from vaegan.io import read_bytes
from vaegan.paths import expand_path
from vaegan.text import format_value, has_undecodable_bytes, shorten, to_one_line

from .codebooks import TrainedPriorConfig
from .data import DataConfig
from .explain_error import explain_error, is_of_other_choice
from .models import CLASSES_BY_TAG, choose_model
from .recipes import find_config
from .schema import Config
from .text_settings import find_text_setting, read_text
from .yaml_text import dump_yaml, parse_yaml

SectionT = TypeVar("SectionT", bound=BaseModel)
Tree = dict[str, Any]
"""Nested settings, as YAML gives them."""
Settings: TypeAlias = Sequence[str] | Mapping[str, Any]
"""Settings as words ``key.sub=value``, or in Python: ``{"train.steps": 10}`` or ``{"train": {"steps": 10}}``."""

MAX_CONFIG_BYTES = 2**18
"""Largest size of a config file."""


def read_yaml(path: Path) -> Tree:
    """Read the mapping in a YAML file, without running any code from it.

    Raises:
        UserError: The file cannot be read, is not YAML or not a mapping, or repeats a key.
    """
    try:
        tree = parse_yaml(read_bytes(path, MAX_CONFIG_BYTES))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    if not isinstance(tree, dict):
        raise UserError(f"{path}: expected sections such as `model:` and `train:`, not {format_value(tree)}")
    return tree


def parse_overrides(words: Sequence[str]) -> Tree:
    """Parse ``["train.steps=10", "data.root=a b"]`` into nested settings: text as it is, other values as YAML.

    Raises:
        UserError: A word is not ``key.sub=value``, or its value is not YAML or an empty text.
    """
    tree: Tree = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not re.fullmatch(r"[\w-]+(\.[\w-]+){0,9}", key):
            raise UserError(f"{shorten(word)}: not a setting; write key.sub=value, for example train.steps=1000")
        try:
            value = parse_yaml(text) if (setting := find_text_setting(key)) is None else read_text(setting, text)
        except UserError as error:
            raise UserError(f"{shorten(word)}: {error}") from None
        tree = merge(tree, nest_settings({key: value}))
    return tree


def nest_settings(settings: Mapping[str, Any]) -> Tree:
    """Return settings as nested ones: ``{"train.steps": 10}`` becomes ``{"train": {"steps": 10}}``.

    Raises:
        UserError: They are no mapping, or a key is not text.
    """
    if not isinstance(settings, Mapping):
        raise UserError(f"settings: a {type(settings).__name__}; give a mapping, such as {{'train.steps': 500}}")
    tree: Tree = {}
    for key, value in settings.items():
        if not isinstance(key, str):
            raise UserError(f"{format_value(key)}: not the name of a setting; write it as text, such as 'train.steps'")
        nested = _dump_settings(value) if isinstance(value, BaseModel) else value
        for part in reversed(key.split(".")):
            nested = {part: nested}
        tree = merge(tree, nested)
    return tree


def merge(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> Tree:
    """Merge nested settings, mapping by mapping; ``overrides`` wins."""
    merged = dict(base)
    for key, value in overrides.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(value, Mapping) and isinstance(old, Mapping) else value
    return merged


def validate_config(schema: type[SectionT], tree: Tree, source: str) -> SectionT:
    """Return the typed config of nested settings.

    Args:
        schema: Class of the config.
        tree: Its settings.
        source: File, recipe or option that they come from, for messages.

    Raises:
        UserError: A setting is wrong; one line names ``source``, the key, the given and the allowed values, and on a
            typo the nearest key.
    """
    try:
        text = json.dumps(tree, default=_to_plain)
        if has_undecodable_bytes(json.dumps(plain := json.loads(text), ensure_ascii=False)):  # no JSON to pydantic
            return schema.model_validate(plain)
        # In JSON, strict mode accepts lists as tuples and text as paths, but still not "5" or true as a number.
        return schema.model_validate_json(text)
    except TypeError as error:
        raise UserError(f"{source}: {to_one_line(error)}") from None
    except ValidationError as error:
        errors = error.errors()
        first, *others = [each for each in errors if not is_of_other_choice(each)] or errors
        more = f" (and {len(others)} more)" if others else ""
        raise UserError(f"{source}: {explain_error(schema, first)}{more}") from None


def load_config(
    config: str | Path | Mapping[str, Any] | Config, overrides: Settings = (), folder: Path | None = None
) -> Config:
    """Load the config of a run.

    Args:
        config: Path of a file, name of a shipped recipe, settings in Python, or a config.
        overrides: Settings that replace those of the config.
        folder: Folder where the file is searched last; None: no folder.

    Raises:
        UserError: There is no such file, it is a study, or the file, an override or a setting is wrong.
    """
    tree, source = read_settings(config, folder)
    if "variants" in tree:
        raise UserError(f"{source}: this is a study of several runs; use `vaegan compare {source}`")
    if "changes" in tree:
        raise UserError(f"{source}: this is an ablation of several runs; use `vaegan ablate {source}`")
    return validate_config(Config, add_configs_of_runs(merge(tree, read_overrides(overrides))), source)


def read_settings(config: str | Path | Mapping[str, Any] | BaseModel, folder: Path | None = None) -> tuple[Tree, str]:
    """Return the nested settings of a config, and the name of what they come from, for messages.

    Args:
        config: Path of a file, name of a shipped recipe, settings in Python, or a config.
        folder: Folder where the file is searched last; None: no folder.

    Raises:
        UserError: There is no such file, or it cannot be read.
    """
    if isinstance(config, BaseModel):
        return _dump_settings(config), type(config).__name__
    if isinstance(config, Mapping):
        return nest_settings(config), "config"
    return read_yaml(find_config(str(config), folder)), str(config)


def read_overrides(overrides: Settings) -> Tree:
    """Return overrides as nested settings.

    Raises:
        UserError: A word is not ``key.sub=value``, its value is not YAML, or a key is not text.
    """
    return nest_settings(overrides) if isinstance(overrides, Mapping) else parse_overrides(overrides)


def override_evaluation(config: Config, overrides: Mapping[str, object], source: str) -> Config:
    """Return a config with other settings in its `evaluate` section; ``overrides`` that are None change nothing.

    Raises:
        UserError: An override is wrong; the message starts with ``source``, from which it comes.
    """
    tree = config.model_dump(mode="json")
    tree["evaluate"] |= {key: value for key, value in overrides.items() if value is not None}
    return validate_config(Config, tree, source)


def add_configs_of_runs(tree: Tree) -> Tree:
    """Fill `model.autoencoder` of a prior, and `model.discriminator.classifier`, from the runs that are named.

    Raises:
        UserError: `prior.autoencoder` or `train.discriminator_features` is no run folder, or that of another family.
    """
    return _add_classifier_config(_add_autoencoder_config(tree))


def _add_autoencoder_config(tree: Tree) -> Tree:
    """Fill `model.autoencoder` of a prior from the autoencoder's run folder; return other settings unchanged.

    Raises:
        UserError: `prior.autoencoder` is not a run folder, or that of a family whose codes the prior is not for.
    """
    model, prior = (section if isinstance(section := tree.get(key), dict) else {} for key in ("model", "prior"))
    run = prior.get("autoencoder")
    kind = CLASSES_BY_TAG.get(str(choose_model(model)))
    if kind is None or not issubclass(kind, TrainedPriorConfig):
        return tree
    if model.get("autoencoder") or not isinstance(run, str | os.PathLike):
        return tree
    remedy = f"name that of the finished {kind.autoencoder_name}"
    file, autoencoder, family = _read_model_of_run("prior.autoencoder", run, remedy)
    if family not in kind.autoencoder_families:
        families = " | ".join(kind.autoencoder_families)
        raise UserError(
            f"prior.autoencoder: {shorten(file)}: model.family is {format_value(family)}; name the run of"
            f" {'an' if families.startswith('a') else 'a'} {families}"
        )
    return merge(tree, {"model": {"autoencoder": autoencoder}})


def _add_classifier_config(tree: Tree) -> Tree:
    """Fill `model.discriminator.classifier` from the run of the classifier; return other settings unchanged."""
    model, train = (section if isinstance(section := tree.get(key), dict) else {} for key in ("model", "train"))
    discriminator, run = model.get("discriminator"), train.get("discriminator_features")
    if not isinstance(discriminator, dict) or discriminator.get("classifier") or not isinstance(run, str | os.PathLike):
        return tree
    key, remedy = "train.discriminator_features", "name that of a `vaegan train-features`"
    if_gone = (
        f"{remedy}, or go on with a run that has its weights by `vaegan train RUN/config.yaml --output RUN --resume`"
    )
    file, classifier, family = _read_model_of_run(key, run, if_gone)
    if family != "classifier":
        problem = f"{shorten(file)}: model.family is {format_value(family)}, not classifier"
        raise UserError(f"{key}: {problem}; {remedy}")
    return merge(tree, {"model": {"discriminator": {"classifier": classifier}}})


def _read_model_of_run(key: str, run: str | os.PathLike[str], remedy: str) -> tuple[Path, Any, Any]:
    """Return the config file of a run that a setting names, its `model` section, and the family there.

    Args:
        key: The setting.
        run: Its value.
        remedy: Advice if it is no run.

    Raises:
        UserError: It has no `config.yaml`, or that cannot be read.
    """
    file = expand_path(key, run) / "config.yaml"
    if not file.is_file():
        raise UserError(f"{key}: {shorten(run)}: not a run folder (it has no config.yaml); {remedy}")
    model = read_yaml(file).get("model")
    return file, model, model.get("family") if isinstance(model, Mapping) else None


def dump_config(config: BaseModel) -> str:
    """Return the config as YAML with every default filled in; loading it gives an equal config."""
    return dump_yaml(config.model_dump(mode="json"))


def _dump_settings(config: BaseModel) -> Tree:
    """Return a config or a section as nested settings, without a `data.version` that nobody chose."""
    tree = config.model_dump(mode="json")
    data, settings = (config.data, tree["data"]) if isinstance(config, Config) else (config, tree)
    if isinstance(data, DataConfig) and "version" not in data.model_fields_set:
        del settings["version"]
    return tree


def _to_plain(value: object) -> Any:
    """Return a value of Python data as JSON knows it: sections as mappings, paths as text, NumPy numbers as Python's.

    Raises:
        TypeError: JSON has no such value.
    """
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{format_value(value)}: a setting is a number, text, true or false, None, a list or a mapping")
