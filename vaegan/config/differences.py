"""The settings in which two configs differ."""

from collections.abc import Mapping
from typing import Any

from vaegan.text import format_value

from .schema import Config

FlatSettings = dict[str, object]
"""Full key of each setting (``train.steps``) and its value."""

MAX_NAMED_DIFFERENCES = 4
"""Differences that a message names; it counts the others."""

SETTINGS_WITHOUT_EFFECT = {
    "data": {"root", "hub", "cache", "workers", "strict", "download"},
    "train": {
        "micro_batch_size", "checkpointing", "compile", "keep_checkpoints", "checkpoint_every", "sample_every", "nan",
        "disk_full", "grace_seconds", "init", "discriminator_features",
    },
    "prior": {"autoencoder"},
}  # fmt: skip
"""Settings that change the trained weights by no more than the rounding of sums: caching, division of work,
compilation, saving, handling of faults, and paths. The identity of the images is compared by their fingerprint, that of
an autoencoder under a prior by `model.autoencoder`, those of initial weights and of a discriminator's features by their
SHA-256."""


def get_training_settings(config: Config) -> FlatSettings:
    """Return the settings that determine a run's weights."""
    settings = flatten(
        config.model_dump(mode="json", exclude={"track": True, "evaluate": True, **SETTINGS_WITHOUT_EFFECT})
    )
    return settings | ({} if config.train.init is None else {"train.init": "given"})  # the path may be another one


def get_history_settings(config: Config) -> FlatSettings:
    """Return the settings that determine a run's history: the training's, and the evaluation's if it runs meanwhile."""
    evaluation = {"evaluate": config.evaluate.model_dump(mode="json")}
    return get_training_settings(config) | (flatten(evaluation) if config.train.evaluate_every is not None else {})


def flatten(tree: Mapping[str, Any], prefix: str = "") -> FlatSettings:
    """Flatten nested settings: ``{"train": {"steps": 10}}`` becomes ``{"train.steps": 10}``."""
    settings: FlatSettings = {}
    for key, value in tree.items():
        settings |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return settings


def describe_differences(before: FlatSettings, now: FlatSettings) -> str:
    """Describe the settings that differ, each by ``key: before -> now``; empty if none does."""
    changed = [
        f"{key}: {_format_setting(before, key)} -> {_format_setting(now, key)}"
        for key in {**before, **now}
        if key not in before or key not in now or before[key] != now[key]
    ]
    more = [f"and {len(changed) - MAX_NAMED_DIFFERENCES} more"] if len(changed) > MAX_NAMED_DIFFERENCES else []
    return "; ".join(changed[:MAX_NAMED_DIFFERENCES] + more)


def _format_setting(settings: FlatSettings, key: str) -> str:
    return format_value(settings[key]) if key in settings else "absent"
