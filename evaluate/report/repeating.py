"""What it takes to make a comparison again: commands, versions, protocols."""

import platform
import shlex
from os.path import relpath
from pathlib import Path
from typing import Any

import yaml

import vaegan

from ..comparing.comparison import Comparison
from ..metrics.extractors import INCEPTION
from ..runner import feature_network


def commands(comparison: Comparison, name: str, folder: Path) -> str:
    """What trains and judges the runs of a variant again, in the study's folder."""
    places = [shlex.quote(relpath(judged.run.path, folder)) for judged in comparison.judged[name].values()]
    again = [f"vaegan train {place}/config.yaml --output again/{place}" for place in places]
    network = _network(comparison, folder)
    features = f" --features {network}" if network else ""
    asked = comparison.first.config.evaluate.density
    density = f" --density {asked}" if asked else ""
    return "\n".join([*again, *(f"vaegan evaluate {place}{features}{density}" for place in places)])


def feature_command(comparison: Comparison, folder: Path) -> str:
    """What trains the classifier again in whose features sets were compared; empty: there was none."""
    network = _network(comparison, folder)
    return network and f"vaegan train-features {network}/config.yaml --output again/{network}"


def _network(comparison: Comparison, folder: Path) -> str:
    """The run of that classifier, in the study's folder; empty: there was none."""
    network = feature_network(comparison.first.config.evaluate)
    return "" if network in (None, INCEPTION) else shlex.quote(relpath(network, folder))


def control_protocols(comparison: Comparison) -> str:
    """What is particular to the real images that were judged in the place of a model."""
    common = common_protocol(comparison)
    return as_text(
        {
            name: {key: value for key, value in control.protocol.items() if common.get(key) != value}
            for name, control in comparison.controls.items()
        }
    )


def versions(comparison: Comparison) -> dict[str, str]:
    """Of everything that figures depend on."""
    protocol = comparison.first.evaluation.protocol
    return {"vaegan": vaegan.__version__, "python": platform.python_version(), **protocol["versions"]}


def common_protocol(comparison: Comparison) -> dict[str, Any]:
    """What all runs were judged by alike."""
    protocols = [run.evaluation.protocol for runs in comparison.judged.values() for run in runs.values()]
    return {
        key: value
        for key, value in protocols[0].items()
        if all(key in each and each[key] == value for each in protocols)
    }


def own_protocols(comparison: Comparison, name: str) -> dict[int, str]:
    """What is particular to each run of a variant."""
    common = common_protocol(comparison)
    return {
        seed: as_text({key: value for key, value in run.evaluation.protocol.items() if key not in common})
        for seed, run in comparison.judged[name].items()
    }


def as_text(found: dict[str, Any]) -> str:
    """YAML for a reader."""
    return yaml.safe_dump(found, sort_keys=False, allow_unicode=True)
