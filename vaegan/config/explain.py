"""What is wrong with a setting, in one line."""

import difflib
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from vaegan.text import format_value, to_one_line, to_short_word

from .describe import Node, describe_allowed, get_child, get_schema_node, iterate_keys


def explain(schema: type[BaseModel], detail: Any) -> str:
    """One of pydantic's errors: the key, what was given, what is near, what is allowed.

    Args:
        schema: What was checked.
        detail: One of the details that `pydantic.ValidationError.errors` lists.
    """
    whole = section = here = get_schema_node(schema)
    names, family = [], ""
    for part in detail["loc"]:
        if "families" in here:
            family = f" of family {part}"
        else:
            names.append(str(part))
        section, here = here, get_child(here, part)
    key, given = to_short_word(".".join(names)), detail["input"]
    match detail["type"]:
        case "value_error":
            return to_one_line(detail["ctx"]["error"])
        case "json_invalid":
            return f"not plain settings: {to_one_line(detail['msg'])}"
        case "missing":
            return f"{key}: missing; allowed: {describe_allowed(here)}"
        case "union_tag_not_found":
            return f"{key}.family: missing; allowed: {' | '.join(here['families'])}"
        case "union_tag_invalid":
            key, given, here = f"{key}.family", given["family"], {"enum": list(here["families"])}
        case "extra_forbidden":
            hint = _nearest_key(key, section, whole)
            return f"{key}: unknown key{family} (given {format_value(given)}){hint}; allowed: {', '.join(section['properties'])}"
    return f"{key}: got {format_value(given)}{suggest_nearest(given, here.get('enum', ()))}; allowed: {describe_allowed(here)}"


def suggest_nearest(given: object, known: Iterable[object]) -> str:
    """A question whether the nearest of the known words was meant; nothing where none is near."""
    close = difflib.get_close_matches(given, map(str, known), n=1) if isinstance(given, str) else ()
    return f"; did you mean {close[0]}?" if close else ""


def _nearest_key(key: str, section: Node, whole: Node) -> str:
    """The nearest key of the section, or else one of nearly that name in another."""
    above, dot, name = key.rpartition(".")
    here = {other: f"{above}{dot}{other}" for other in section["properties"]}
    elsewhere = {other.rpartition(".")[2]: other for other, _ in iterate_keys(whole) if other != key}
    for names, likeness in ((here, 0.6), (elsewhere, 0.8)):
        if close := difflib.get_close_matches(name, names, 1, likeness):
            return f"; did you mean {names[close[0]]}?"
    return ""
