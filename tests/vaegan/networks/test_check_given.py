"""A given module that could not be trained alike by any number of processes is refused with one line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vaegan.data import open_data
from vaegan.errors import UserError
from vaegan.networks.check_given import check_networks
from vaegan.trainers import train
from vaegan.trainers.steps import build_step

from ...own_networks import build_own_networks
from ...tiny import OWN_OPTIONS, VECTOR_ADVERSARIES, are_bit_identical, tiny


class Changed(nn.Module):
    """A module with another function of its output, and perhaps another layer."""

    def __init__(self, module: nn.Module, change: Callable[..., object], layer: nn.Module | None = None) -> None:
        super().__init__()
        self.own, self.change, self.layer = module, change, layer

    def forward(self, *inputs: Tensor) -> object:
        output = self.own(*inputs)
        return self.change(output) if self.layer is None else self.change(output, self.layer)


class Noisy(nn.Module):
    """Noise whose strength is still 0, so that no output shows it."""

    def forward(self, values: Tensor) -> Tensor:
        return values + 0 * torch.randn_like(values)


class Attention(nn.Module):
    """Attention without a second derivative."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        rows = self.embed(images[:, :, None, 0]).expand(-1, 1, 8, -1) * images
        features = F.scaled_dot_product_attention(rows, rows, rows)
        return self.head(features.mean((1, 2))), features


class Constant(nn.Module):
    """A code that no image changes."""

    def __init__(self) -> None:
        super().__init__()
        self.code = nn.Parameter(torch.ones(8))

    def forward(self, images: Tensor) -> Tensor:
        return self.code.expand(len(images), 8) + 0 * images.detach().mean((1, 2, 3))[:, None]


class Forget(torch.autograd.Function):
    """A function whose second backward fails, as that of a compiled module may."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return values.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        raise RuntimeError("compiled")


class Once(nn.Module):
    """A module with `Forget` at its end."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.own = module

    def forward(self, images: Tensor) -> Tensor:
        return Forget.apply(self.own(images))


class InTraining(nn.Module):
    """A module with other pixels, or with features, in training."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.own = module

    def forward(self, inputs: Tensor) -> Any:
        output = self.own(inputs)
        if isinstance(output, tuple):
            return output if self.training else output[0]
        return output * 2 if self.training else output


class Unused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Linear(3, 3)

    def forward(self, values: Tensor) -> Tensor:
        return values


def change(function: Callable[..., object], layer: nn.Module | None = None) -> Callable[[nn.Module], nn.Module]:
    return lambda module: Changed(module, function, layer)


def apply(output: Tensor, layer: nn.Module) -> Tensor:
    return layer(output)


FAULTS: dict[str, tuple[str, Callable[[nn.Module], nn.Module], str]] = {
    "fails": ("encoder", lambda module: nn.Linear(5, 8), "Linear fails on torch.float32 of shape (3, 1, 8, 8)"),
    "encoder's shape": ("encoder", change(lambda out: out[:, :4]), "of shape (3, 4) for inputs (3, 1, 8, 8); exp"),
    "decoder's shape": ("decoder", change(lambda out: out[:, 0]), "expected (3, 1, 8, 8)"),
    "scores' shape": ("discriminator", change(lambda out: (out[0][:, 0], out[1])), "expected (3, 3) and (3, ...)"),
    "features' shape": ("discriminator", change(lambda out: (out[0], out[1].sum(0))), "(3, ...)"),
    "one image": (
        "discriminator",
        change(lambda out: (out[0].squeeze(0), out[1])),
        "(1, 1, 8, 8); expected (1, 3) and ",
    ),
    "a list": ("discriminator", change(list), "returns a list, not scores, or the pair"),
    "two of an encoder": ("encoder", change(lambda out: (out, out)), "not one tensor"),
    "integers": ("encoder", change(lambda out: out.long()), "no finite floating-point"),
    "infinite": ("decoder", change(lambda out: out / 0), "no finite floating-point"),
    "not a number": ("encoder", change(lambda out: out - out / 0), "no finite floating-point"),
    "dropout": ("encoder", change(apply, nn.Dropout()), "draws random numbers"),
    "hidden noise": ("encoder", change(apply, Noisy()), "draws random numbers"),
    "BatchNorm": ("encoder", change(apply, nn.BatchNorm1d(8)), "its buffer layer.running_mean, as BatchNorm does"),
    "neighbours": ("discriminator", change(lambda out: (out[0] - out[0].mean(0), out[1])), "the others in its batch"),
    "features": ("discriminator", change(lambda out: (out[0], out[1] - out[1].mean(0))), "the others in its batch"),
    "tanh": ("decoder", change(torch.tanh), "ends in tanh; leave that out"),
    "sigmoid": ("decoder", change(lambda out: out.flatten(1).sigmoid().view_as(out)), "ends in sigmoid"),
    "unused": ("decoder", change(apply, Unused()), "its parameter layer.unused.weight gets no gradient; freeze it"),
    "detached": ("encoder", change(lambda out: out.detach()), "lets no gradient through; leave torch.no_grad"),
    "input": ("encoder", lambda module: Constant(), "lets no gradient through to its input"),
    "evaluation": ("decoder", lambda module: InTraining(module), "gives other outputs in evaluation mode"),
    "no features in evaluation": ("discriminator", lambda module: InTraining(module), "gives other outputs in eval"),
    "no last layer": ("decoder", change(lambda out: out), "has no get_last_layer()"),
    "no features": ("discriminator", change(lambda out: out[0]), "returns no features"),
    "detached features": ("discriminator", change(lambda out: (out[0], out[1].detach())), "through its features"),
    "no second backward": ("encoder", lambda module: Once(module), "has no gradient that can be taken twice"),
    "no second derivative": ("discriminator", lambda module: Attention(), "has no second derivative"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_module_that_cannot_be_trained_is_refused_before_a_file_is_written(fault: str, tmp_path: Path) -> None:
    name, spoil, words = FAULTS[fault]
    config, networks = tiny("vaegan3", "model.adversarial.adaptive=[0.01,100]"), build_own_networks()
    networks[name] = spoil(networks[name])
    before = {key: value.clone() for key, value in networks[name].state_dict().items()}
    with pytest.raises(UserError) as caught:
        train(config, tmp_path / "run", open_data(config.data), networks=networks)
    message = str(caught.value)
    assert message.startswith(f"networks: {name}: ") and words in message and "\n" not in message
    assert not (tmp_path / "run").exists()
    assert are_bit_identical(before, networks[name].state_dict())


def check(*words: str, **networks: nn.Module) -> None:
    config = tiny("vaegan3", *words)
    check_networks(config, build_step(config, networks).build_networks())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sound_modules_are_accepted_and_stay_as_they_are(dtype: str) -> None:
    networks = build_own_networks(10)
    before = {f"{name}.{key}": v.clone() for name, m in networks.items() for key, v in m.state_dict().items()}
    state = torch.get_rng_state()
    check(*OWN_OPTIONS, f"train.dtype={dtype}", **networks)
    assert torch.equal(torch.get_rng_state(), state)
    after = {f"{name}.{key}": v for name, m in networks.items() for key, v in m.state_dict().items()}
    assert are_bit_identical(before, after)
    assert all(parameter.grad is None for module in networks.values() for parameter in module.parameters())


def test_dropout_and_batchnorm_in_evaluation_mode_are_accepted() -> None:
    layer = nn.Sequential(nn.BatchNorm1d(8), nn.Dropout())
    module = Changed(build_own_networks()["encoder"], lambda out, it: it(out), layer)
    with pytest.raises(UserError, match="buffer"):
        check(encoder=module)
    check(encoder=module.eval())
    check(decoder=InTraining(build_own_networks()["decoder"]).eval())


def test_features_and_last_layers_are_not_asked_for_without_need() -> None:
    networks = build_own_networks()
    decoder = Changed(networks["decoder"], lambda out: out)
    discriminator = Changed(networks["discriminator"], lambda out: out[0])
    check("model.adversarial.similarity=0", decoder=decoder, discriminator=discriminator)
    check("model.adversarial.similarity=0", "model.adversarial.r1=0", discriminator=discriminator)


def test_a_network_without_a_trained_parameter_is_refused() -> None:
    networks = build_own_networks()
    check(encoder=networks["encoder"].requires_grad_(False))
    for names in (("encoder", "decoder"), ("discriminator",)):
        with pytest.raises(UserError, match=r"no parameter of the \w+ is trained"):
            check(**{name: networks[name].requires_grad_(False) for name in names})


@pytest.mark.parametrize("family", ["vqvae", "pixelcnn", "flow", "classifier"])
def test_a_family_whose_code_is_no_vector_takes_no_modules(family: str) -> None:
    with pytest.raises(UserError, match=f"networks: encoder: family {family} takes none"):
        build_step(tiny(family), {"encoder": nn.Linear(1, 1)})


@pytest.mark.parametrize("family", ["ae", "vae"])
def test_a_family_without_a_discriminator_takes_none(family: str) -> None:
    with pytest.raises(UserError, match=f"networks: discriminator: family {family} has none"):
        build_step(tiny(family), build_own_networks())


@pytest.mark.parametrize("family", VECTOR_ADVERSARIES)
def test_settings_that_a_given_discriminator_cannot_follow_are_refused(family: str) -> None:
    networks = build_own_networks()
    with pytest.raises(UserError, match=r"model.discriminator.spectral_norm: .*parametrizations.spectral_norm"):
        build_step(tiny(family, "model.discriminator.spectral_norm=true"), networks)
    with pytest.raises(UserError, match=r"model.discriminator.condition: .*no auxiliary head"):
        build_step(tiny(family, "model.labels=10", "model.discriminator.condition=auxiliary"), networks)
    with pytest.raises(UserError, match=r"model.discriminator.network: patch: .*scores whole images"):
        build_step(tiny(family, "model.discriminator.network=patch"), networks)
    with pytest.raises(UserError, match=r"model.discriminator.packing: 2: a given module scores single images"):
        build_step(tiny(family, "model.discriminator.packing=2"), networks)
    with pytest.raises(UserError, match=r"model.discriminator.projected_layers: not beside a given module"):
        build_step(tiny(family, "model.discriminator.projected_layers=[1]"), networks)
    if family in ("vaegan2", "vaegan3"):
        words = ("model.adversarial.instance=1", "model.discriminator.instance_layers=[1]")
        with pytest.raises(UserError, match=r"model.discriminator.instance_layers: not for a given module"):
            build_step(tiny(family, *words), networks)
