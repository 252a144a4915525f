"""Networks that a user gives as torch modules, in the place of those that a config describes.

A module is copied, and keeps its weights, its frozen parameters and its mode (training or evaluation). Images are in
[-1, 1], `d` is `model.latent_size`; a conditional model (`model.labels`) also hands over the class of each image.

| name | forward takes | and returns |
| --- | --- | --- |
| encoder | images (N, C, S, S)[, labels (N,)] | (N, 2 d): means, then log-variances; of an ae (N, d): codes |
| decoder | codes (N, d)[, labels (N,)] | (N, C, S, S): unbounded pixels a of the images tanh(a) |
| discriminator | images (N, C, S, S)[, labels (N,)] | scores (N, k), or the pair (scores, features (N, ...)) |

k is 3 for three classes, 2 for three classes under the relativistic loss, and else 1. The learned similarity compares
a discriminator's features. A decoder has `get_last_layer()`, which returns a parameter, if
`model.adversarial.adaptive` is set. `vaegan.networks.check_given` has the other rules for modules.
"""

import copy
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from vaegan.config.schema import Config, GivenNetworkConfig, NetworksConfig
from vaegan.errors import UserError
from vaegan.io import hash_tensors
from vaegan.text import shorten, to_one_line

from .autoencoder import ImageDecoder
from .discriminator import DiscriminatorOutput, PenalisedDiscriminator
from .spectral_norm import fix_spectral_norm

GivenNetworks = Mapping[str, nn.Module]
"""The given modules, by the names `encoder`, `decoder` and `discriminator`."""


class GivenNetwork(nn.Module):
    """Base of the adapters, which give a module the interface of the network whose place it takes.

    Args:
        module: The given module, which is copied.
        takes_labels: Whether its forward takes the labels.
    """

    name: ClassVar[str]
    """Name of the network whose place it takes."""
    output_counts: ClassVar[tuple[int, ...]] = (1,)
    """Numbers of tensors that its forward may return."""
    output_name: ClassVar[str] = "one tensor"
    """Output of its forward, in words."""

    def __init__(self, module: nn.Module, takes_labels: bool) -> None:
        super().__init__()
        self.module = copy.deepcopy(module)
        self.takes_labels = takes_labels
        fix_spectral_norm(self.module)

    def call_module(self, inputs: Tensor, labels: Tensor | None) -> Any:
        """Return the module's output for images or codes, with their labels if it takes them."""
        return self.module(inputs, labels) if self.takes_labels else self.module(inputs)


class GivenEncoder(GivenNetwork):
    """An encoder that was given as a module; see `vaegan.networks.autoencoder.Encoder`."""

    name = "encoder"

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the parameters of the posteriors of images (N, C, S, S), shape (N, k d)."""
        parameters: Tensor = self.call_module(images, labels)
        return parameters


class GivenDecoder(GivenNetwork, ImageDecoder):
    """A decoder that was given as a module; see `vaegan.networks.autoencoder.Decoder`."""

    name = "decoder"

    def pre_tanh(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the unbounded pixels of codes (N, d), shape (N, C, S, S)."""
        pixels: Tensor = self.call_module(codes, labels).to(codes.dtype)
        return pixels

    def get_last_layer(self) -> Tensor:
        """Return the weight of the last layer, which the module's own `get_last_layer` names."""
        weight: Tensor = self.module.get_last_layer()  # type: ignore[operator]
        return weight


class GivenDiscriminator(GivenNetwork, PenalisedDiscriminator):
    """A discriminator that was given as a module; see `vaegan.networks.discriminator.Discriminator`."""

    name = "discriminator"
    output_counts = (1, 2)
    output_name = "scores, or the pair (scores, features)"

    def compute_output(
        self, images: Tensor, autocast_dtype: torch.dtype | None, labels: Tensor | None
    ) -> DiscriminatorOutput:
        """Return scores and features of images, in their type; the scores also stand in for features not returned."""
        with torch.autocast(images.device.type, dtype=autocast_dtype, enabled=autocast_dtype is not None):
            output = self.call_module(images, labels)
        scores, features = output if isinstance(output, tuple) else (output, output)
        return DiscriminatorOutput(scores.to(images.dtype), features.to(images.dtype))


def describe_networks(networks: GivenNetworks) -> NetworksConfig:
    """Describe given modules by the names of their classes and the SHA-256 of their weights.

    Raises:
        UserError: A name is none of `GivenNetworks`, a value is no module, or it cannot be copied and saved.
    """
    check_modules(networks)
    for name, module in networks.items():
        _check_state(name, module)
    _check_sharing(networks)
    descriptions = {
        name: GivenNetworkConfig(
            class_name=type(module).__qualname__, sha256=hash_tensors(module.state_dict(keep_vars=True))
        )
        for name, module in networks.items()
    }
    return NetworksConfig(**descriptions)


def check_modules(networks: Any) -> None:
    """Check that every name is one of `GivenNetworks`, and every value a module.

    Raises:
        UserError: They are not.
    """
    if not isinstance(networks, Mapping):
        raise UserError('networks: not a mapping; give modules by their names, such as {"decoder": MyDecoder()}')
    for name, module in networks.items():
        if name not in NetworksConfig.model_fields:
            raise UserError(f"networks: {shorten(name)}: unknown; allowed: {', '.join(NetworksConfig.model_fields)}")
        if not isinstance(module, nn.Module):
            kind = f"the class {module.__name__}; call it" if isinstance(module, type) else type(module).__name__
            raise UserError(f"networks: {name}: no torch.nn.Module but {kind}")


def add_networks(config: Config, networks: GivenNetworks | None) -> Config:
    """Return a config whose `networks` section describes the given modules, beside others that it names already.

    Raises:
        UserError: A name is none of `GivenNetworks`, a value is no module, or it cannot be copied and saved.
    """
    if not networks:
        return config
    given = {name: network for name, network in describe_networks(networks) if network is not None}
    return config.model_copy(update={"networks": (config.networks or NetworksConfig()).model_copy(update=given)})


def _check_state(name: str, module: nn.Module) -> None:
    """Check that a module can be copied and saved.

    Raises:
        UserError: A weight has no shape yet, or the state dict holds something else than tensors.
    """
    if any(is_lazy(tensor) for tensor in [*module.parameters(), *module.buffers()]):
        raise UserError(f"networks: {name}: has lazy layers without weights; call it once on a batch before")
    state = module.state_dict()
    if others := [key for key, value in state.items() if not isinstance(value, Tensor)]:
        raise UserError(f"networks: {name}: {shorten(others[0])} of its state dict is no tensor; keep it elsewhere")
    try:
        copy.deepcopy(module).requires_grad_(False)
    except Exception as error:
        raise UserError(f"networks: {name}: cannot be copied by copy.deepcopy ({to_one_line(error)})") from None


def _check_sharing(networks: GivenNetworks) -> None:
    """Check that no weight has two names in a module, and that no trained one belongs to two modules.

    Raises:
        UserError: One does; the copies of the modules would not share it.
    """
    owners: dict[int, tuple[str, str]] = {}
    for name, module in networks.items():
        for key, value in module.state_dict(keep_vars=True).items():
            other, other_key = owners.setdefault(value.untyped_storage().data_ptr(), (name, key))
            is_copied = other != name and not value.requires_grad
            if (other, other_key) != (name, key) and value.numel() and not is_copied:
                owner = f" of the {other}" if other != name else ""
                problem = f"{shorten(other_key)}{owner} and {shorten(key)} share their memory"
                raise UserError(f"networks: {name}: {problem}; untie them")
