"""No line of the three packages runs code that comes from data."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for package in ("vaegan", "trainers", "evaluate") for path in (ROOT / package).rglob("*.py"))

EXECUTING_NAMES = {"eval", "exec", "compile", "__import__"}
EXECUTING_MODULES = {
    "_pickle", "cloudpickle", "code", "dill", "joblib", "marshal", "pickle", "pty", "runpy", "shelve", "subprocess",
}  # fmt: skip
EXECUTING_CALLS = {
    "os.popen",
    "os.system",
    "yaml.full_load",
    "yaml.load_all",
    "yaml.unsafe_load",
    "yaml.unsafe_load_all",
}
ALLOWED_MODULES = {"vaegan/data/cifar_pickle.py": {"pickle"}, "vaegan/cli/jobs.py": {"subprocess"}}
"""Exceptions: the file that reads pickles, with an unpickler of five names, and the one that starts `vaegan train`."""
SAFE_LOADER_FILE = "vaegan/config/yaml_text.py"
"""File of the safe YAML loader."""


def find_code_execution(source: str, name: str) -> Iterator[str]:
    """Iterate over the places of a source that could run code from data, each with its line number."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Name(id=word, ctx=ast.Load()) if word in EXECUTING_NAMES:  # not a setting of that name
                yield f"{name}:{node.lineno}: {word}"
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [each.name for each in names]
                taken = {module.split(".")[0] for module in modules} & EXECUTING_MODULES - ALLOWED_MODULES.get(
                    name, set()
                )
                if taken and [each.name for each in names] != ["UnpicklingError"]:
                    yield f"{name}:{node.lineno}: import {', '.join(taken)}"
            case ast.Call(func=function, keywords=keywords):
                call, given = ast.unparse(function), {each.arg: ast.unparse(each.value) for each in keywords}
                if (
                    call in EXECUTING_CALLS
                    or (call == "torch.load" and given.get("weights_only") != "True")
                    or (call == "yaml.load" and (name, given.get("Loader")) != (SAFE_LOADER_FILE, "_Loader"))
                    or (call == "np.load" and given.get("allow_pickle") != "False")
                    or given.get("allow_pickle", "False") != "False"
                    or "shell" in given
                ):
                    yield f"{name}:{node.lineno}: {ast.unparse(node)}"


def test_no_code_comes_from_data() -> None:
    assert len(SOURCES) > 70
    names = [str(path.relative_to(ROOT)) for path in SOURCES]
    assert [
        line
        for path, name in zip(SOURCES, names, strict=True)
        for line in find_code_execution(path.read_text("utf-8"), name)
    ] == []


@pytest.mark.parametrize(
    "line",
    ["eval(x)", "f = exec", "compile(x, '', 'exec')", "__import__('os')", "import pickle", "import os, pickle as p",
     "from pickle import loads", "from subprocess import run", "torch.load(x)", "torch.load(x, weights_only=False)",
     "yaml.load(x, Loader=yaml.Loader)", "yaml.load(x, Loader=_Loader)", "yaml.unsafe_load(x)", "os.system(x)",
     "np.load(x, allow_pickle=True)"],
)  # fmt: skip
def test_code_execution_is_found(line: str) -> None:
    assert len(list(find_code_execution(line, "vaegan/any.py"))) == 1


@pytest.mark.parametrize(
    "line",
    [
        "model.eval()",
        "re.compile(x)",
        "torch.compile(x)",
        "torch.load(x, weights_only=True)",
        "np.load(x, allow_pickle=False)",
    ],
)
def test_harmless_calls_of_similar_names_are_not_found(line: str) -> None:
    assert list(find_code_execution(line, "vaegan/any.py")) == []


def test_the_yaml_loader_is_safe() -> None:
    """The loader builds plain values only, whatever the tag."""
    import yaml

    from vaegan.config.yaml_text import _Loader

    assert issubclass(_Loader, yaml.SafeLoader) and not issubclass(_Loader, yaml.FullLoader)
    assert {tag.rpartition(":")[2] for tag in _Loader.yaml_constructors if tag} == {
        "bool", "float", "int", "map", "null", "seq", "str"
    }  # fmt: skip
    assert _Loader.yaml_multi_constructors == {}
