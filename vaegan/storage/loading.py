"""Trained models, read back from run folders."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from vaegan.config.models import AdversaryConfig
from vaegan.errors import UserError
from vaegan.models import Autoencoder, Classifier, Model, build_model
from vaegan.models.discriminator import build_discriminator
from vaegan.networks.discriminator import Discriminator
from vaegan.text import to_one_line, to_short_word

from .checkpoints import load_newest_checkpoint
from .runs import DESCRIPTION_FILE, WEIGHTS_FILE, ExportedModel, Run, read_description

Kind = TypeVar("Kind", bound=Model)


def load(path: str | Path) -> Autoencoder:
    """The trained model of a run, on the CPU, ready to encode, decode, reconstruct and sample.

    Args:
        path: The run's folder, or an exported model's own.

    Raises:
        UserError: There is no model, or it is damaged, or no autoencoder.
    """
    return _of_kind(path, Autoencoder, "`vaegan evaluate` measures it")


def load_class_names(path: str | Path) -> tuple[str, ...]:
    """The names of the classes of a run's conditional model, in order; () where it has none, or they were not told.

    Args:
        path: As of `load`.

    Raises:
        UserError: There is no model, or it is damaged.
    """
    return read_description(_folder(Path(path))).classes or ()


def load_classifier(path: str | Path) -> Classifier:
    """The trained classifier of a run, on the CPU, ready to give `features` of images.

    Args:
        path: The run's folder, or an exported model's own.

    Raises:
        UserError: There is no model, or it is damaged, or no classifier.
    """
    return _of_kind(path, Classifier, "`vaegan train-features` trains one")


def load_model(path: str | Path) -> Model:
    """The trained model of a run of any family, on the CPU, in evaluation mode and without gradients.

    Args:
        path: The run's folder, or an exported model's own.

    Raises:
        UserError: There is no model, or it is damaged.
    """
    run, folder = Run(Path(path)), _folder(Path(path))
    described = read_description(folder)
    if folder != run.path and run.exists and not described.belongs_to(run.config):
        raise UserError(f"{folder / DESCRIPTION_FILE}: not the model of {run.config_file}")
    try:
        weights = load_file(folder / WEIGHTS_FILE)
        dtype = _type(weights, described)
    except (SafetensorError, ValueError) as error:
        raise UserError(
            f"{folder / WEIGHTS_FILE}: not the weights of the model in {DESCRIPTION_FILE} ({to_one_line(error)})"
        ) from None
    model = build_model(described.model, described.image_shape, seed=0)
    model.to(dtype, memory_format=torch.channels_last)  # type: ignore[call-overload] # as trained: the same bits
    model.load_state_dict(weights)
    return model.eval().requires_grad_(False)


def load_discriminator(run: Run, notify: Callable[[str], None]) -> Discriminator | None:
    """The discriminator of a run's newest checkpoint, on the CPU; None: the run has none.

    Args:
        run: The run.
        notify: Told in one line of each checkpoint that is passed over.

    Raises:
        UserError: The checkpoint is not one of this run.
    """
    config = run.config
    if not isinstance(config.model, AdversaryConfig):
        return None
    checkpoint = load_newest_checkpoint(run.checkpoints, notify)
    if checkpoint is None:
        return None
    network = build_discriminator(config.model, config.data.image_shape, config.seed)
    network.to(getattr(torch, config.train.dtype), memory_format=torch.channels_last)  # type: ignore[call-overload]
    try:
        network.load_state_dict(checkpoint.tensors["discriminator"])
    except (KeyError, RuntimeError) as error:
        raise UserError(f"{run.checkpoints}: not the checkpoints of {run.config_file} ({to_one_line(error)})") from None
    return network.eval().requires_grad_(False)


def _of_kind(path: str | Path, kind: type[Kind], mend: str) -> Kind:
    model = load_model(path)
    if not isinstance(model, kind):
        raise UserError(f"{path}: the run of a {type(model).__name__}, no {kind.__name__}; {mend}")
    return model


def _folder(path: Path) -> Path:
    """The exported model's folder, which a path is itself or that of the run of."""
    return path if (path / DESCRIPTION_FILE).is_file() else Run(path).model_folder


def _type(weights: Mapping[str, Tensor], described: ExportedModel) -> torch.dtype:
    """The type of a model's weights, once they are seen to be those of its networks; ValueError where they are not.

    Nothing is allocated for it: a short description may ask for networks that no machine could hold.
    """
    with torch.device("meta"):
        wanted = build_model(described.model, described.image_shape, seed=0).state_dict()
    if wanted.keys() != weights.keys():
        raise ValueError(f"{to_short_word(min(wanted.keys() ^ weights.keys()))} is only in one of them")
    for name, weight in weights.items():
        if weight.shape != wanted[name].shape or weight.dtype not in (torch.float32, torch.float64):
            raise ValueError(f"{name}: {weight.dtype} of shape {tuple(weight.shape)}, not {tuple(wanted[name].shape)}")
    return weight.dtype
