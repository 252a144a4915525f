"""The `data` section that a word names: a folder, a file of arrays, a run, a config, a recipe or a set."""

from pathlib import Path
from typing import Any, get_args

from vaegan.errors import UserError
from vaegan.paths import expand_path
from vaegan.text import shorten

from .data import ROOTED_SOURCES, DataConfig, SourceName
from .differences import flatten
from .explain_error import suggest_nearest
from .load import Settings, load_config, merge, read_overrides, read_settings, read_yaml, validate_config
from .load_ablation import NO_CHANGE, load_ablation
from .load_study_files import load_study
from .recipes import list_recipes
from .section import Section
from .source_files import guess_source

RUN_CONFIG = "config.yaml"
"""Name of the config in a run folder."""
CONFIG_SUFFIXES = (".yaml", ".yml")
"""Endings of a config file."""
PATH_SOURCES: tuple[SourceName, ...] = (*ROOTED_SOURCES, "given")
"""Sources of which the name says nothing about the images."""
DEFAULT_SHAPES = {"digits": (1, 8), "mnist": (1, 32), "fashion_mnist": (1, 32), "cifar10": (3, 32)}
"""Channels and side of the images of a set, in its recipes."""
DEFAULT_SHAPE = (3, 64)
"""Channels and side of other images where no config says them."""


class _Data(Section):
    """A config of which only the images are of interest."""

    data: DataConfig


def load_data_config(source: str, overrides: Settings = ()) -> DataConfig:
    """Load the `data` section that a word names.

    Args:
        source: Path of a folder of images, of a file of arrays, of a run folder or of a config file; or the name of a
            recipe or of an image set.
        overrides: Settings that replace those of the section.

    Raises:
        UserError: It is none of these, a setting is wrong, one is given with a run, or one names other images than the
            word.
    """
    settings, path = read_overrides(overrides), expand_path("SOURCE", source)
    if is_run(source):
        if settings:
            key = next(iter(flatten(settings)))
            problem = "a run keeps the settings that it was trained with; leave this one out, or name the folder of the"
            raise UserError(f"{key}: {problem} images, or a config, in the place of {shorten(source)}")
        return validate_config(_Data, {"data": _read_run_data(path)}, str(path)).data
    if path.suffix.lower() in CONFIG_SUFFIXES or (source in list_recipes() and not path.exists()):
        tree, _ = read_settings(source)
        if "variants" in tree:
            return next(iter(load_study(source, settings).configs.values())).data
        if "changes" in tree:
            return next(iter(load_ablation(source, settings).load_phase("screen", NO_CHANGE).configs.values())).data
        return load_config(source, settings).data
    if others := settings.keys() - {"data"}:
        raise UserError(f"{min(others)}: no setting of the images; give data.key=value")
    section = _guess_section(source, path)
    chosen = settings.get("data", {})
    if isinstance(chosen, dict):
        for key in ("root", "hub") if path.exists() else ("source",):
            if key in chosen and chosen[key] != section.get(key):
                raise UserError(f"data.{key}: other images than those of {shorten(source)}; name one of them alone")
        chosen = merge(section, chosen)
    return validate_config(_Data, {"data": chosen}, shorten(source)).data


def is_run(source: str) -> bool:
    """Return whether a word is the path of a run folder."""
    return bool(source) and (expand_path("SOURCE", source) / RUN_CONFIG).is_file()


def list_sets() -> list[str]:
    """Return the names of the image sets that need no path."""
    return [name for name in get_args(SourceName) if name not in PATH_SOURCES]


def _read_run_data(run: Path) -> dict[str, Any]:
    section = read_yaml(run / RUN_CONFIG).get("data")
    if not isinstance(section, dict):
        raise UserError(f"{run / RUN_CONFIG}: data: missing; name a run folder, or a folder of images")
    return {"version": 1} | section


def _guess_section(source: str, path: Path) -> dict[str, Any]:
    """Return the settings of a folder, a file or a set that no config describes.

    Raises:
        UserError: There is none.
    """
    channels, side = DEFAULT_SHAPES.get(source, DEFAULT_SHAPE)
    shape = {"image_size": side, "channels": channels}
    if path.exists():
        return {"source": guess_source(path), "root": str(path), **shape}
    names = list_sets()
    if source in names:
        return {"source": source, **shape}
    nearest = suggest_nearest(source, [*names, *list_recipes()])
    raise UserError(
        f"{shorten(source)}: neither a folder, a file, a recipe nor a set of images{nearest}; the sets are"
        f" {', '.join(names)}"
    )
