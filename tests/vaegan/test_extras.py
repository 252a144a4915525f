"""Optional packages: the table is that of setup.py, the code imports no others, and the checks find what is missing."""

import ast
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from vaegan.config.schema import Config
from vaegan.errors import UserError
from vaegan.extras import (
    METRIC_PACKAGES,
    PACKAGES,
    REPORT_PACKAGES,
    check_comparison_packages,
    check_evaluation_packages,
    check_training_packages,
    explain_missing_packages,
)

from ..tiny import tiny

ROOT = Path(__file__).parents[2]
EXTRAS = (
    "train", "eval", "wandb", "fid", "celeba", "heif", "huggingface", "diffusers", "compression", "explore", "onnx",
    "hub",
)  # fmt: skip
BROUGHT_ALONG = {"markupsafe", "pyarrow", "pydantic_core", "IPython", "fastapi", "starlette", "uvicorn"}
"""Packages that come with another: jinja2, datasets, pydantic, a notebook, in which alone it is imported, gradio."""


def list_extra(extra: str) -> set[str]:
    """Return the packages that an extra brings; of the empty one, those that vaegan always needs."""
    needs = map(Requirement, requires("vaegan") or ())
    return {need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": extra})} - (
        list_extra("") if extra else set()
    )


def normalise(names: Iterable[str]) -> set[str]:
    """Return names of installed packages as setup.py spells them."""
    return {name.lower().replace("_", "-") for name in names}


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_table_is_that_of_the_install(extra: str) -> None:
    assert list_extra(extra) == {name for name, extras in PACKAGES.values() if extra in extras}


def test_packages_are_imported_under_the_names_of_the_table() -> None:
    known = packages_distributions()
    for imported, (installed, extras) in PACKAGES.items():
        assert installed in normalise(known[imported]) and set(extras) <= set(EXTRAS)
    assert list_extra("all") == {name for name, _ in PACKAGES.values()}
    assert {"sklearn", "pandas", *REPORT_PACKAGES, *METRIC_PACKAGES.values()} == {
        imported for imported, (_, extras) in PACKAGES.items() if "eval" in extras
    }


def list_imports(file: Path) -> set[tuple[str, bool]]:
    """Return the packages that a file imports, each with whether the import of the file itself needs it."""
    tree = ast.parse(file.read_text())
    lazy = {
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.FunctionDef | ast.AsyncFunctionDef)
        or (isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING")
        for node in ast.walk(block)
    }
    found = set()
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names = [node.module]
        found |= {(name.partition(".")[0], node not in lazy) for name in names}
    return {(name, needed) for name, needed in found if name not in (*sys.stdlib_module_names, "vaegan")}


@pytest.mark.parametrize(("folder", "extras"), [("vaegan", ()), ("trainers", ("train",)), ("evaluate", ("eval",))])
def test_code_imports_what_is_named_and_no_more_than_its_use_needs(folder: str, extras: tuple[str, ...]) -> None:
    files = [path for path in (ROOT / folder).rglob("*.py") if not any(parent.is_symlink() for parent in path.parents)]
    assert len(files) > 20
    distributions, lean = packages_distributions(), list_extra("")
    for file in files:
        for name, needed in list_imports(file):
            if name not in BROUGHT_ALONG and not lean & normalise(distributions[name]):
                assert name in PACKAGES, f"{file} imports {name}"
                assert not needed or set(extras) & set(PACKAGES[name][1]), f"{file} cannot be imported without {name}"


def hide(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Let packages be as if they were not installed."""
    for name in names:
        monkeypatch.setitem(sys.modules, name, None)


def check_study(config: Config) -> None:
    check_comparison_packages([tiny("ae"), config])


Check = Callable[[Config], None]
NEEDS: list[tuple[str, Check, Config]] = [
    ("accelerate", check_training_packages, tiny("vae")),
    ("psutil", check_training_packages, tiny("vae")),
    ("sklearn", check_training_packages, tiny("vae")),
    ("sklearn", check_training_packages, tiny("vqvae", "data.source=shapes")),
    ("torchvision", check_training_packages, tiny("vae", "data.source=mnist", "data.download=true")),
    ("lpips", check_training_packages, tiny("vaegan3", "model.perceptual=1")),
    ("torchmetrics", check_training_packages, tiny("vae", "train.evaluate_every=2", "evaluate.metrics=[ssim]")),
    ("sklearn", check_evaluation_packages, tiny("vae")),
    ("sklearn", check_evaluation_packages, tiny("ae", "data.source=shapes", "evaluate.density=gmm")),
    ("torchmetrics", check_evaluation_packages, tiny("vae", "evaluate.metrics=[elbo,psnr]")),
    ("lpips", check_evaluation_packages, tiny("vae", "evaluate.metrics=[lpips_vgg]")),
    *((name, check_study, tiny("vae")) for name in ("accelerate", "lpips", *REPORT_PACKAGES)),
]


@pytest.mark.parametrize(("name", "check", "config"), NEEDS)
def test_a_missing_package_is_named_with_its_extra(
    name: str, check: Check, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    check(config)
    hide(monkeypatch, name)
    with pytest.raises(UserError) as error:
        check(config)
    installed, extras = PACKAGES[name]
    use = {check_training_packages: "train", check_evaluation_packages: "eval"}.get(check, extras[0])
    extra = use if use in extras else extras[0]
    assert str(error.value) == f"{installed} is not installed; pip install 'vaegan[{extra}]'"


def test_what_is_not_used_is_not_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, *({*PACKAGES} - {"accelerate", "psutil"}))
    check_training_packages(tiny("vaegan3", "data.source=shapes"))
    check_training_packages(tiny("vqvae", "data.source=shapes", "model.kmeans=false"))
    check_evaluation_packages(tiny("ae", "data.source=shapes", "evaluate.metrics=[sharpness]"))
    with pytest.raises(UserError, match=r"^scikit-learn, torchmetrics, lpips are .* 'vaegan\[eval\]'$"):
        check_evaluation_packages(tiny("vae"))
    hide(monkeypatch, "accelerate")
    with pytest.raises(UserError, match=r"^accelerate, scikit-learn are not installed; pip install 'vaegan\[train\]'$"):
        check_training_packages(tiny("vae"))


def test_tracking_that_is_asked_for_needs_wandb(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "wandb")
    for mode in ("auto", "disabled"):
        check_training_packages(tiny("vae", f"track.wandb={mode}"))
    for mode in ("online", "offline"):
        for check in (check_training_packages, check_study):
            with pytest.raises(UserError, match=rf"^track.wandb: {mode}: wandb is not .*'vaegan\[wandb\]', or set it"):
                check(tiny("vae", f"track.wandb={mode}"))


def test_an_import_that_fails_is_explained_if_the_package_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "jinja2", "yaml")
    explained = pytest.raises(UserError, match=r"^jinja2 is not installed; pip install 'vaegan\[eval\]'$")
    with explained, explain_missing_packages():
        import jinja2  # noqa: F401
    with pytest.raises(ModuleNotFoundError, match="yaml"), explain_missing_packages():
        import yaml  # noqa: F401
