"""The folder of an autoencoder of diffusers: `config.json` and weights under diffusers' own names."""

import json
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import Tensor

from vaegan.code_scale import CodeScale
from vaegan.config.architectures import DiffusersConfig
from vaegan.errors import UserError
from vaegan.io import replace_folder, save_tensors
from vaegan.models import Autoencoder
from vaegan.networks.diffusers_autoencoder import complete_settings
from vaegan.text import encode_text

from .loading import get_model_folder, load
from .run_folder import ExportedModel, read_description

DIFFUSERS_CONFIG_FILE, DIFFUSERS_WEIGHTS_FILE = "config.json", "diffusion_pytorch_model.safetensors"
"""Names of the files of such a folder."""
PARTS = ("encoder", "decoder")
"""Parts of an autoencoder, whose names the names of its weights begin with."""


def export_to_diffusers(
    path: Path, folder: Path, write_texts: Callable[[Autoencoder], Mapping[str, str]] = lambda model: {}
) -> dict[str, Any]:
    """Write the averaged model of a run as the folder of its class of diffusers, and return the config written there.

    The weights are float32. `scaling_factor` is 1 / the standard deviation of the codes that the training has measured
    at its end, and `shift_factor` their mean where the class knows it; codes of a model of latent diffusion are
    (code - shift_factor) scaling_factor.

    Args:
        path: The run's folder, or the folder of an exported model.
        folder: The folder, which is replaced.
        write_texts: Returns further files of the folder, texts by their names, of the model.

    Raises:
        UserError: There is no model, it has other networks, or its training is not finished.
        OSError: A file cannot be written.
    """
    description = read_description(get_model_folder(path))
    config, scale = description.model, description.code_scale
    if not isinstance(config, DiffusersConfig):
        remedy = "export it with --format onnx, torch or safetensors, or train with model.network=diffusers"
        raise UserError(f"{path}: diffusers has no class for its networks; {remedy}")
    if scale is None:
        remedy = "its training has not measured the scale of its codes; finish it with `vaegan train ... --resume`"
        raise UserError(f"{path}: {remedy}")
    settings = make_diffusers_config(description, config, scale)
    model = load(path)
    weights, texts = name_for_diffusers(model.state_dict()), write_texts(model)
    with replace_folder(folder) as partial:
        save_tensors({name: tensor.float() for name, tensor in weights.items()}, partial / DIFFUSERS_WEIGHTS_FILE,
                     {"format": "pt"})  # fmt: skip
        (partial / DIFFUSERS_CONFIG_FILE).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
        for name, text in texts.items():
            (partial / name).write_bytes(encode_text(text))
    return settings


def make_diffusers_config(description: ExportedModel, config: DiffusersConfig, scale: CodeScale) -> dict[str, Any]:
    """Return the `config.json` of diffusers for an exported model.

    Args:
        description: The exported model.
        config: Its `model` section.
        scale: Scale of its codes.
    """
    name = config.diffusers["_class_name"]
    settings = complete_settings(config, description.image_shape)
    own = {"scaling_factor": 1 / scale.std, "shift_factor": scale.mean, "sample_size": description.image_shape[1]}
    settings |= {key: value for key, value in own.items() if key in settings}
    settings |= {key: None for key in ("latents_mean", "latents_std") if key in settings}  # they are of other codes
    return {"_class_name": name, "_diffusers_version": version("diffusers"), **settings}


def name_for_diffusers(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of encoder and decoder of `DiffusersConfig` under the names that they have in diffusers."""
    return {key: tensor for name, tensor in weights.items() for part, _, key in [name.partition(".")] if part in PARTS}
