"""What two configs differ in, setting by setting."""

from collections.abc import Mapping
from typing import Any

from vaegan.text import format_value

from .schema import Config

Settings = dict[str, object]
"""Full key of a setting (``train.steps``) and its value."""

MAX_NAMED_DIFFERENCES = 4
"""Differences that a message names; of the rest it gives the number."""

SETTINGS_WITHOUT_EFFECT = {
    "data": {"root", "cache", "workers", "strict", "download"},
    "train": {
        "micro_batch_size", "keep_checkpoints", "checkpoint_every", "sample_every", "nan", "disk_full", "grace_seconds",
    },
    "prior": {"autoencoder"},
}  # fmt: skip
"""How images are kept, work is divided and steps are saved, which changes nothing that is trained but the rounding of
sums; what happens after a fault; and where things lie. Whether they are the same images, their fingerprint says, and
whether it is the same VQ-VAE, `model.autoencoder`."""


def get_training_settings(config: Config) -> Settings:
    """The settings that a run's weights are a function of."""
    return flatten(config.model_dump(mode="json", exclude={"track": True, "evaluate": True, **SETTINGS_WITHOUT_EFFECT}))


def get_history_settings(config: Config) -> Settings:
    """The settings that a run's history is a function of: those, and how it is evaluated if it is on the way."""
    evaluation = {"evaluate": config.evaluate.model_dump(mode="json")}
    return get_training_settings(config) | (flatten(evaluation) if config.train.evaluate_every is not None else {})


def flatten(tree: Mapping[str, Any], above: str = "") -> Settings:
    """`{"train": {"steps": 10}}` as `{"train.steps": 10}`."""
    settings: Settings = {}
    for key, value in tree.items():
        settings |= flatten(value, f"{above}{key}.") if isinstance(value, Mapping) else {f"{above}{key}": value}
    return settings


def describe_differences(before: Settings, now: Settings) -> str:
    """The settings that differ, as ``key: before -> now``; empty if none does."""
    changed = [
        f"{key}: {format_value(before[key]) if key in before else 'absent'} -> {format_value(now[key]) if key in now else 'absent'}"
        for key in {**before, **now}
        if key not in before or key not in now or before[key] != now[key]
    ]
    more = [f"and {len(changed) - MAX_NAMED_DIFFERENCES} more"] if len(changed) > MAX_NAMED_DIFFERENCES else []
    return "; ".join(changed[:MAX_NAMED_DIFFERENCES] + more)
