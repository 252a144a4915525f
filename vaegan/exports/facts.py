"""What a model's card says of it, read from the run's folder; nothing that names a folder of this machine."""

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from vaegan.config.schema import Config
from vaegan.errors import UserError
from vaegan.io import read_bytes
from vaegan.models import Autoencoder
from vaegan.storage.loading import get_model_folder
from vaegan.storage.run_folder import ExportedModel, Run, read_description
from vaegan.storage.training_cost import read_training_cost


@dataclass(frozen=True)
class Facts:
    """What is known of a model."""

    name: str
    """Its name."""
    model: Autoencoder
    """The model itself."""
    description: ExportedModel
    """The description of its exported form."""
    config: Config | None = None
    """The config of its run; None: the folder holds the model alone."""
    splits: Mapping[str, int] = field(default_factory=dict)
    """Number of images of each split; empty: the run has no list of them."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Figures of the run's evaluation; empty: this model was not evaluated."""
    protocol: Mapping[str, Any] = field(default_factory=dict)
    """The choices that the figures depend on."""
    cost: Mapping[str, float] = field(default_factory=dict)
    """`seconds` and `memory_bytes` of the training; empty: they are not known."""


def read_facts(path: Path, model: Autoencoder, notify: Callable[[str], None], name: str | None = None) -> Facts:
    """Read what a run's folder says of its model.

    Args:
        path: The run's folder, or the folder of an exported model.
        model: The model.
        notify: Called with one line about each file that cannot be read, and is passed over.
        name: Name of the model; None: that of the folder.

    Raises:
        UserError: The config or the description is damaged.
    """
    description, run = read_description(get_model_folder(path)), Run(path)
    name = path.absolute().name if name is None else name
    if not run.exists:
        return Facts(name, model, description)
    metrics, protocol = _read_figures(run, description.sha256, notify)
    cost = read_training_cost(run.timing_file, notify) if run.timing_file.exists() else {}
    return Facts(name, model, description, run.config, _count_images(run, notify), metrics, protocol, cost)


def _count_images(run: Run, notify: Callable[[str], None]) -> dict[str, int]:
    try:
        members = run.members
    except UserError as error:
        notify(f"{error}; the card does not count the images")
        return {}
    counts = Counter(member.split for member in members.members if member.split) if members is not None else Counter()
    return {split: counts[split] for split in ("train", "validation", "test") if counts[split]}


def _read_figures(
    run: Run, weights: str, notify: Callable[[str], None]
) -> tuple[dict[str, float], dict[str, Any]]:  # fmt: skip
    """Return metrics and protocol of a run's evaluation; nothing if there is none of these weights."""
    try:
        contents = json.loads(read_bytes(run.metrics_file))
        metrics, protocol = dict(contents["metrics"]), dict(contents["protocol"])
        measured = protocol.pop("origin", {}).get("weights")
        if not all(isinstance(value, int | float) and math.isfinite(value) for value in metrics.values()):
            raise ValueError("not finite numbers")
    except FileNotFoundError:
        return {}, {}
    except (AttributeError, KeyError, OSError, RecursionError, TypeError, ValueError):
        notify(f"{run.metrics_file}: not what an evaluation writes; the card has no figures")
        return {}, {}
    if "other_data" in protocol:  # it names images
        protocol["other_data"] = "the images were not those that the run was trained on"
    if measured != weights:
        remedy = f"the card has no figures before `vaegan evaluate {run.path}`"
        notify(f"{run.metrics_file}: measured on other weights; {remedy}")
        return {}, {}
    return metrics, protocol


def hide_paths(value: Any) -> Any:
    """Return nested data with every absolute path replaced by its last part."""
    if isinstance(value, Mapping):
        return {str(key): hide_paths(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [hide_paths(item) for item in value]
    if isinstance(value, Path):
        value = str(value)
    if not isinstance(value, str):
        return value
    text = value.removeprefix("file://")
    for kind in (PurePosixPath, PureWindowsPath):
        if kind(text).is_absolute() or text.startswith("~"):
            return kind(text).name
    return value
