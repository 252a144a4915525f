"""Which part of the package may import which: the rules of CONTRIBUTING.md."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FRONT_DOORS = {"vaegan.api", "vaegan.cli", "vaegan.workflows"}
"""Packages that put training and evaluation together."""
IMPORTERS = {
    "vaegan.trainers": {"vaegan.trainers", *FRONT_DOORS},
    "vaegan.evaluate": {"vaegan.evaluate", *FRONT_DOORS},
    "vaegan.workflows": FRONT_DOORS,
    "vaegan.api": {"vaegan.api", "vaegan"},
    "vaegan.cli": {"vaegan.cli", "vaegan.__main__", "vaegan.notebook"},
}
"""Parts that may import a package, also inside a function; a subpackage counts as its package."""


def list_sources() -> Iterator[tuple[str, Path]]:
    """Iterate over the modules of the package: the name and the file of each."""
    for folder, package in (("vaegan", "vaegan"), ("trainers", "vaegan.trainers"), ("evaluate", "vaegan.evaluate")):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            yield ".".join([package, *(part for part in parts if part != "__init__")]), path


def find_part(module: str) -> str:
    """Return the package or module of `vaegan` that a module lies in."""
    return ".".join(module.split(".")[:2])


def list_imports(source: str) -> Iterator[str]:
    """Iterate over the modules that the absolute imports of a source name, those for type checkers left out."""
    tree = ast.parse(source)
    unread = [
        {id(each) for each in ast.walk(node)}
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    for node in ast.walk(tree):
        if any(id(node) in nodes for nodes in unread):
            continue
        match node:
            case ast.Import(names=names):
                yield from (each.name for each in names)
            case ast.ImportFrom(module=str(module), names=names, level=0):
                yield from (f"{module}.{each.name}" for each in names)


def find_wrong_imports(name: str, source: str) -> list[str]:
    """Return the imports of a module that are against the rules."""
    parts = {imported: find_part(imported) for imported in list_imports(source)}
    return [
        f"{name} imports {imported}"
        for imported, part in parts.items()
        if part in IMPORTERS and find_part(name) not in IMPORTERS[part]
    ]


def test_a_part_imports_those_that_it_may() -> None:
    sources = dict(list_sources())
    assert len(sources) > 300 and {"vaegan", "vaegan.trainers.loop", "vaegan.evaluate.metrics.kid"} <= sources.keys()
    assert [line for name, path in sources.items() for line in find_wrong_imports(name, path.read_text("utf-8"))] == []


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("vaegan.trainers.loop", "from vaegan.evaluate.metrics import kid"),
        ("vaegan.models.vae", "def f():\n    from vaegan.trainers import train"),
        ("vaegan.workflows.runs", "from vaegan.cli.console import Console"),
        ("vaegan.evaluate.study", "import vaegan.workflows.study"),
        ("vaegan.storage.loading", "from vaegan import api"),
    ],
)
def test_a_wrong_import_is_found(name: str, line: str) -> None:
    assert len(find_wrong_imports(name, line)) == 1
