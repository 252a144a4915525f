"""The schema as text: every key with its type, its default and its meaning."""

import json
import textwrap
from collections.abc import Iterator
from functools import cache
from typing import Any

from pydantic import BaseModel

from .ablation_schema import AblationConfig
from .models import choose_model
from .schedule import Schedule
from .schema import Config
from .study_schema import StudyConfig

SchemaNode = dict[str, Any]
"""A part of a JSON schema without references. A choice between model families holds them under ``families``."""

LIMIT_SIGNS = {
    "minimum": ">=",
    "exclusiveMinimum": ">",
    "maximum": "<=",
    "exclusiveMaximum": "<",
    "multipleOf": "multiple of",
}
TYPE_NAMES = {"array": "list", "boolean": "true | false", "object": "mapping", "string": "text"}
LINE_CHARACTERS = 80


@cache
def get_schema_node(schema: type[BaseModel]) -> SchemaNode:
    """Return the JSON schema of a config class, with its references resolved.

    It takes 20 ms to compute and is cached, so callers must not change it.
    """
    tree = schema.model_json_schema()
    node: SchemaNode = _resolve_references(tree, tree.get("$defs", {}))
    return node


def get_child(node: SchemaNode, key: int | str) -> SchemaNode:
    """Return the node under a key, an index of a list, or the name of a family; empty if there is none."""
    if "families" in node:
        return dict(node["families"].get(key, {}))
    if isinstance(key, int):
        items = node.get("prefixItems", [])
        return dict(items[key] if key < len(items) else node.get("items", {}))
    others = node.get("additionalProperties")
    return dict(node.get("properties", {}).get(key, others if isinstance(others, dict) else {}))


def describe_allowed(node: SchemaNode) -> str:
    """Describe the values that a node allows, in a few words: ``integer >= 1``, ``two | three``."""
    match node:
        case {"families": _}:
            return f"mapping with `family: {' | '.join(list_families(node))}`"
        case {"title": str(title)} if title.startswith(Schedule.__name__):
            return "schedule {start, end}"
        case {"properties": properties}:
            return f"mapping of {', '.join(properties)}"
        case {"const": value}:
            return str(value)
        case {"enum": values}:
            return " | ".join(map(str, values))
        case {"anyOf": choices}:
            return " | ".join(map(describe_allowed, choices))
        case {"prefixItems": items}:
            return f"[{', '.join(map(describe_allowed, items))}]"
        case {"items": item}:
            return f"list of {describe_allowed(item)}"
        case {"format": "path"}:
            return "path"
        case {"type": kind}:
            limits = [f"{sign} {node[key]:,}" for key, sign in LIMIT_SIGNS.items() if key in node]
            return " ".join([TYPE_NAMES.get(str(kind), str(kind)), ", ".join(limits)]).strip()
        case _:
            return "anything"


def iterate_keys(node: SchemaNode, prefix: str = "") -> Iterator[tuple[str, SchemaNode]]:
    """Yield the full name (``train.steps``) and the node of every key under a node; sections precede their keys.

    The keys of the families in a family's own choice are those of `model`, and are not repeated.
    """
    for family in node.get("families", {}).values():
        yield from iterate_keys(family, prefix)
    for name, child in node.get("properties", {}).items():
        yield f"{prefix}{name}", child
        if _is_inner_choice(child):
            continue
        yield from iterate_keys(child, f"{prefix}{name}.")
        yield from iterate_keys(get_child(child, "NAME"), f"{prefix}{name}.NAME.")


def format_schema() -> str:
    """Return the text that describes every setting of a run, a study and an ablation, in a terminal's width."""
    run = "\n".join(_format_section(get_schema_node(Config), ""))
    study = "\n".join(_format_section(get_schema_node(StudyConfig), ""))
    ablation = "\n".join(_format_section(get_schema_node(AblationConfig), ""))
    return (
        f"A run (vaegan train):\n{run}\n\nA study (vaegan compare):\n{study}"
        f"\n\nAn ablation (vaegan ablate):\n{ablation}"
    )


def _format_section(section: SchemaNode, prefix: str) -> Iterator[str]:
    for name, child in section.get("properties", {}).items():
        key = f"{prefix}{name}"
        if "families" in child and not _is_inner_choice(child):
            yield from _format_families(child["families"], key)
        elif "properties" in child:
            yield from _wrap_paragraph(f"{key}: {child['description']}", "\n")
            yield from _format_section(child, f"{key}.")
        else:
            default = f" = {json.dumps(child['default'])}" if "default" in child else " (required)"
            yield from _wrap_paragraph(f"{key}: {describe_allowed(child)}{default}", "  ")
            yield from _wrap_paragraph(child["description"].replace("None:", "null:"), "      ")
        yield from _format_section(get_child(child, "NAME"), f"{key}.NAME.")


def _format_families(families: dict[str, SchemaNode], key: str) -> Iterator[str]:
    """Describe each family by the keys that the families before it do not have, or have with another meaning."""
    names = list_families({"families": families})
    yield from _wrap_paragraph(f"{key}.family: {' | '.join(names)} (required)", "  ")
    described: SchemaNode = {}
    for tag, family in families.items():
        properties = family["properties"]
        shared = [name for name, child in properties.items() if _is_described(child, described.get(name))]
        yield from _wrap_paragraph(f"{key}, family: {tag}. {family['description']}", "\n")
        if shared:
            yield from _wrap_paragraph(f"{', '.join(shared)}: as above", "  ")
        new = {name: child for name, child in properties.items() if name not in shared and name != "family"}
        yield from _format_section({"properties": new}, f"{key}.")
        described |= new


def _is_described(child: SchemaNode, before: SchemaNode | None) -> bool:
    """Return whether a setting was described before: a section by its name, a value with what it may be."""
    return before is not None and ("properties" in child or child == before)


def _wrap_paragraph(text: str, indent: str) -> list[str]:
    """Wrap text into lines of `LINE_CHARACTERS` characters; with a line break as indent, after an empty line."""
    space = indent.strip("\n")
    later = space + "  " * indent.isspace()
    lines = textwrap.wrap(text, LINE_CHARACTERS, initial_indent=space, subsequent_indent=later, break_on_hyphens=False)
    return ["", *lines] if "\n" in indent else lines


def _resolve_references(node: Any, definitions: SchemaNode) -> Any:
    match node:
        case {"$ref": str(reference), **others} | {"anyOf": [{"$ref": str(reference)}, {"type": "null"}], **others}:
            return {**_resolve_references(definitions[reference.rpartition("/")[2]], definitions), **others}
        case {"oneOf": choices}:
            return {"families": _resolve_families(choices, definitions)}
        case {"anyOf": [{"oneOf": choices}, {"type": "null"}], **others}:
            return {"families": _resolve_families(choices, definitions), **others}
        case dict():
            return {key: _resolve_references(value, definitions) for key, value in node.items() if key != "$defs"}
        case list():
            return [_resolve_references(value, definitions) for value in node]
        case _:
            return node


def _is_inner_choice(node: SchemaNode) -> bool:
    """Return whether a node is a family's own choice between other families, which has a description."""
    return "families" in node and "description" in node


def _resolve_families(choices: list[Any], definitions: SchemaNode) -> dict[str, SchemaNode]:
    """Return the classes of a choice between model families, with their references resolved, by their tags."""
    families = [_resolve_references(choice, definitions) for choice in choices]
    return {_get_tag(family["properties"]): family for family in families}


def _get_tag(properties: SchemaNode) -> str:
    """Return the tag of the class of a `model` section, from the properties of its schema."""
    constants = {key: child["const"] for key, child in properties.items() if "const" in child}
    tag = choose_model(constants)
    assert tag is not None
    return tag


def list_families(node: SchemaNode) -> list[str]:
    """Return the names of the families of a choice, each of which may have several kinds of code."""
    return list(dict.fromkeys(family["properties"]["family"]["const"] for family in node["families"].values()))
