"""Trained models, read from run folders."""

from collections.abc import Callable, Container, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from vaegan.config.models import GANConfig
from vaegan.errors import UserError
from vaegan.models import Autoencoder, Classifier, Model, build_model
from vaegan.networks.discriminator import Discriminator, build_discriminator
from vaegan.text import shorten, to_one_line

from .checkpoints import load_newest_checkpoint
from .run_folder import DESCRIPTION_FILE, WEIGHTS_FILE, Run, read_description

ModelT = TypeVar("ModelT", bound=Model)


def load(path: str | Path) -> Autoencoder:
    """Load the trained autoencoder of a run, on the CPU, ready to encode, decode, reconstruct and sample.

    Args:
        path: The run's folder, or the folder of an exported model.

    Raises:
        UserError: There is no model, it is damaged, or it is not an autoencoder.
    """
    return _load_as(Autoencoder, path, "`vaegan evaluate` measures it")


def load_class_names(path: str | Path) -> tuple[str, ...]:
    """Read the names of the classes of a run's conditional model, in order; () if the model or its data has none.

    Args:
        path: The run's folder, or the folder of an exported model.

    Raises:
        UserError: There is no model, or it is damaged.
    """
    return read_description(_get_model_folder(Path(path))).classes or ()


def load_classifier(path: str | Path) -> Classifier:
    """Load the trained classifier of a run, on the CPU, ready to compute `features` of images.

    Args:
        path: The run's folder, or the folder of an exported model.

    Raises:
        UserError: There is no model, it is damaged, or it is not a classifier.
    """
    return _load_as(Classifier, path, "`vaegan train-features` trains one")


def load_model(path: str | Path) -> Model:
    """Load the trained model of a run of any family, on the CPU, in evaluation mode and without gradients.

    Args:
        path: The run's folder, or the folder of an exported model.

    Raises:
        UserError: There is no model, it is damaged, or it is not the model of the run's config.
    """
    run, folder = Run(Path(path)), _get_model_folder(Path(path))
    description = read_description(folder)
    if folder != run.path and run.exists and not description.belongs_to(run.config):
        raise UserError(f"{folder / DESCRIPTION_FILE}: not the model of {run.config_file}")
    try:
        weights = load_file(folder / WEIGHTS_FILE)
        with torch.device("meta"):  # no memory: a short description may name networks that no machine could hold
            expected = build_model(description.model, description.image_shape, seed=0).state_dict()
        check_state_dict(weights, expected, (torch.float32, torch.float64))
    except (SafetensorError, ValueError) as error:
        problem = f"not the weights of the model in {DESCRIPTION_FILE} ({to_one_line(error)})"
        raise UserError(f"{folder / WEIGHTS_FILE}: {problem}") from None
    model = build_model(description.model, description.image_shape, seed=0)
    *_, weight = weights.values()
    model.to(weight.dtype, memory_format=torch.channels_last)  # type: ignore[call-overload] # as in training: same bits
    model.load_state_dict(weights)
    return model.eval().requires_grad_(False)


def load_discriminator(run: Run, notify: Callable[[str], None]) -> Discriminator | None:
    """Load the discriminator of a run's newest checkpoint, on the CPU, in evaluation mode and without gradients.

    Args:
        run: The run.
        notify: Called with one line about each damaged checkpoint that is skipped.

    Returns:
        The discriminator; None if the family has none, or there is no checkpoint.

    Raises:
        UserError: The checkpoint does not fit the run's config.
        FileFailure: The disk cannot be read.
    """
    config = run.config
    if not isinstance(config.model, GANConfig):
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


def check_state_dict(
    tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor], dtypes: Container[torch.dtype] | None = None
) -> None:
    """Check that tensors have the names, shapes and types of the expected ones.

    Args:
        tensors: Tensors by name.
        expected: The expected tensors by name; of these only shape and type are read.
        dtypes: Allowed types; by default the type of each expected tensor.

    Raises:
        ValueError: A name is only in one of the two, or a shape or a type differs.
    """
    if expected.keys() != tensors.keys():
        raise ValueError(f"{shorten(min(expected.keys() ^ tensors.keys()))} is only in one of them")
    for name, tensor in tensors.items():
        shape, dtype = expected[name].shape, expected[name].dtype
        if tensor.shape != shape or tensor.dtype not in (dtypes or (dtype,)):
            raise ValueError(f"{name}: {tensor.dtype} of shape {tuple(tensor.shape)}, not {dtype} of {tuple(shape)}")


def _load_as(kind: type[ModelT], path: str | Path, advice: str) -> ModelT:
    model = load_model(path)
    if not isinstance(model, kind):
        raise UserError(f"{path}: the run of a {type(model).__name__}, no {kind.__name__}; {advice}")
    return model


def _get_model_folder(path: Path) -> Path:
    """Return the folder of the exported model, given that folder or the run's."""
    return path if (path / DESCRIPTION_FILE).is_file() else Run(path).model_folder
