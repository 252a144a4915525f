"""Checks of given modules before a training: each is tried on three images.

They look for what would make a training depend on the number of its processes: an image's output has to depend on the
image alone, a forward must not change a buffer, and every trained parameter needs a gradient in every step.
"""

from collections.abc import Mapping
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from vaegan.config.architectures import VectorConfig
from vaegan.config.models import GANConfig, LarsenFamilyConfig
from vaegan.config.schema import Config, NetworksConfig
from vaegan.errors import UserError
from vaegan.randomness import draw_normal
from vaegan.text import shorten, to_one_line

from .given import GivenDecoder, GivenDiscriminator, GivenNetwork, GivenNetworks

TRIAL_IMAGES = 3
TOLERANCES = {torch.float32: 1e-4, torch.float64: 1e-9}
"""Differences, relative to the largest output, that are taken for rounding."""
BOUNDED_FUNCTIONS = ("Tanh", "Sigmoid", "Hardtanh", "Hardsigmoid", "Clamp")
"""Functions that give no unbounded pixels, by the names of their autograd nodes."""
RESHAPES = ("View", "UnsafeView", "ReshapeAlias", "Permute", "Transpose", "Clone", "ToCopy")
"""Functions that pass a result on as it is, by the names of their autograd nodes."""


def check_names(config: Config, networks: GivenNetworks) -> None:
    """Check that every module that `config.networks` names is given, and that `config.model` takes the given ones.

    Raises:
        UserError: A module is not given, or `config.model` does not take it.
    """
    model = config.model
    for name in NetworksConfig.model_fields:
        description = getattr(config.networks, name, None)
        if description is not None and name not in networks:
            problem = f"a {shorten(description.class_name)} is given in Python alone"
            remedy = f'vaegan.train(config, networks={{"{name}": ...}})'
            raise UserError(f"networks.{name}: {problem}, {remedy}; for a training without it, leave the section out")
        if name in networks and not isinstance(model, VectorConfig):
            raise UserError(f"networks: {name}: family {model.family} takes none; take one whose code is a vector")
    if "discriminator" in networks:
        if not isinstance(model, GANConfig):
            raise UserError(f"networks: discriminator: family {model.family} has none; leave it out")
        if model.discriminator.spectral_norm:
            remedy = "use torch.nn.utils.parametrizations.spectral_norm in the module"
            raise UserError(f"model.discriminator.spectral_norm: not for a given module; give false, and {remedy}")
        if model.discriminator.network == "patch":
            raise UserError("model.discriminator.network: patch: a given module scores whole images; leave it out")
        if model.discriminator.packing > 1:
            raise UserError("model.discriminator.packing: 2: a given module scores single images; leave it out")
        if model.discriminator.projected_layers:
            raise UserError("model.discriminator.projected_layers: not beside a given module; leave them out")
        if getattr(model.discriminator, "instance_layers", ()):
            raise UserError("model.discriminator.instance_layers: not for a given module; leave the instance term out")
        if model.discriminator.condition == "auxiliary":
            remedy = "give projection, and it gets the labels, or none"
            raise UserError(f"model.discriminator.condition: a given module has no auxiliary head; {remedy}")


def check_networks(config: Config, networks: Mapping[str, nn.Module]) -> None:
    """Check that the given modules among the networks of a training can be trained.

    Args:
        config: The run.
        networks: The networks as built, on whose weights nothing else depends: they are moved, and get gradients.

    Raises:
        UserError: A module fails, gives a wrong shape or type, draws random numbers, changes a buffer, mixes images,
            has a trained parameter without a gradient, or lacks what `config.model` needs of it.
    """
    section, shape, dtype = config.model, config.data.image_shape, getattr(torch, config.train.dtype)
    assert isinstance(section, VectorConfig)
    model: Any = networks["autoencoder"]
    classes, size = getattr(section, "labels", None), section.latent_size
    labels = None if classes is None else torch.arange(TRIAL_IMAGES) % classes
    images = draw_normal((TRIAL_IMAGES, *shape), config.seed, "trial images").tanh()
    codes = draw_normal((TRIAL_IMAGES, size), config.seed, "trial codes")
    for network, inputs, output_shape in (
        (model.encoder, images, (model.code_parameters * size,)),
        (model.decoder, codes, shape),
        (networks.get("discriminator"), images, (section.score_count if isinstance(section, GANConfig) else 0,)),
    ):
        if isinstance(network, GivenNetwork):
            trial = Trial(network.to("cpu", dtype), inputs.to(dtype), labels, output_shape)
            _check_options(section, trial, trial.check())
    for name, network in networks.items():
        if not any(parameter.requires_grad for parameter in network.parameters()):
            raise UserError(f"networks: no parameter of the {name} is trained; call requires_grad_(True) on some")


class Trial:
    """A given module that is tried on three images or codes.

    Args:
        network: Its adapter.
        inputs: The images or codes, shape (3, ...).
        labels: Their classes, int64, shape (3,); None: the model is unconditional.
        shape: Shape of the first output for one input.
    """

    def __init__(self, network: GivenNetwork, inputs: Tensor, labels: Tensor | None, shape: tuple[int, ...]) -> None:
        self.network, self.inputs, self.labels, self.shape = network, inputs.requires_grad_(), labels, shape

    def check(self) -> tuple[Tensor, ...]:
        """Check everything but what an option of the config needs, and return the outputs for the three inputs.

        Raises:
            UserError: The module cannot be trained.
        """
        outputs = self.run_unchanged()
        self.check_independence(outputs)
        if isinstance(self.network, GivenDecoder):
            self.check_unbounded(outputs[0])
        self.check_gradients(outputs[0])
        self.check_evaluation(outputs)
        return outputs

    def run_unchanged(self) -> tuple[Tensor, ...]:
        """Return the outputs, and check that nothing but the inputs determines them, and that nothing changes.

        Raises:
            UserError: A second forward differs, the first one draws random numbers, or it changes a buffer.
        """
        buffers = {name: buffer.clone() for name, buffer in self.network.module.named_buffers()}
        generator_state = torch.get_rng_state()
        outputs = self.run(slice(None))
        for name, buffer in self.network.module.named_buffers():
            if name not in buffers or not torch.equal(buffer, buffers[name]):
                remedy = "use GroupNorm, or parametrizations.spectral_norm of torch.nn.utils, or give module.eval()"
                self.fail(f"a forward changes its buffer {shorten(name)}, as BatchNorm does; {remedy}")
        is_repeated = all(map(torch.equal, outputs, self.run(slice(None))))
        if not is_repeated or not torch.equal(generator_state, torch.get_rng_state()):
            self.fail("draws random numbers of its own, as dropout does; leave that out, or give module.eval()")
        return outputs

    def run(self, part: slice) -> tuple[Tensor, ...]:
        """Return the module's outputs for a part of the inputs.

        Raises:
            UserError: The module fails, or does not return finite floating-point tensors of the right shapes.
        """
        inputs, labels = self.inputs[part], None if self.labels is None else self.labels[part]
        try:
            output = self.network.call_module(inputs, labels)
        except Exception as error:
            shapes = f"{inputs.dtype} of shape {tuple(inputs.shape)}" + " and labels" * self.network.takes_labels
            self.fail(f"fails on {shapes} ({type(error).__name__}: {to_one_line(error)})")
        outputs = output if isinstance(output, tuple) else (output,)
        if len(outputs) not in self.network.output_counts or not all(isinstance(each, Tensor) for each in outputs):
            self.fail(f"returns {_describe(output)}, not {self.network.output_name}")
        count, (first, *features) = len(inputs), outputs
        if first.shape != (count, *self.shape) or any(each.shape[:1] != (count,) for each in features):
            expected = f"{(count, *self.shape)}" + f" and ({count}, ...)" * len(features)
            self.fail(f"returns {_describe(*outputs)} for inputs {tuple(inputs.shape)}; expected {expected}")
        for output in outputs:
            if not output.is_floating_point() or not output.isfinite().all():
                self.fail(f"returns {_describe(output)} with values that are no finite floating-point numbers")
        return outputs

    def check_independence(self, outputs: tuple[Tensor, ...]) -> None:
        """Check that the outputs of an input do not depend on the other inputs.

        Raises:
            UserError: They do.
        """
        parts = zip(*(self.run(slice(index, index + 1)) for index in range(TRIAL_IMAGES)), strict=True)
        if not self.are_close(outputs, tuple(map(torch.cat, parts))):
            self.fail("the output of an image depends on the others in its batch; use GroupNorm or no norm")

    def check_evaluation(self, outputs: tuple[Tensor, ...]) -> None:
        """Check that evaluation mode, in which the averaged and the exported model are, changes no output.

        Raises:
            UserError: It does.
        """
        self.network.eval()
        if not self.are_close(outputs, self.run(slice(None))):
            self.fail("gives other outputs in evaluation mode, in which it is used later; give module.eval()")

    def are_close(self, outputs: tuple[Tensor, ...], others: tuple[Tensor, ...]) -> bool:
        """Return whether there are as many outputs, with the same values up to rounding."""
        limit = TOLERANCES[self.inputs.dtype]
        return len(outputs) == len(others) and all(
            one.shape == other.shape and (not one.numel() or (one - other).abs().max() <= limit * one.abs().max())
            for one, other in zip(outputs, others, strict=True)
        )

    def check_unbounded(self, pixels: Tensor) -> None:
        """Check that a decoder does not end in a function that bounds its pixels.

        Raises:
            UserError: It does.
        """
        node: Any = pixels.grad_fn
        while node is not None and _get_function(node) in RESHAPES:
            node = node.next_functions[0][0]
        if node is not None and _get_function(node) in BOUNDED_FUNCTIONS:
            self.fail(f"ends in {_get_function(node).lower()}; leave that out: the image is the tanh of its output")

    def check_gradients(self, output: Tensor) -> None:
        """Check that a gradient reaches the inputs and every trained parameter.

        Raises:
            UserError: One is not reached.
        """
        if not output.requires_grad:
            self.fail("lets no gradient through; leave torch.no_grad and detach out of its forward")
        parameters = {name: each for name, each in self.network.module.named_parameters() if each.requires_grad}
        try:
            gradients = torch.autograd.grad(
                output.sum(), [self.inputs, *parameters.values()], allow_unused=True, retain_graph=True
            )
        except RuntimeError as error:
            self.fail(f"has no gradient that can be taken twice ({to_one_line(error)})")
        for name, gradient in zip(parameters, gradients[1:], strict=True):
            if gradient is None:
                self.fail(f"its parameter {shorten(name)} gets no gradient; freeze it with requires_grad_(False)")
        if gradients[0] is None:
            self.fail("lets no gradient through to its input; leave detach out of its forward")

    def fail(self, problem: str) -> NoReturn:
        """Raise a UserError that names the network and its class."""
        raise UserError(f"networks: {self.network.name}: {shorten(type(self.network.module).__name__)} {problem}")


def _check_options(section: VectorConfig, trial: Trial, outputs: tuple[Tensor, ...]) -> None:
    """Check that a module has what the options of its family need.

    Raises:
        UserError: Something is missing.
    """
    network: GivenNetwork = trial.network
    options: Any = getattr(section, "adversarial", None)
    if isinstance(network, GivenDecoder) and getattr(options, "adaptive", None) is not None:
        weight = network.get_last_layer() if hasattr(network.module, "get_last_layer") else None
        if not any(weight is each for each in network.parameters() if each.requires_grad):
            trial.fail("has no get_last_layer() that returns a trained parameter; model.adversarial.adaptive needs it")
    if isinstance(network, GivenDiscriminator):
        if len(outputs) == 1 and isinstance(section, LarsenFamilyConfig):
            trial.fail("returns no features to compare images in; return the pair (scores, features)")
        is_compared = isinstance(section, LarsenFamilyConfig) or getattr(options, "similarity", None)
        if len(outputs) == 1 and is_compared:
            remedy = "return the pair (scores, features), or give model.adversarial.similarity=0"
            trial.fail(f"returns no features to compare images in; {remedy}")
        if is_compared and not outputs[1].requires_grad:
            trial.fail("lets no gradient through its features; leave detach out of its forward")
        if getattr(options, "r1", None) or getattr(options, "r2", None):
            try:
                (gradient,) = torch.autograd.grad(outputs[0].sum(), trial.inputs, create_graph=True)
                trained = [each for each in network.parameters() if each.requires_grad]
                torch.autograd.grad(gradient.square().sum(), [trial.inputs, *trained], allow_unused=True)
            except RuntimeError as error:
                reason = f"has no second derivative ({to_one_line(error)})"
                trial.fail(f"{reason}, which penalties need; give model.adversarial.r1=0 and r2=0")


def _describe(*values: Any) -> str:
    """Return the shapes of tensors, or the types of other values, as one line."""
    return " and ".join(
        f"{each.dtype} of shape {tuple(each.shape)}" if isinstance(each, Tensor) else f"a {type(each).__name__}"
        for each in values
    )


def _get_function(node: Any) -> str:
    """Return the function of an autograd node: `Tanh` of `TanhBackward0`."""
    return str(node.name()).rpartition("Backward")[0]
