"""The schema in words: every key with what it may be, its default and what it means."""

import json
import textwrap
from collections.abc import Iterator
from functools import cache
from typing import Any

from pydantic import BaseModel

from .schema import Config
from .study_schema import StudyConfig

Node = dict[str, Any]
"""A part of a JSON schema without references; a choice between families has them under ``families``."""

LIMITS = {
    "minimum": ">=",
    "exclusiveMinimum": ">",
    "maximum": "<=",
    "exclusiveMaximum": "<",
    "multipleOf": "multiple of",
}
TYPE_NAMES = {"array": "list", "boolean": "true | false", "object": "mapping", "string": "text"}
LINE_CHARACTERS = 80


@cache
def get_schema_node(kind: type[BaseModel]) -> Node:
    """The JSON schema of a config or a study, which nobody changes: it takes 20 ms to make."""
    schema = kind.model_json_schema()
    whole: Node = _resolved(schema, schema.get("$defs", {}))
    return whole


def get_child(parent: Node, part: int | str) -> Node:
    """What lies under a key, a place in a list, or the name of a family."""
    if "families" in parent:
        return dict(parent["families"].get(part, {}))
    if isinstance(part, int):
        places = parent.get("prefixItems", [])
        return dict(places[part] if part < len(places) else parent.get("items", {}))
    others = parent.get("additionalProperties")
    return dict(parent.get("properties", {}).get(part, others if isinstance(others, dict) else {}))


def describe_allowed(parent: Node) -> str:
    """What may lie there, in a few words: ``integer >= 1``, ``two | three``."""
    match parent:
        case {"families": families}:
            return f"mapping with `family: {' | '.join(families)}`"
        case {"properties": properties}:
            return f"mapping of {', '.join(properties)}"
        case {"const": value}:
            return str(value)
        case {"enum": values}:
            return " | ".join(map(str, values))
        case {"anyOf": choices}:
            return " | ".join(map(describe_allowed, choices))
        case {"prefixItems": places}:
            return f"[{', '.join(map(describe_allowed, places))}]"
        case {"items": every}:
            return f"list of {describe_allowed(every)}"
        case {"format": "path"}:
            return "path"
        case {"type": kind}:
            limits = [f"{sign} {parent[key]:,}" for key, sign in LIMITS.items() if key in parent]
            return " ".join([TYPE_NAMES.get(str(kind), str(kind)), ", ".join(limits)]).strip()
        case _:
            return "anything"


def iterate_keys(parent: Node, above: str = "") -> Iterator[tuple[str, Node]]:
    """Every key under a node, in full (``train.steps``), and what lies there; sections come before their keys."""
    for family in parent.get("families", {}).values():
        yield from iterate_keys(family, above)
    for name, below in parent.get("properties", {}).items():
        yield f"{above}{name}", below
        yield from iterate_keys(below, f"{above}{name}.")
        yield from iterate_keys(get_child(below, "NAME"), f"{above}{name}.NAME.")


def format_schema() -> str:
    """Every setting of a run, then of a study, as wide as a terminal."""
    run = "\n".join(_section(get_schema_node(Config), ""))
    study = "\n".join(_section(get_schema_node(StudyConfig), ""))
    return f"A run (vaegan train):\n{run}\n\nA study (vaegan compare):\n{study}"


def _section(section: Node, above: str) -> Iterator[str]:
    for name, below in section.get("properties", {}).items():
        key = f"{above}{name}"
        if "families" in below:
            yield from _families(below["families"], key)
        elif "properties" in below:
            yield from _paragraph(f"{key}: {below['description']}", "\n")
            yield from _section(below, f"{key}.")
        else:
            default = f" = {json.dumps(below['default'])}" if "default" in below else " (required)"
            yield from _paragraph(f"{key}: {describe_allowed(below)}{default}", "  ")
            yield from _paragraph(below["description"].replace("None:", "null:"), "      ")
        yield from _section(get_child(below, "NAME"), f"{key}.NAME.")


def _families(families: dict[str, Node], key: str) -> Iterator[str]:
    """Each family with the keys that the families before it do not have."""
    yield from _paragraph(f"{key}.family: {' | '.join(families)} (required)", "  ")
    known: Node = {}
    for tag, family in families.items():
        own = family["properties"]
        shared = [name for name in own if name in known]
        yield from _paragraph(f"{key}, family: {tag}. {family['description']}", "\n")
        if shared:
            yield from _paragraph(f"{', '.join(shared)}: as above", "  ")
        new = {name: below for name, below in own.items() if name not in known and name != "family"}
        yield from _section({"properties": new}, f"{key}.")
        known |= new


def _paragraph(text: str, indent: str) -> list[str]:
    """Lines of at most `LINE_CHARACTERS` characters; an indent that is a line break puts an empty line before them."""
    space = indent.strip("\n")
    lines = textwrap.wrap(
        text,
        LINE_CHARACTERS,
        initial_indent=space,
        subsequent_indent=space + "  " * indent.isspace(),
        break_on_hyphens=False,
    )
    return ["", *lines] if "\n" in indent else lines


def _resolved(part: Any, definitions: Node) -> Any:
    match part:
        case {"$ref": str(reference), **others}:
            return {**_resolved(definitions[reference.rpartition("/")[2]], definitions), **others}
        case {"oneOf": choices, "discriminator": {"mapping": mapping}}:  # which is in alphabetical order
            tags = {reference: tag for tag, reference in mapping.items()}
            return {"families": {tags[choice["$ref"]]: _resolved(choice, definitions) for choice in choices}}
        case {"anyOf": [{"$ref": str(reference)}, {"type": "null"}], **others}:  # a section that may be left out
            return {**_resolved(definitions[reference.rpartition("/")[2]], definitions), **others}
        case dict():
            return {key: _resolved(value, definitions) for key, value in part.items() if key != "$defs"}
        case list():
            return [_resolved(value, definitions) for value in part]
        case _:
            return part
