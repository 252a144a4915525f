"""Which settings are text, so that ``key.sub=value`` takes the characters of their value as they are."""

from collections.abc import Iterator

from vaegan.errors import UserError

from .ablation_schema import AblationConfig
from .describe_schema import SchemaNode, get_child, get_schema_node
from .schema import Config
from .study_schema import StudyConfig

UNSET = "null"
"""Value that unsets a setting which may be left out. A folder of that name is ``./null``."""


def find_text_setting(key: str) -> SchemaNode | None:
    """Return the node of a setting that is free text or a path; None: it is a number, a choice of words, a list, ...

    Args:
        key: Full name of the setting of a run, a study or an ablation: ``data.root``,
            ``variants.plain.set.track.name``.
    """
    nodes = [
        *_find_nodes(get_schema_node(Config), key.split(".")),
        *_find_nodes(get_schema_node(StudyConfig), key.split(".")),
        *_find_nodes(get_schema_node(AblationConfig), key.split(".")),
    ]
    return next((node for node in nodes if _is_free_text(node)), None)


def read_text(node: SchemaNode, text: str) -> str | None:
    """Return the value of a text setting as it is written behind ``=``; None: it is `UNSET`, and may be left out.

    Raises:
        UserError: There is no character.
    """
    is_optional = {"type": "null"} in node.get("anyOf", ())
    if not text:
        raise UserError("empty; write a value" + f", or {UNSET} to leave it out" * is_optional)
    return None if is_optional and text == UNSET else text


def _find_nodes(node: SchemaNode, names: list[str]) -> Iterator[SchemaNode]:
    """Yield the nodes of a key: one for each family that has it."""
    if "families" in node:
        for family in node["families"].values():
            yield from _find_nodes(family, names)
    elif not names:
        yield node
    else:
        name, *rest = names
        holds_settings = name in ("shared", "set") and get_child(node, name).get("type") == "object"
        yield from _find_nodes(get_schema_node(Config) if holds_settings else get_child(node, name), rest)


def _is_free_text(node: SchemaNode) -> bool:
    choices = [choice for choice in node.get("anyOf", [node]) if choice.get("type") != "null"]
    return all(choice.get("type") == "string" and not {"enum", "const"} & choice.keys() for choice in choices)
