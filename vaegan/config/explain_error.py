"""Explanation of a wrong setting in one line."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from vaegan.text import format_value, shorten, to_one_line

from .describe_schema import SchemaNode, describe_allowed, get_child, get_schema_node, iterate_keys, list_families

NUMBER_PARTS = ("float", "constrained-float")
"""Parts of the place of an error that stand for the number in a choice between a number and a schedule."""
SCHEDULE_PART = "Schedule["
"""Beginning of the part that stands for the schedule."""


def explain_error(schema: type[BaseModel], detail: Any) -> str:
    """Return one line for one of pydantic's errors: the key, the given value, a near match, the allowed values.

    Args:
        schema: The config class that the settings were validated against.
        detail: One of the details that `pydantic.ValidationError.errors` lists.
    """
    root = section = node = get_schema_node(schema)
    names, family = [], ""
    for part in detail["loc"]:
        if part in NUMBER_PARTS:
            continue
        if str(part).startswith(SCHEDULE_PART):
            node = next(choice for choice in node["anyOf"] if "properties" in choice)
            continue
        if "families" in node:
            family = f" of family {part}"
        else:
            names.append(str(part))
        section, node = node, get_child(node, part)
    key, value = shorten(".".join(names)), detail["input"]
    match detail["type"]:
        case "value_error":
            return to_one_line(detail["ctx"]["error"])
        case "json_invalid":
            return f"not plain settings: {to_one_line(detail['msg'])}"
        case "missing":
            return f"{key}: missing; allowed: {describe_allowed(node)}"
        case "union_tag_not_found" if isinstance(value, Mapping) and "family" not in value:
            return f"{key}.family: missing; allowed: {' | '.join(list_families(node))}"
        case "union_tag_not_found" | "union_tag_invalid" if isinstance(value, Mapping):
            key, value, node = f"{key}.family", value["family"], {"enum": list_families(node)}
        case "extra_forbidden":
            hint = _suggest_nearest_key(key, section, root)
            allowed = ", ".join(section["properties"])
            return f"{key}: unknown key{family} (given {format_value(value)}){hint}; allowed: {allowed}"
    hint = suggest_nearest(value, node.get("enum", ()))
    return f"{key}: got {format_value(value)}{hint}; allowed: {describe_allowed(node)}"


def is_of_other_choice(detail: Any) -> bool:
    """Return whether an error is that of a schedule where a number was given, or of a number where it was no number."""
    part = detail["loc"][-1] if detail["loc"] else ""
    if part in NUMBER_PARTS:
        return isinstance(detail["input"], Mapping)
    return str(part).startswith(SCHEDULE_PART)


def suggest_nearest(value: object, words: Iterable[object]) -> str:
    """Return the clause that asks whether the word nearest to ``value`` was meant; empty if none is near."""
    close = difflib.get_close_matches(value, map(str, words), n=1) if isinstance(value, str) else ()
    return f"; did you mean {close[0]}?" if close else ""


def _suggest_nearest_key(key: str, section: SchemaNode, root: SchemaNode) -> str:
    """Return the clause that asks for the nearest key of the section, or else for one of a similar name elsewhere."""
    prefix, dot, name = key.rpartition(".")
    siblings = {sibling: f"{prefix}{dot}{sibling}" for sibling in section["properties"]}
    others = {other.rpartition(".")[2]: other for other, _ in iterate_keys(root) if other != key}
    for names, cutoff in ((siblings, 0.6), (others, 0.8)):
        if close := difflib.get_close_matches(name, names, 1, cutoff):
            return f"; did you mean {names[close[0]]}?"
    return ""
