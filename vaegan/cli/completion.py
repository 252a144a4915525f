"""Completion in a shell: recipes, settings, folders of runs, and the values of options.

The shell starts `vaegan` at every press of the tab key, so nothing here imports torch.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, get_args

import click
from click.shell_completion import CompletionItem

from vaegan.errors import UserError
from vaegan.paths import HUB_PREFIX, expand_path, refuse_hub_name

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]
"""Returns the completions of an incomplete word."""


class UserPath(click.Path):
    """A path that is not empty; ~ in it is the home folder, which a shell does not replace in ``--output=~/x``."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path.

        Raises:
            UserError: It is the name of a model on the Hub, or no path.
        """
        name = "path" if param is None else param.human_readable_name.rstrip(".")
        name = max(param.opts, key=len) if isinstance(param, click.Option) else name
        refuse_hub_name(name, str(value))
        return expand_path(name, value)


class FolderPath(UserPath):
    """A path that is completed by folders alone."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the item that tells the shell to complete folders."""
        return [CompletionItem(incomplete, type="dir")]


class ModelPath(FolderPath):
    """The folder of a run, or the name of a model on the Hub, which `fetch_if_on_hub` fetches."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path; of a name on the Hub one that begins with `HUB_FOLDER`."""
        return Path(value) if str(value).startswith(HUB_PREFIX) else super().convert(value, param, ctx)


def complete_words(*words: str, path: str | None = None) -> Completer:
    """Return a completer of words, and beside them of paths: "file", "dir" or none."""
    return lambda context, parameter, incomplete: _select(words, incomplete, path)


def complete_recipe(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a recipe of one run, or a file."""
    recipes = _read_recipes()
    return _select((name for name, text in recipes.items() if _get_kind(text) == "run"), incomplete, "file")


def complete_study(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a recipe of a study, or a file."""
    return _select((name for name, text in _read_recipes().items() if _get_kind(text) == "study"), incomplete, "file")


def complete_ablation(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a recipe of an ablation, or a file."""
    names = (name for name, text in _read_recipes().items() if _get_kind(text) == "ablation")
    return _select(names, incomplete, "file")


def complete_labelled_set(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a set that has a recipe for its classifier, or a file."""
    from vaegan.config.load_study_files import CLASSIFIER_SUFFIX

    sets = (name.removesuffix(CLASSIFIER_SUFFIX) for name in _read_recipes() if name.endswith(CLASSIFIER_SUFFIX))
    return _select(sets, incomplete, "file")


def complete_source(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of an image set or of a recipe, or a file or folder."""
    from vaegan.config.load_data import list_sets

    return _select([*list_sets(), *_read_recipes()], incomplete, "file")


def complete_metrics(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the last name of a list of metrics, which are separated by commas."""
    from vaegan.config.schema import MetricName

    before = incomplete[: incomplete.rfind(",") + 1]
    return _select((before + name for name in get_args(MetricName)), incomplete)


def complete_override(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the key of a setting of the command's config; where one key is left, its value, or a choice of them.

    Bash hands over ``train.steps=5`` as three words.
    """
    try:
        settings = _load_settings(context.params)
    except UserError:  # of the config
        return []
    key, last = ["", "", *context.params["overrides"]][-2:]
    if last == "=" or last in settings:
        return _select(_list_values(key if last == "=" else last, settings), incomplete)
    keys = [key for key in settings if f"{key}=".startswith(incomplete) or incomplete.startswith(f"{key}=")]
    values = _list_values(keys[0], settings) if len(keys) == 1 else []
    return _select([*(f"{key}=" for key in keys), *(f"{keys[0]}={value}" for value in values)], incomplete)


def _load_settings(parameters: dict[str, str]) -> dict[str, str]:
    """Return the value of every setting of a command's config, by its key, as it is written in an override.

    Raises:
        UserError: There is no such config.
    """
    from vaegan.config import load_config, load_study
    from vaegan.config.differences import flatten
    from vaegan.config.load_ablation import NO_CHANGE, load_ablation
    from vaegan.config.load_data import load_data_config
    from vaegan.config.load_study_files import load_classifier_config

    tree: dict[str, object] = {}
    if study := parameters.get("study"):
        loaded = load_study(study)
        variant = next(iter(loaded.configs.values()))
        tree = loaded.study.model_dump(mode="json", exclude={"variants", "shared"})
        tree |= variant.model_dump(mode="json", exclude={"seed"})
    elif ablation := parameters.get("ablation"):
        loaded_ablation = load_ablation(ablation)
        base = next(iter(loaded_ablation.load_phase("screen", NO_CHANGE).configs.values()))
        tree = loaded_ablation.ablation.model_dump(mode="json", exclude={"base", "changes"})
        tree |= base.model_dump(mode="json", exclude={"seed": True, "train": {"steps"}, "evaluate": {"split"}})
    elif data := parameters.get("data"):
        tree = load_classifier_config(data)[1].model_dump(mode="json")
    elif source := parameters.get("source"):
        tree["data"] = load_data_config(source).model_dump(mode="json")
    elif config_name := parameters.get("config"):
        tree = load_config(config_name).model_dump(mode="json")
    return {key: _format_value(value) for key, value in flatten(tree).items()}


def _list_values(key: str, settings: dict[str, str]) -> list[str]:
    """Return the value of a setting, and others if it is a choice of words; nothing of an unknown key."""
    if key not in settings:
        return []
    from vaegan.config.describe_schema import get_child, get_schema_node
    from vaegan.config.schema import Config

    node = get_schema_node(Config)
    for part in key.split("."):
        node = get_child(get_child(node, settings["model.family"]) if "families" in node else node, part)
    choices = [word for choice in node.get("anyOf", [node]) for word in _list_choices(choice)]
    return list(dict.fromkeys([settings[key], *choices]))


def _list_choices(node: dict[str, Any]) -> list[str]:
    words: list[str] = {"boolean": ["true", "false"], "null": ["null"]}.get(node.get("type", ""), node.get("enum", []))
    return words


def _format_value(value: object) -> str:
    """Return a value as YAML without spaces and quotes, which a shell would take for its own."""
    if isinstance(value, list):
        return f"[{','.join(map(_format_value, value))}]"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _read_recipes() -> dict[str, str]:
    from vaegan.config import list_recipes

    return {name: path.read_text(encoding="utf-8") for name, path in list_recipes().items()}


def _get_kind(text: str) -> str:
    """Return what a recipe is of: a `run`, a `study` or an `ablation`."""
    return "study" if "\nvariants:" in text else "ablation" if "\nchanges:" in text else "run"


def _select(words: Iterable[str], incomplete: str, path: str | None = None) -> list[CompletionItem]:
    """Return the words without spaces that start with ``incomplete``, and paths, which bash takes if no word does."""
    paths = [CompletionItem(incomplete, type=path)] if path else []
    return [*paths, *(CompletionItem(word) for word in words if word.startswith(incomplete) and " " not in word)]
