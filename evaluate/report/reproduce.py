"""What it takes to make a comparison again: commands, versions, protocols."""

import json
import platform
import shlex
from os.path import relpath
from pathlib import Path
from typing import Any

import yaml

import vaegan

from ..comparing.comparison import Comparison, EvaluatedRun
from ..metrics.build import get_feature_network
from ..metrics.feature_extractors import INCEPTION


def list_commands(comparison: Comparison, name: str, folder: Path) -> str:
    """What trains and judges the runs of a variant again, in the study's folder."""
    again = []
    for judged in comparison.judged[name].values():
        place = shlex.quote(relpath(judged.run.path, folder))
        words = "".join(f" {shlex.quote(word)}" for word in _judged_otherwise(judged, folder))
        again += [f"vaegan train {place}/config.yaml{words} --output again/{place}", f"vaegan evaluate again/{place}"]
    return "\n".join(again)


def get_classifier_command(comparison: Comparison, folder: Path) -> str:
    """What trains the classifier again in whose features sets were compared; empty: there was none."""
    config = comparison.first.config.evaluate
    network = shlex.quote(_in_folder(config.features, folder))
    used = get_feature_network(config) not in (None, INCEPTION)
    return f"vaegan train-features {network}/config.yaml --output again/{network}" if used else ""


def _judged_otherwise(judged: EvaluatedRun, folder: Path) -> list[str]:
    """Settings by which the study judged a run, and the run's own config would not, as ``key=value``."""
    written = judged.run.config.evaluate.model_dump(mode="json")
    used = judged.config.evaluate.model_dump(mode="json")
    used["features"] = _in_folder(used["features"], folder)
    return [
        f"evaluate.{key}={value if isinstance(value, str) else json.dumps(value)}"
        for key, value in used.items()
        if value != written[key]
    ]


def _in_folder(features: str, folder: Path) -> str:
    """A network as the study's folder knows it."""
    return features if features == INCEPTION else relpath(features, folder)


def format_control_protocols(comparison: Comparison) -> str:
    """What is particular to the real images that were judged in the place of a model."""
    common = get_common_protocol(comparison)
    return to_yaml(
        {
            name: {key: value for key, value in control.protocol.items() if common.get(key) != value}
            for name, control in comparison.controls.items()
        }
    )


def get_versions(comparison: Comparison) -> dict[str, str]:
    """Of everything that figures depend on."""
    protocol = comparison.first.evaluation.protocol
    return {"vaegan": vaegan.__version__, "python": platform.python_version(), **protocol["versions"]}


def get_common_protocol(comparison: Comparison) -> dict[str, Any]:
    """What all runs were judged by alike."""
    protocols = [run.evaluation.protocol for runs in comparison.judged.values() for run in runs.values()]
    return {
        key: value
        for key, value in protocols[0].items()
        if all(key in each and each[key] == value for each in protocols)
    }


def format_own_protocols(comparison: Comparison, name: str) -> dict[int, str]:
    """What is particular to each run of a variant."""
    common = get_common_protocol(comparison)
    return {
        seed: to_yaml({key: value for key, value in run.evaluation.protocol.items() if key not in common})
        for seed, run in comparison.judged[name].items()
    }


def to_yaml(found: dict[str, Any]) -> str:
    """YAML for a reader."""
    return yaml.safe_dump(found, sort_keys=False, allow_unicode=True)
