"""The weights that a training starts from: those of a run, or of a folder of diffusers, by whole parts."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from vaegan.config.architectures import DiffusersConfig
from vaegan.errors import Failure, UserError
from vaegan.io import hash_file, load_tensors, read_bytes
from vaegan.models.continuous import ContinuousAutoencoder
from vaegan.networks.diffusers_autoencoder import complete_settings
from vaegan.paths import HUB_PREFIX
from vaegan.text import format_value, shorten, to_one_line

from .diffusers_folder import DIFFUSERS_CONFIG_FILE, DIFFUSERS_WEIGHTS_FILE, PARTS, name_for_diffusers
from .hub import fetch_files, parse_hub_name
from .loading import get_model_folder
from .run_folder import DESCRIPTION_FILE, WEIGHTS_FILE, Run, read_description, read_diffusers_config

DIFFUSERS_INDEX_FILE = f"{DIFFUSERS_WEIGHTS_FILE}.index.json"
"""Name of the file that says which of several files each weight is in."""
HUB_FILES = (
    DIFFUSERS_CONFIG_FILE, DIFFUSERS_WEIGHTS_FILE, DIFFUSERS_INDEX_FILE,
    DIFFUSERS_WEIGHTS_FILE.replace(".", "-*-of-*."), WEIGHTS_FILE,
)  # fmt: skip
"""Names of the files that are fetched from the Hub."""
EARLIER_NAMES = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
"""Names of the layers of diffusers' attention, by those that they had before version 0.12."""
SETTINGS_WITHOUT_WEIGHTS = (
    "scaling_factor", "shift_factor", "latents_mean", "latents_std", "sample_size", "force_upcast", "latent_magnitude",
    "latent_shift",
)  # fmt: skip
"""Settings of diffusers' classes that change nothing in what encoder and decoder compute."""


@dataclass(frozen=True)
class InitialWeights:
    """Weights of encoder and decoder."""

    source: str
    """Folder that they were read from, as the config names it."""
    sha256: dict[str, str]
    """SHA-256 of each file of weights, hexadecimal, by its name."""
    tensors: dict[str, Tensor]
    """Weights by their names in the model."""

    def load_into(self, model: nn.Module) -> None:
        """Load the weights into encoder and decoder of the model that they were checked for."""
        for part, tensors in self._split().items():
            model.get_submodule(part).load_state_dict(tensors)

    def describe(self) -> str:
        """Return a line that says what was taken."""
        parts = " and ".join(f"{part} ({len(tensors)} tensors)" for part, tensors in self._split().items())
        files = ", ".join(f"{name} ({digest[:12]})" for name, digest in self.sha256.items())
        return f"train.init: {self.source}: took {parts}, from {files}"

    def _split(self) -> dict[str, dict[str, Tensor]]:
        return {
            part: {
                name.removeprefix(f"{part}."): tensor
                for name, tensor in self.tensors.items()
                if name.startswith(f"{part}.")
            }
            for part in PARTS
        }


def read_initial_weights(source: str, model: ContinuousAutoencoder) -> InitialWeights:
    """Read the weights of encoder and decoder from a run or a folder of diffusers; nothing is unpickled.

    Args:
        source: Value of `train.init`.
        model: The model that is to be trained, of which only names and shapes of the weights are read.

    Raises:
        UserError: There is no such folder, it is damaged, or its parts are not those of the model.
        Failure: The Hub cannot be reached.
        OSError: A file cannot be read.
    """
    check_source(source)
    folder = fetch_folder(source) if source.startswith(HUB_PREFIX) else Path(source)
    settings = read_diffusers_config(folder)
    try:
        if settings is None:
            exported = read_description(get_model_folder(folder)).model
            settings = exported.diffusers if isinstance(exported, DiffusersConfig) else None
            files = [get_model_folder(folder) / WEIGHTS_FILE]
            weights = load_tensors(files[0])
            tensors = {name: weight for name, weight in weights.items() if name.partition(".")[0] in PARTS}
        else:
            files = list_weight_files(folder)
            tensors = name_for_model(dict(chain.from_iterable(load_tensors(file).items() for file in files)))
        if settings is not None:
            check_settings(settings, model)
        check_parts(tensors, model)
    except (SafetensorError, UserError, ValueError) as error:
        raise UserError(f"train.init: {source}: {to_one_line(error)}") from None
    return InitialWeights(source, {file.name: hash_file(file) for file in files}, tensors)


def check_source(source: str) -> None:
    """Check that `train.init` names a run or a folder of diffusers; one on the Hub is looked for when it is fetched.

    Raises:
        UserError: It does not.
    """
    if not source.startswith(HUB_PREFIX) and not os.path.isdir(source):  # false also for a path that is too long
        raise UserError(f"train.init: {shorten(source)}: no such folder; name a run, or a folder of diffusers")
    folder = Path(source)
    if not source.startswith(HUB_PREFIX) and not (
        read_diffusers_config(folder) or (get_model_folder(folder) / DESCRIPTION_FILE).exists() or Run(folder).exists
    ):
        raise UserError(f"train.init: {shorten(source)}: neither a run nor a folder of diffusers; name one")


def fetch_folder(name: str) -> Path:
    """Fetch the files of a folder on the Hub, and return the folder with them in the cache of huggingface_hub.

    Args:
        name: `hf://owner/name`, or `hf://owner/name/folder`, with `@revision` at its end or without.

    Raises:
        Failure: The Hub cannot be reached, or has no such folder.
    """
    place = parse_hub_name(name)
    patterns = [f"{place.folder}/{file}" if place.folder else file for file in HUB_FILES]
    try:
        return Path(fetch_files(place, patterns), place.folder)
    except Failure as failure:
        raise Failure(f"train.init: {name}: {failure}; give a folder that holds it") from None


def list_weight_files(folder: Path) -> list[Path]:
    """Return the files of weights of a folder of diffusers: one, or those that its index names.

    Raises:
        UserError: There are none, or the index names something else than files in the folder.
    """
    if (file := folder / DIFFUSERS_WEIGHTS_FILE).is_file():
        return [file]
    try:
        names = sorted({*json.loads(read_bytes(folder / DIFFUSERS_INDEX_FILE))["weight_map"].values()})
    except FileNotFoundError:
        raise UserError(f"holds no {DIFFUSERS_WEIGHTS_FILE}; other formats are not read") from None
    except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
        raise UserError(f"{DIFFUSERS_INDEX_FILE}: damaged ({to_one_line(error)})") from None
    for name in names:
        if not re.fullmatch(r"\w[\w.-]*\.safetensors", str(name)) or not (folder / name).is_file():
            raise UserError(f"{DIFFUSERS_INDEX_FILE}: {shorten(str(name))} is no file of weights in the folder")
    return [folder / name for name in names]


def check_settings(settings: Mapping[str, Any], model: ContinuousAutoencoder) -> None:
    """Check that a config of diffusers describes what encoder and decoder of a model compute.

    Another activation function, for example, has weights of the same names and shapes.

    Args:
        settings: The config, as `model.diffusers` has it.
        model: The model that is to get its weights.

    Raises:
        UserError: It does not.
    """
    config, name = model.config, settings["_class_name"]
    if not isinstance(config, DiffusersConfig):
        raise UserError(f"the networks are those of {shorten(str(name))} of diffusers; take model.network=diffusers")
    if config.diffusers["_class_name"] != name:
        raise UserError(f"{shorten(str(name))}, but model.diffusers._class_name is {config.diffusers['_class_name']}")
    here = complete_settings(config, model.image_shape)
    known = {key: settings[key] for key in ("_class_name", *here) if key in settings}
    there = complete_settings(config.model_copy(update={"diffusers": known}), model.image_shape)
    for key, value in here.items():
        if key in SETTINGS_WITHOUT_WEIGHTS or json.dumps(value) == json.dumps(there[key]):  # a tuple is a list there
            continue
        problem = f"{key} is {format_value(there[key])} there, but model.diffusers.{key} is {format_value(value)}"
        raise UserError(f"{problem}; give the settings of its networks")


def name_for_model(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of a model of diffusers under their names in a model of ours."""
    pattern = re.compile(rf"(\.attentions\.\d+)\.({'|'.join(EARLIER_NAMES)})\.")
    renamed = {}
    for name, tensor in weights.items():
        part = {"quant_conv": "encoder", "post_quant_conv": "decoder"}.get(
            name.partition(".")[0], name.partition(".")[0]
        )
        name = pattern.sub(lambda match: f"{match[1]}.{EARLIER_NAMES[match[2]]}.", name)
        renamed[f"{part}.{name}" if part in PARTS else f".{name}"] = tensor
    return renamed


def check_parts(weights: Mapping[str, Tensor], model: ContinuousAutoencoder) -> None:
    """Check that weights are those of encoder and decoder of a model, and are finite.

    Raises:
        UserError: One is missing, unknown, or has another shape.
    """
    expected = {name: value for name, value in model.state_dict().items() if name.partition(".")[0] in PARTS}
    is_diffusers = isinstance(model.config, DiffusersConfig)

    def show(name: str) -> str:
        return next(iter(name_for_diffusers({name: torch.empty(0)})), name) if is_diffusers else name

    for name, value in expected.items():
        if name not in weights:
            raise UserError(f"{show(name)} is missing; give the settings of its networks")
        if weights[name].shape != value.shape:
            problem = f"{show(name)} has shape {tuple(weights[name].shape)}, and {tuple(value.shape)} here"
            raise UserError(f"{problem}; give the settings of its networks")
    if unknown := next((name for name in weights if name not in expected), None):
        raise UserError(
            f"{shorten(show(unknown).lstrip('.'))} is no weight of the networks here; give the same settings"
        )
    for name, tensor in weights.items():
        if not tensor.is_floating_point() or not tensor.isfinite().all():
            raise UserError(f"{show(name)} holds values that are not finite numbers")
