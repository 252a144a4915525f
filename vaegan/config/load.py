"""From a YAML file and ``key.sub=value`` words to a checked config, or to one line that says what is wrong."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from vaegan.errors import UserError
from vaegan.io import read_bytes
from vaegan.text import format_value, to_one_line, to_short_word

from .explain import explain, suggest_nearest
from .schema import Config

Loaded = TypeVar("Loaded", bound=BaseModel)
Tree = dict[str, Any]

SWEEPS_FOLDER = "sweeps"
"""The folder beside the recipes with files that are W&B's."""
MAX_CONFIG_BYTES = 2**18
"""Bytes of a config."""
FLOAT = re.compile(r"[-+]?((\.\d+|\d+\.\d*)(e[-+]?\d+)?|\d+e[-+]?\d+|\.inf)$|\.nan$", re.ASCII | re.IGNORECASE)
"""As in YAML 1.2: PyYAML, which follows 1.1, takes 1e-4 for a word."""
PLAIN = {
    "null": re.compile(r"(~|null|)$", re.IGNORECASE),
    "bool": re.compile(r"(true|false)$", re.IGNORECASE),
    "int": re.compile(r"[-+]?(0|[1-9][0-9_]*)$"),
    "float": FLOAT,
}
"""What an unquoted word may be beside text: no dates, no `on` and `off`, no base 60."""


class _Loader(yaml.SafeLoader):
    """Plain data only, no key twice, and no aliases, which a short file could make endless."""

    yaml_implicit_resolvers = {None: [(f"tag:yaml.org,2002:{kind}", pattern) for kind, pattern in PLAIN.items()]}  # noqa: RUF012

    yaml_constructors = {  # noqa: RUF012
        tag: function
        for tag, function in yaml.SafeLoader.yaml_constructors.items()
        if tag is None or tag.rpartition(":")[2] in ("str", "seq", "map", *PLAIN)
    }

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise UserError(f"*{event.anchor}: aliases are not read; write the value out ({_line(event)})")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag.endswith((":merge", ":value")):
                raise UserError(f"a key must be a word ({_line(key)})")
            if key.value in seen:
                raise UserError(f"{to_short_word(key.value)}: given twice (the second time on {_line(key)})")
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _integer(loader: _Loader, node: yaml.ScalarNode) -> int:
    """Decimal: PyYAML's own also takes base 60, and hexadecimal numbers longer than Python will print."""
    return int(loader.construct_scalar(node))


_Loader.add_constructor("tag:yaml.org,2002:int", _integer)


class _Dumper(yaml.SafeDumper):
    """Puts in quotes what `_Loader` would take for a number, and line breaks of every kind, which PyYAML would fold."""

    def represent_str(self, text: str) -> yaml.ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=None if text.isprintable() else '"')


_Dumper.add_representer(str, _Dumper.represent_str)
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", FLOAT, None)


def list_recipes() -> dict[str, Path]:
    """Name (``digits/vae``) and file of every shipped recipe, in alphabetical order."""
    root = Path(__file__).parents[1] / "configs"
    files = {path.relative_to(root).with_suffix("").as_posix(): path for path in root.rglob("*.yaml")}
    return {name: path for name, path in sorted(files.items()) if path.parent != root / SWEEPS_FOLDER}


def find_config(name: str, beside: Path | None = None) -> Path:
    """The config file at a path, the shipped recipe of that name, or the file of that name in a folder.

    Args:
        name: Path or recipe.
        beside: The folder where a file is looked for last; None: nowhere else.

    Raises:
        UserError: There is none.
    """
    shipped = list_recipes()
    for path in (Path(name), shipped.get(name), beside and beside / name):
        if path and "\0" not in name and path.is_file():
            return path
    what = (
        "a folder, not a config file"
        if "\0" not in name and Path(name).is_dir()
        else "neither a file nor a shipped recipe"
    )
    raise UserError(
        f"{to_short_word(name)}: {what}{suggest_nearest(name, shipped)}; `vaegan configs` lists the recipes"
    )


def read_tree(path: Path) -> Tree:
    """The mapping in a YAML file, read without running anything.

    Raises:
        UserError: The file is not YAML, or not a mapping, or has a key twice.
    """
    try:
        tree = _parse(read_bytes(path, MAX_CONFIG_BYTES))
    except UserError as mistake:
        raise UserError(f"{path}: {mistake}") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    if not isinstance(tree, dict):
        raise UserError(f"{path}: expected sections such as `model:` and `train:`, not {format_value(tree)}")
    return tree


def parse_overrides(words: Sequence[str]) -> Tree:
    """``["train.steps=10", "model.beta=2"]`` as a nested mapping; values are read as YAML.

    Raises:
        UserError: A word is not ``key.sub=value``.
    """
    tree: Tree = {}
    for setting in words:
        key, equals, text = setting.partition("=")
        if not equals or not re.fullmatch(r"[\w-]+(\.[\w-]+){0,9}", key):
            raise UserError(
                f"{to_short_word(setting)}: not a setting; write key.sub=value, for example train.steps=1000"
            )
        try:
            value = _parse(text)
        except UserError as mistake:
            raise UserError(f"{to_short_word(setting)}: {mistake}") from None
        for part in reversed(key.split(".")):
            value = {part: value}
        tree = merge(tree, value)
    return tree


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> Tree:
    """``base`` with the settings of ``over`` laid on top, mapping by mapping."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = merge(below, value) if isinstance(value, Mapping) and isinstance(below, Mapping) else value
    return merged


def validate_config(schema: type[Loaded], tree: Tree, where: str) -> Loaded:
    """The typed config of a mapping.

    Raises:
        UserError: One line: ``where``, the key, what was given, what is allowed, the nearest key on a typo.
    """
    try:
        # From JSON a strict schema takes lists for tuples and text for paths, and still not "5" or true for a number.
        return schema.model_validate_json(json.dumps(tree))
    except ValidationError as error:
        first, *others = error.errors()
        more = f" (and {len(others)} more)" if others else ""
        raise UserError(f"{where}: {explain(schema, first)}{more}") from None


def load_config(name: str | Path, overrides: Sequence[str] = (), beside: Path | None = None) -> Config:
    """The config of a file or shipped recipe, with ``key.sub=value`` overrides; ``beside`` as of `find_config`.

    Raises:
        UserError: The file, an override or a setting is wrong.
    """
    tree = read_tree(find_config(str(name), beside))
    if "variants" in tree:
        raise UserError(f"{name}: this is a study of several runs; use `vaegan compare {name}`")
    return validate_config(Config, add_autoencoder_config(merge(tree, parse_overrides(overrides))), str(name))


def override_evaluation(config: Config, asked: Mapping[str, object], where: str) -> Config:
    """The config of a run with other settings in its `evaluate` section; those that are None stay as they are.

    Raises:
        UserError: As `validate_config`.
    """
    tree = config.model_dump(mode="json")
    tree["evaluate"] |= {key: value for key, value in asked.items() if value is not None}
    return validate_config(Config, tree, where)


def add_autoencoder_config(tree: Tree) -> Tree:
    """The settings of a prior with those of the VQ-VAE that it names; others as they are.

    Raises:
        UserError: There is no such run, or it is another family's.
    """
    found = [tree.get(key) for key in ("model", "prior")]
    model, prior = (each if isinstance(each, dict) else {} for each in found)
    given = prior.get("autoencoder")
    if model.get("family") != "pixelcnn" or model.get("autoencoder") or not isinstance(given, str):
        return tree
    file = Path(given).expanduser() / "config.yaml"
    if not file.is_file():
        raise UserError(
            f"prior.autoencoder: {to_short_word(given)}: not a run folder (it has no config.yaml);"
            " name that of the finished VQ-VAE"
        )
    own = read_tree(file).get("model")
    family = own.get("family") if isinstance(own, Mapping) else None
    if family != "vqvae":
        raise UserError(
            f"prior.autoencoder: {to_short_word(given)}: the run of family {format_value(family)}; name that of a vqvae"
        )
    return merge(tree, {"model": {"autoencoder": own}})


def dump_config(config: BaseModel) -> str:
    """The config as YAML with every default filled in; reading it gives the same config."""
    return yaml.dump(config.model_dump(mode="json"), Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def _parse(text: str | bytes) -> Any:
    """A YAML document as mappings, lists, words and numbers.

    Raises:
        UserError: It is not one, or holds something else.
    """
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except UserError:
        raise
    except yaml.constructor.ConstructorError as error:
        raise UserError(f"{to_one_line(error.problem)}: only plain values are read{_at(error)}") from None
    except yaml.MarkedYAMLError as error:
        raise UserError(f"not YAML: {to_one_line(error.problem)}{_at(error)}") from None
    except (yaml.YAMLError, ValueError, LookupError, RecursionError) as error:
        raise UserError(f"not YAML: {to_one_line(error)}") from None


def _at(error: yaml.MarkedYAMLError) -> str:
    return f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""


def _line(where: yaml.Node | yaml.Event) -> str:
    return f"line {where.start_mark.line + 1}" if where.start_mark else "line unknown"
