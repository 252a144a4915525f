"""Commands, versions and protocols that reproduce a comparison."""

import json
import platform
import shlex
from os.path import relpath
from pathlib import Path
from typing import Any

import yaml

import vaegan

from ..comparing.comparison import Comparison
from ..metrics.build import get_feature_network
from ..metrics.feature_extractors import INCEPTION
from ..result import EvaluatedRun


def list_commands(comparison: Comparison, name: str, folder: Path) -> str:
    """Return the commands that train and evaluate the runs of a variant again, a line each.

    Args:
        comparison: The study.
        name: Name of the variant.
        folder: Folder of the study, in which the commands are run.
    """
    commands = []
    for evaluated in comparison.runs[name].values():
        path = shlex.quote(relpath(evaluated.run.path, folder))
        overrides = "".join(f" {shlex.quote(override)}" for override in _list_overrides(evaluated, folder))
        commands += [
            f"vaegan train {path}/config.yaml{overrides} --output again/{path}",
            f"vaegan evaluate again/{path}",
        ]
    return "\n".join(commands)


def get_classifier_command(comparison: Comparison, folder: Path) -> str:
    """Return the command that trains the feature network again; empty if it is Inception, or none was used.

    Args:
        comparison: The study.
        folder: Folder of the study, in which the command is run.
    """
    config = comparison.first.config.evaluate
    network = shlex.quote(_get_relative_features(config.features, folder))
    is_classifier = get_feature_network(config) not in (None, INCEPTION)
    return f"vaegan train-features {network}/config.yaml --output again/{network}" if is_classifier else ""


def list_versions(comparison: Comparison) -> dict[str, str]:
    """Return the version of each package that metrics depend on."""
    protocol = comparison.first.evaluation.protocol
    return {"vaegan": vaegan.__version__, "python": platform.python_version(), **protocol["versions"]}


def get_common_protocol(comparison: Comparison) -> dict[str, Any]:
    """Return the part of the protocol that is the same for all runs."""
    protocols = [run.evaluation.protocol for runs in comparison.runs.values() for run in runs.values()]
    return {
        key: value
        for key, value in protocols[0].items()
        if all(key in protocol and protocol[key] == value for protocol in protocols)
    }


def format_own_protocols(comparison: Comparison, name: str) -> dict[int, str]:
    """Return, for each seed of a variant, the part of the protocol that is not common to all runs, as YAML."""
    common = get_common_protocol(comparison)
    return {
        seed: to_yaml({key: value for key, value in run.evaluation.protocol.items() if key not in common})
        for seed, run in comparison.runs[name].items()
    }


def format_control_protocols(comparison: Comparison) -> str:
    """Return, for each negative control, the part of its protocol that differs from that of the runs, as YAML."""
    common = get_common_protocol(comparison)
    return to_yaml(
        {
            name: {key: value for key, value in control.protocol.items() if common.get(key) != value}
            for name, control in comparison.controls.items()
        }
    )


def to_yaml(value: dict[str, Any]) -> str:
    """Return a dict as YAML, in its own order."""
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True)


def _list_overrides(evaluated: EvaluatedRun, folder: Path) -> list[str]:
    """Return ``key=value`` for each evaluation setting of the study that differs from the run's own config."""
    written = evaluated.run.config.evaluate.model_dump(mode="json")
    used = evaluated.config.evaluate.model_dump(mode="json")
    used["features"] = _get_relative_features(used["features"], folder)
    return [
        f"evaluate.{key}={value if isinstance(value, str) else json.dumps(value)}"
        for key, value in used.items()
        if value != written[key]
    ]


def _get_relative_features(features: str, folder: Path) -> str:
    """Return a feature network's path relative to the study's folder, or the name of Inception."""
    return features if features == INCEPTION else relpath(features, folder)
