"""From a YAML file and ``key.sub=value`` words to a checked config, or to one line that says what is wrong."""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from vaegan.errors import Mistake

from .schema import Config, StudyConfig

Loaded = TypeVar("Loaded", Config, StudyConfig)
Tree = dict[str, Any]


class _Loader(yaml.SafeLoader):
    """Plain data only, and no key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = key_node.value
            if key in seen:
                raise Mistake(f"{key}: given twice, the second time on line {key_node.start_mark.line + 1}")
            seen.add(key)
        return super().construct_mapping(node, deep)


def recipes() -> dict[str, Path]:
    """Name (``digits/vae``) and file of every shipped recipe, in alphabetical order."""
    root = Path(__file__).parents[1] / "configs"
    return {str(path.relative_to(root).with_suffix("")): path for path in sorted(root.rglob("*.yaml"))}


def find(name: str) -> Path:
    """The config file at a path, or the shipped recipe of that name.

    Raises:
        Mistake: Neither exists.
    """
    path = Path(name)
    if path.is_file():
        return path
    shipped = recipes()
    if name in shipped:
        return shipped[name]
    raise Mistake(f"{name}: neither a file nor a shipped recipe{_nearest(name, shipped)}; `vaegan configs` lists them")


def read_tree(path: Path) -> Tree:
    """The mapping in a YAML file, read without running anything.

    Raises:
        Mistake: The file is not YAML, or not a mapping, or has a key twice.
    """
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - a SafeLoader
    except Mistake as mistake:
        raise Mistake(f"{path}: {mistake}") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError, ValueError) as error:
        raise Mistake(f"{path}: not a readable YAML file ({_one_line(error)})") from None
    return _mapping(tree, str(path))


def parse_overrides(words: Sequence[str]) -> Tree:
    """``["train.steps=10", "model.beta=2"]`` as a nested mapping; values are read as YAML.

    Raises:
        Mistake: A word is not ``key.sub=value``.
    """
    tree: Tree = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not all(key.split(".")):
            raise Mistake(f"{word}: not a setting; write key.sub=value, for example train.steps=1000")
        try:
            value = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            raise Mistake(f"{key}: {text!r} is not a YAML value ({_one_line(error)})") from None
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
        return schema.model_validate(tree)
    except ValidationError as error:
        first, *others = (_explain(schema, detail) for detail in error.errors())
        more = f" (and {len(others)} more)" if others else ""
        raise Mistake(f"{where}: {first}{more}") from None


def load_config(name: str | Path, overrides: Sequence[str] = ()) -> Config:
    """The config of a file or shipped recipe, with ``key.sub=value`` overrides.

    Raises:
        Mistake: The file, an override or a setting is wrong.
    """
    path = find(str(name))
    tree = read_tree(path)
    if "variants" in tree:
        raise Mistake(f"{name}: this is a study of several runs; use `vaegan compare {name}`")
    return check(Config, merge(tree, parse_overrides(overrides)), str(name))


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
    study = check(StudyConfig, merge(merge(tree, given), {"shared": merge(tree.get("shared") or {}, shared)}), str(name))
    configs = {}
    for row, variant in study.variants.items():
        if not row.replace("-", "").replace("_", "").replace(".", "").isalnum() or row.startswith("."):
            raise Mistake(f"{name}: variants.{row}: a row's name becomes a folder; use letters, digits, '.', '-' and '_'")
        layers = merge(merge(read_tree(find(variant.recipe)), variant.set), study.shared)
        configs[row] = check(Config, merge(layers, {"seed": study.seeds[0]}), f"{name}: {row}")
    return study, configs


def dump(config: BaseModel) -> str:
    """The config as YAML with every default filled in; reading it gives the same config."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _mapping(tree: object, where: str) -> Tree:
    if not isinstance(tree, dict) or not all(isinstance(key, str) for key in tree):
        raise Mistake(f"{where}: expected sections such as `model:` and `train:`")
    return tree


def _explain(schema: type[BaseModel], detail: Any) -> str:
    families = ("ae", "vae", "vaegan")
    location = [part for part in detail["loc"] if not (isinstance(part, str) and part in families)]
    key = ".".join(map(str, location)) or "config"
    given = _one_line(repr(detail["input"]))
    match detail["type"]:
        case "extra_forbidden":
            known = _keys(schema, detail["loc"][:-1])
            return f"{key}: unknown key (given {given}){_nearest(location[-1], known)}; allowed: {', '.join(known)}"
        case "missing" | "union_tag_not_found":
            missing = f"{key}.family" if detail["type"] == "union_tag_not_found" else key
            return f"{missing}: missing"
        case "union_tag_invalid":
            return f"{key}.family: {detail['ctx']['tag']!r} is not a family{_nearest(detail['ctx']['tag'], families)}; " \
                f"allowed: {', '.join(families)}"
        case "value_error":
            return _one_line(detail["ctx"]["error"])
        case "literal_error":
            return f"{key}: got {given}; allowed: {detail['ctx']['expected']}{_nearest(detail['input'], _words(detail))}"
        case _:
            return f"{key}: got {given}; {_one_line(detail['msg'])[0].lower()}{_one_line(detail['msg'])[1:]}"


def _words(detail: Any) -> list[str]:
    return [word.strip("' ") for word in detail["ctx"]["expected"].replace(" or ", ",").split(",")]


def _keys(schema: type[BaseModel], location: Sequence[int | str]) -> list[str]:
    fields = schema.model_json_schema()
    definitions = fields.get("$defs", {})
    node: Any = fields
    for part in location:
        if "discriminator" in node and part in node["discriminator"]["mapping"]:
            node = {"$ref": node["discriminator"]["mapping"][str(part)]}
        else:
            node = node.get("properties", {}).get(part, node.get("items", node.get("additionalProperties", {})))
        while "$ref" in node:
            node = definitions[node["$ref"].rsplit("/", 1)[-1]]
    return list(node.get("properties", {}))


def _nearest(word: object, known: Any) -> str:
    close = difflib.get_close_matches(str(word), list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _one_line(message: object) -> str:
    text = " ".join(str(message).split())
    return text if len(text) <= 200 else text[:197] + "..."
