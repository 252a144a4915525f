"""The settings of a finished model that others made or that a run has exported, as the `model` section of a config."""

import inspect
from pathlib import Path
from typing import Any

from vaegan.config.architectures import DIFFUSERS_CLASSES, ContinuousConfig
from vaegan.errors import UserError
from vaegan.extras import check_packages
from vaegan.paths import HUB_PREFIX
from vaegan.text import shorten

from .initial_weights import check_source, fetch_folder
from .loading import load
from .run_folder import read_diffusers_config


def read_model_settings(source: str) -> dict[str, Any]:
    """Return the `model` section of a config whose encoder and decoder can take the weights of a finished model.

    For a folder of diffusers the family is `vae` if its class gives a Gaussian posterior, else `ae`, and everything but
    the networks has the defaults of that family. For a run the settings are its own, with the scale that it has
    learned.

    Args:
        source: A run, a folder of diffusers, or the name of one on the Hub, as `train.init` has them.

    Raises:
        UserError: There is no such model, or none with a continuous code.
        Failure: The Hub cannot be reached.
    """
    check_source(source)
    folder = fetch_folder(source) if source.startswith(HUB_PREFIX) else Path(source)
    if (settings := read_diffusers_config(folder)) is not None:
        return _describe_diffusers(settings, source)
    config = load(folder).trained_config
    if not isinstance(config, ContinuousConfig):
        family = config.model_dump()["family"]
        raise UserError(f"{source}: a run of family {family}; name one with a continuous code, or train a variant")
    return config.model_dump(mode="json")


def _describe_diffusers(settings: dict[str, Any], source: str) -> dict[str, Any]:
    name = settings["_class_name"]
    if name not in DIFFUSERS_CLASSES:
        raise UserError(f"{source}: {shorten(str(name))}; allowed: {' | '.join(DIFFUSERS_CLASSES)}")
    check_packages(["diffusers"])
    import diffusers  # it takes seconds

    known = inspect.signature(getattr(diffusers, name).__init__).parameters
    own = {key: value for key, value in settings.items() if key in known}  # those of other versions change nothing
    family = "vae" if DIFFUSERS_CLASSES[name].gaussian else "ae"
    return {"family": family, "network": "diffusers", "diffusers": {"_class_name": name, **own}}
