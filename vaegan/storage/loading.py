"""Trained models, read from run folders."""

from collections.abc import Callable, Container, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from vaegan.config.data import DataVersion, Fit
from vaegan.config.models import GANConfig
from vaegan.config.schema import NetworksConfig
from vaegan.errors import UserError
from vaegan.io import load_tensors
from vaegan.models import Autoencoder, Classifier, Model, build_model
from vaegan.networks.build import build_discriminator
from vaegan.networks.discriminator import PenalisedDiscriminator
from vaegan.networks.given import GivenNetworks, check_modules
from vaegan.text import shorten, to_one_line

from .checkpoints import load_newest_checkpoint
from .run_folder import DESCRIPTION_FILE, WEIGHTS_FILE, Run, read_description

ModelT = TypeVar("ModelT", bound=Model)
FLOAT_TYPES = (torch.float32, torch.float64)
"""Types of a training's weights."""


def load(path: str | Path, networks: GivenNetworks | None = None) -> Autoencoder:
    """Load the trained autoencoder of a run, on the CPU, ready to encode, decode, reconstruct and sample.

    Args:
        path: The run's folder, or the folder of an exported model.
        networks: Modules of the same classes as those that the run was trained with; they are copied and get its
            weights; None: it was trained with the networks of its config.

    Raises:
        UserError: There is no model, it is damaged, it is not an autoencoder, or the modules are not the run's.
    """
    return _load_as(Autoencoder, path, "`vaegan evaluate` measures it", networks)


def load_class_names(path: str | Path) -> tuple[str, ...]:
    """Read the names of the classes of a run's conditional model, in order; () if the model or its data has none.

    Args:
        path: The run's folder, or the folder of an exported model.

    Raises:
        UserError: There is no model, or it is damaged.
    """
    return read_description(get_model_folder(Path(path))).classes or ()


def load_decoding(path: str | Path) -> tuple[DataVersion, Fit]:
    """Read `data.version` and `data.fit` of a run, by which the images that its model is given are decoded.

    Args:
        path: The run's folder, or the folder of an exported model.

    Raises:
        UserError: There is no model, or it is damaged.
    """
    description = read_description(get_model_folder(Path(path)))
    return description.data_version, description.data_fit


def load_weights_hash(path: str | Path) -> str:
    """Read the SHA-256 of the file of a run's weights, hexadecimal, by which files that belong to them are recognised.

    Args:
        path: The run's folder, or the folder of an exported model.

    Raises:
        UserError: There is no model, or it is damaged.
    """
    return read_description(get_model_folder(Path(path))).sha256


def load_classifier(path: str | Path) -> Classifier:
    """Load the trained classifier of a run, on the CPU, ready to compute `features` of images.

    Args:
        path: The run's folder, or the folder of an exported model.

    Raises:
        UserError: There is no model, it is damaged, or it is not a classifier.
    """
    return _load_as(Classifier, path, "`vaegan train-features` trains one")


def load_model(path: str | Path, networks: GivenNetworks | None = None) -> Model:
    """Load the trained model of a run of any family, on the CPU, in evaluation mode and without gradients.

    Args:
        path: The run's folder, or the folder of an exported model.
        networks: Modules of the classes of those that the run was trained with; see `load`.

    Raises:
        UserError: There is no model, it is damaged, it is not the model of the run's config, or the modules are not the
            run's.
    """
    run, folder = Run(Path(path)), get_model_folder(Path(path))
    description = read_description(folder)
    if folder != run.path and run.exists and not description.belongs_to(run.config):
        raise UserError(f"{folder / DESCRIPTION_FILE}: not the model of {run.config_file}")
    trained = run.config.networks if run.exists else description.networks
    given = select_networks(networks, trained, ("encoder", "decoder"), path)
    try:
        weights = load_tensors(folder / WEIGHTS_FILE)
    except (SafetensorError, ValueError) as error:
        raise _make_weights_error(folder, error) from None
    for name, module in given.items():
        _check_layout(name, module, weights, f"{name}.module.", path)
    try:
        with torch.device("meta"):  # no memory: a short description may name networks that no machine could hold
            expected = build_model(description.model, description.image_shape, 0, given).state_dict()
        check_state_dict(weights, expected, FLOAT_TYPES)
    except ValueError as error:
        raise _make_weights_error(folder, error) from None
    model = build_model(description.model, description.image_shape, 0, given)
    *_, weight = (tensor for tensor in weights.values() if tensor.is_floating_point())
    model.to(weight.dtype, memory_format=torch.channels_last)  # type: ignore[call-overload] # as in training: same bits
    model.load_state_dict(weights)
    return model.eval().requires_grad_(False)


def load_discriminator(
    run: Run, notify: Callable[[str], None], networks: GivenNetworks | None = None
) -> PenalisedDiscriminator | None:
    """Load the discriminator of a run's newest checkpoint, on the CPU, in evaluation mode and without gradients.

    Args:
        run: The run.
        notify: Called with one line about each damaged checkpoint that is skipped.
        networks: Modules of the classes of those that the run was trained with; see `load`.

    Returns:
        The discriminator; None if the family has none, or there is no checkpoint.

    Raises:
        UserError: The checkpoint does not fit the run's config, or the modules are not the run's.
        FileFailure: The disk cannot be read.
    """
    config = run.config
    if not isinstance(config.model, GANConfig):
        return None
    checkpoint = load_newest_checkpoint(run.checkpoints, notify)
    if checkpoint is None:
        return None
    given = select_networks(networks, config.networks, ("discriminator",), run.path)
    for name, module in given.items():
        _check_layout(name, module, checkpoint.tensors.get(name, {}), "module.", run.path)
    network = build_discriminator(config.model, config.data.image_shape, config.seed, given)
    network.to(getattr(torch, config.train.dtype), memory_format=torch.channels_last)  # type: ignore[call-overload]
    try:
        network.load_state_dict(checkpoint.tensors["discriminator"])
    except (KeyError, RuntimeError) as error:
        raise UserError(f"{run.checkpoints}: not the checkpoints of {run.config_file} ({to_one_line(error)})") from None
    return network.eval().requires_grad_(False)


def select_networks(
    networks: GivenNetworks | None, trained: NetworksConfig | None, names: Sequence[str], path: str | Path
) -> GivenNetworks:
    """Return the given modules of these names, whose classes must be those of the modules that a run was trained with.

    Args:
        networks: Given modules by their names; None: there are none.
        trained: The modules that the run was trained with; None: it was trained with the networks of its config.
        names: Names of the networks that are to be loaded.
        path: The run's folder, for messages.

    Raises:
        UserError: A module is missing, too many, or of another class, or `networks` holds something else.
    """
    networks = networks or {}
    check_modules(networks)
    classes = {name: module.class_name for name in names if (module := getattr(trained, name, None))}
    given = {name: type(networks[name]).__qualname__ for name in names if name in networks}
    if unknown := given.keys() - classes.keys():
        raise UserError(f"networks: {min(unknown)}: {path} was trained with that of its config; leave it out")
    if given != classes:
        needed = [(name, module) for name, module in trained or () if module is not None]
        modules = ", ".join(f'"{name}": {shorten(module.class_name)}(...)' for name, module in needed)
        others = "".join(f", not a {shorten(kind)} as {name}" for name, kind in given.items() if kind != classes[name])
        problem = f"{path} was trained with given modules; give them in Python"
        raise UserError(f"networks: {problem}, as in vaegan.load(run, networks={{{modules}}}){others}")
    return {name: networks[name] for name in names if name in networks}


def check_state_dict(
    tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor], dtypes: Container[torch.dtype] | None = None
) -> None:
    """Check that tensors have the names, shapes and types of the expected ones.

    Args:
        tensors: Tensors by name.
        expected: The expected tensors by name; of these only shape and type are read.
        dtypes: Allowed types of floating point; by default the type of each expected tensor.

    Raises:
        ValueError: A name is only in one of the two, or a shape or a type differs.
    """
    if expected.keys() != tensors.keys():
        raise ValueError(f"{shorten(min(expected.keys() ^ tensors.keys()))} is only in one of them")
    for name, tensor in tensors.items():
        shape, dtype = expected[name].shape, expected[name].dtype
        allowed = dtypes if dtypes and dtype.is_floating_point else (dtype,)
        if tensor.shape != shape or tensor.dtype not in allowed:
            raise ValueError(f"{name}: {tensor.dtype} of shape {tuple(tensor.shape)}, not {dtype} of {tuple(shape)}")


def _check_layout(name: str, module: nn.Module, weights: Mapping[str, Tensor], prefix: str, path: str | Path) -> None:
    """Check that a given module has the layers of the one that was trained, whose weights' names begin with a prefix.

    Raises:
        UserError: It has not.
    """
    own = {key.removeprefix(prefix): tensor for key, tensor in weights.items() if key.startswith(prefix)}
    try:
        check_state_dict(own, module.state_dict(), FLOAT_TYPES)
    except ValueError as error:
        problem = f"other layers than that of {path} ({to_one_line(error)})"
        raise UserError(f"networks: {name}: {problem}; build it with the same arguments") from None


def _make_weights_error(folder: Path, error: Exception) -> UserError:
    """Return the error about weights that are not those of the model that a folder describes."""
    problem = f"not the weights of the model in {DESCRIPTION_FILE} ({to_one_line(error)})"
    return UserError(f"{folder / WEIGHTS_FILE}: {problem}")


def _load_as(kind: type[ModelT], path: str | Path, advice: str, networks: GivenNetworks | None = None) -> ModelT:
    model = load_model(path, networks)
    if not isinstance(model, kind):
        raise UserError(f"{path}: the run of a {type(model).__name__}, no {kind.__name__}; {advice}")
    return model


def get_model_folder(path: Path) -> Path:
    """Return the folder of the exported model, given that folder or the run's."""
    return path if (path / DESCRIPTION_FILE).is_file() else Run(path).model_folder
