"""From a YAML file and ``key.sub=value`` words to a checked config, or to one line that says what is wrong."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from vaegan.errors import Mistake
from vaegan.files import contents
from vaegan.wording import one_line, shown, word

from .explaining import explain, nearest
from .models import AutoencoderConfig, ClassifierConfig
from .schema import FOLDER, Config, StudyConfig

Loaded = TypeVar("Loaded", Config, StudyConfig)
Tree = dict[str, Any]

FEATURES = "/features"
"""What the recipe of a set's classifier is called after the set."""
SWEEPS = "sweeps"
"""The folder beside the recipes with files that are W&B's."""
LONGEST = 2**18
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
            raise Mistake(f"*{event.anchor}: aliases are not read; write the value out ({_line(event)})")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag.endswith((":merge", ":value")):
                raise Mistake(f"a key must be a word ({_line(key)})")
            if key.value in seen:
                raise Mistake(f"{word(key.value)}: given twice (the second time on {_line(key)})")
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


def recipes() -> dict[str, Path]:
    """Name (``digits/vae``) and file of every shipped recipe, in alphabetical order."""
    root = Path(__file__).parents[1] / "configs"
    files = {path.relative_to(root).with_suffix("").as_posix(): path for path in root.rglob("*.yaml")}
    return {name: path for name, path in sorted(files.items()) if path.parent != root / SWEEPS}


def find(name: str, beside: Path | None = None) -> Path:
    """The config file at a path, the shipped recipe of that name, or the file of that name in a folder.

    Args:
        name: Path or recipe.
        beside: The folder where a file is looked for last; None: nowhere else.

    Raises:
        Mistake: There is none.
    """
    shipped = recipes()
    for path in (Path(name), shipped.get(name), beside and beside / name):
        if path and "\0" not in name and path.is_file():
            return path
    what = (
        "a folder, not a config file"
        if "\0" not in name and Path(name).is_dir()
        else "neither a file nor a shipped recipe"
    )
    raise Mistake(f"{word(name)}: {what}{nearest(name, shipped)}; `vaegan configs` lists the recipes")


def read_tree(path: Path) -> Tree:
    """The mapping in a YAML file, read without running anything.

    Raises:
        Mistake: The file is not YAML, or not a mapping, or has a key twice.
    """
    try:
        tree = _parse(contents(path, LONGEST))
    except Mistake as mistake:
        raise Mistake(f"{path}: {mistake}") from None
    except OSError as error:
        raise Mistake(f"{path}: {error.strerror}") from None
    if not isinstance(tree, dict):
        raise Mistake(f"{path}: expected sections such as `model:` and `train:`, not {shown(tree)}")
    return tree


def parse_overrides(words: Sequence[str]) -> Tree:
    """``["train.steps=10", "model.beta=2"]`` as a nested mapping; values are read as YAML.

    Raises:
        Mistake: A word is not ``key.sub=value``.
    """
    tree: Tree = {}
    for setting in words:
        key, equals, text = setting.partition("=")
        if not equals or not re.fullmatch(r"[\w-]+(\.[\w-]+){0,9}", key):
            raise Mistake(f"{word(setting)}: not a setting; write key.sub=value, for example train.steps=1000")
        try:
            value = _parse(text)
        except Mistake as mistake:
            raise Mistake(f"{word(setting)}: {mistake}") from None
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


def check(schema: type[Loaded], tree: Tree, where: str) -> Loaded:
    """The typed config of a mapping.

    Raises:
        Mistake: One line: ``where``, the key, what was given, what is allowed, the nearest key on a typo.
    """
    try:
        # From JSON a strict schema takes lists for tuples and text for paths, and still not "5" or true for a number.
        return schema.model_validate_json(json.dumps(tree))
    except ValidationError as error:
        first, *others = error.errors()
        more = f" (and {len(others)} more)" if others else ""
        raise Mistake(f"{where}: {explain(schema, first)}{more}") from None


def load_config(name: str | Path, overrides: Sequence[str] = (), beside: Path | None = None) -> Config:
    """The config of a file or shipped recipe, with ``key.sub=value`` overrides; ``beside`` as of `find`.

    Raises:
        Mistake: The file, an override or a setting is wrong.
    """
    tree = read_tree(find(str(name), beside))
    if "variants" in tree:
        raise Mistake(f"{name}: this is a study of several runs; use `vaegan compare {name}`")
    return check(Config, merge(tree, parse_overrides(overrides)), str(name))


def load_features_config(name: str, overrides: Sequence[str] = (), beside: Path | None = None) -> tuple[str, Config]:
    """The config of a set's classifier, and what it is to be called.

    Args:
        name: A set that has a recipe for it (``digits``), or a config file or recipe.
        overrides: As of `load_config`.
        beside: As of `find`.

    Raises:
        Mistake: The file, an override or a setting is wrong, or it is another family's.
    """
    sets = [recipe.removesuffix(FEATURES) for recipe in recipes() if recipe.endswith(FEATURES)]
    given = name + FEATURES if name in sets and not Path(name).is_file() else name
    if not Path(given).exists() and given not in recipes() and not (beside and (beside / given).is_file()):
        raise Mistake(
            f"{word(name)}: neither a config file nor a set with a recipe for this{nearest(name, sets)};"
            f" allowed: {' | '.join(sets)}"
        )
    config = load_config(given, overrides, beside)
    if not isinstance(config.model, ClassifierConfig):
        raise Mistake(f"{name}: model.family={config.model.family}: no classifier; use `vaegan train {name}`")
    return given.removesuffix(FEATURES), config


def load_study(name: str | Path, overrides: Sequence[str] = ()) -> tuple[StudyConfig, dict[str, Config]]:
    """A study and the config of each of its variants (with the study's first seed).

    Settings that a run has (``train.steps=10``) go to every variant, others (``seeds=[0,1]``) to the study.

    Raises:
        Mistake: A file, an override or a setting is wrong.
    """
    path = find(str(name))
    tree = read_tree(path)
    if "variants" not in tree:
        raise Mistake(f"{name}: this is one run, not a study; use `vaegan train {name}`")
    given = parse_overrides(overrides)
    shared = {key: given.pop(key) for key in list(given) if key in Config.model_fields and key != "seed"}
    study = check(StudyConfig, merge(merge(tree, given), {"shared": shared} if shared else {}), str(name))
    configs = {}
    for row, variant in study.variants.items():
        try:
            recipe = find(variant.recipe, beside=path.parent)
        except Mistake as mistake:
            raise Mistake(f"{name}: variants.{row}.recipe: {mistake}") from None
        layers, where = merge(merge(read_tree(recipe), variant.set), study.shared), f"variants.{row} ({variant.recipe})"
        configs[row] = check(Config, merge(layers, {"seed": study.seeds[0]}), f"{name}: {where}")
        if not isinstance(configs[row].model, AutoencoderConfig):
            raise Mistake(f"{name}: {where}: model.family={configs[row].model.family}: a study compares autoencoders")
    return study, configs


def load_study_features(name: str | Path, study: StudyConfig, variant: Config) -> tuple[str, Config] | None:
    """The classifier that a study names, and what it is to be called; None: it names none.

    It has the images of a variant, and is tracked as that is.

    Args:
        name: The study's file or recipe.
        study: As it was read.
        variant: The config of one of its variants.

    Raises:
        Mistake: As of `load_features_config`.
    """
    if study.features is None:
        return None
    try:
        given, config = load_features_config(study.features, beside=find(str(name)).parent)
    except Mistake as mistake:
        raise Mistake(
            f"{name}: features: {mistake}; a classifier that is trained already is named by evaluate.features"
        ) from None
    file, name = name, Path(given).stem
    if not FOLDER.fullmatch(name):
        raise Mistake(f"{file}: features: {word(given)}: its name becomes a folder; use letters, digits, '-' and '_'")
    track = variant.track.model_copy(update={"group": variant.track.group or study.title, "name": f"features-{name}"})
    return name, config.model_copy(update={"data": variant.data, "track": track})


def dump(config: BaseModel) -> str:
    """The config as YAML with every default filled in; reading it gives the same config."""
    return yaml.dump(config.model_dump(mode="json"), Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def _parse(text: str | bytes) -> Any:
    """A YAML document as mappings, lists, words and numbers.

    Raises:
        Mistake: It is not one, or holds something else.
    """
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except Mistake:
        raise
    except yaml.constructor.ConstructorError as error:
        raise Mistake(f"{one_line(error.problem)}: only plain values are read{_at(error)}") from None
    except yaml.MarkedYAMLError as error:
        raise Mistake(f"not YAML: {one_line(error.problem)}{_at(error)}") from None
    except (yaml.YAMLError, ValueError, LookupError, RecursionError) as error:
        raise Mistake(f"not YAML: {one_line(error)}") from None


def _at(error: yaml.MarkedYAMLError) -> str:
    return f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""


def _line(where: yaml.Node | yaml.Event) -> str:
    return f"line {where.start_mark.line + 1}" if where.start_mark else "line unknown"
