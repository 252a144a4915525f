"""Plain data as YAML text and back, without running any code from it."""

import copy
import re
from functools import lru_cache
from typing import Any

import yaml

from vaegan.errors import UserError
from vaegan.text import shorten, to_one_line

TAG = "tag:yaml.org,2002:"
"""Prefix of YAML's own tags."""
FLOAT_PATTERN = re.compile(r"[-+]?((\.\d+|\d+\.\d*)(e[-+]?\d+)?|\d+e[-+]?\d+|\.inf)$|\.nan$", re.ASCII | re.IGNORECASE)
"""Numbers with a point or exponent by YAML 1.2. PyYAML follows 1.1, where 1e-4 is text."""
SCALAR_PATTERNS = {
    "null": re.compile(r"(~|null|)$", re.IGNORECASE),
    "bool": re.compile(r"(true|false)$", re.IGNORECASE),
    "int": re.compile(r"[-+]?(0|[1-9][0-9_]*)$"),
    "float": FLOAT_PATTERN,
}
"""Types of an unquoted scalar other than text: no dates, no `on` and `off`, no base 60."""


class _Loader(yaml.SafeLoader):
    """Loader of plain data without repeated keys and without aliases, which let a short file expand without end."""

    yaml_implicit_resolvers = {None: [(TAG + kind, pattern) for kind, pattern in SCALAR_PATTERNS.items()]}  # noqa: RUF012

    yaml_constructors = {  # noqa: RUF012
        tag: function
        for tag, function in yaml.SafeLoader.yaml_constructors.items()
        if tag is None or tag.rpartition(":")[2] in ("str", "seq", "map", *SCALAR_PATTERNS)
    }

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise UserError(f"*{event.anchor}: aliases are not read; write the value out ({_format_line(event)})")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag.endswith((":merge", ":value")):
                raise UserError(f"a key must be a word ({_format_line(key)})")
            if key.value in seen:
                raise UserError(f"{shorten(key.value)}: given twice (the second time on {_format_line(key)})")
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _construct_integer(loader: _Loader, node: yaml.ScalarNode) -> int:
    """Read a decimal integer. PyYAML's own constructor takes base 60, and hexadecimals too long for Python to print."""
    return int(loader.construct_scalar(node))


_Loader.add_constructor(TAG + "int", _construct_integer)


class _Dumper(yaml.SafeDumper):
    """Dumper that quotes text which `_Loader` would read as a number, or which holds line breaks of any kind."""

    def represent_str(self, text: str) -> yaml.ScalarNode:
        return self.represent_scalar(TAG + "str", text, style=None if text.isprintable() else '"')


_Dumper.add_representer(str, _Dumper.represent_str)
_Dumper.add_implicit_resolver(TAG + "float", FLOAT_PATTERN, None)


def parse_yaml(text: str | bytes) -> Any:
    """Parse a YAML document into mappings, lists, text and numbers.

    Raises:
        UserError: The text is not YAML, or holds other types.
    """
    try:
        return copy.deepcopy(_load(text))
    except UserError:
        raise
    except yaml.constructor.ConstructorError as error:
        raise UserError(f"{to_one_line(error.problem)}: only plain values are read{_format_position(error)}") from None
    except yaml.MarkedYAMLError as error:
        raise UserError(f"not YAML: {to_one_line(error.problem)}{_format_position(error)}") from None
    except (yaml.YAMLError, ValueError, LookupError, RecursionError) as error:
        raise UserError(f"not YAML: {to_one_line(error)}") from None


@lru_cache(maxsize=128)
def _load(text: str | bytes) -> Any:
    """Return the data of a document, the same object at each call: a study reads the config of each run many times."""
    return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader


def dump_yaml(tree: Any) -> str:
    """Return plain data as YAML text, which `parse_yaml` reads as equal data."""
    return yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def _format_position(error: yaml.MarkedYAMLError) -> str:
    return f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""


def _format_line(node: yaml.Node | yaml.Event) -> str:
    return f"line {node.start_mark.line + 1}" if node.start_mark else "line unknown"
