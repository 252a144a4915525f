"""The shipped recipes, and the config file or recipe that a name stands for."""

from pathlib import Path

from vaegan.errors import UserError
from vaegan.text import shorten

from .explain_error import suggest_nearest

SWEEPS_FOLDER = "sweeps"
"""Folder among the recipes that holds sweep files of Weights & Biases."""


def list_recipes() -> dict[str, Path]:
    """Return the name (``digits/vae``) and file of every shipped recipe, in alphabetical order."""
    root = Path(__file__).parents[1] / "configs"
    files = {path.relative_to(root).with_suffix("").as_posix(): path for path in root.rglob("*.yaml")}
    return {name: path for name, path in sorted(files.items()) if path.parent != root / SWEEPS_FOLDER}


def describe_recipes() -> dict[str, str]:
    """Return the description of every shipped recipe, the first line of its file, by the recipe's name."""
    return {
        name: path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ") for name, path in list_recipes().items()
    }


def get_default_folder(config: object) -> Path:
    """Return the run folder of a config file or a recipe: runs/NAME.

    Raises:
        UserError: The config is neither, so that it has no name.
    """
    if not isinstance(config, str | Path):
        raise UserError("output: missing; a config that is no recipe and no file has no name for its folder")
    stem = Path(config).stem if Path(config).is_file() else str(config).replace("/", "-")
    return Path("runs") / (stem.strip(".") or "run")


def find_config(name: str, folder: Path | None = None) -> Path:
    """Return the config file at a path, or the shipped recipe of that name, or the file of that name in ``folder``.

    Args:
        name: Path of a file, or name of a recipe.
        folder: Folder that is searched last; None: no folder.

    Raises:
        UserError: ``name`` is none of the three.
    """
    recipes = list_recipes()
    for path in (Path(name), recipes.get(name), folder and folder / name):
        if path and path.is_file():
            return path
    problem = "a folder, not a config file" if Path(name).is_dir() else "neither a file nor a shipped recipe"
    raise UserError(f"{shorten(name)}: {problem}{suggest_nearest(name, recipes)}; `vaegan configs` lists the recipes")
