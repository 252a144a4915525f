"""Each network gets the gradient of its equation (docs/design.md, "The training step"), and the loop steps with it."""

import dataclasses

import pytest
import torch
from torch import nn

from vaegan.config.schema import Config
from vaegan.data import Data
from vaegan.losses.adversarial import REAL
from vaegan.networks.initialise import ZeroConv2d
from vaegan.storage.checkpoints import Checkpoint
from vaegan.trainers import train
from vaegan.trainers.state import get_trained_parameters as trained_of
from vaegan.trainers.steps import build_step
from vaegan.trainers.steps.base import freeze

from ...tiny import (
    ADVERSARIES,
    BUILDS,
    FAMILIES,
    FAMILY_OPTIONS,
    LOOP_OPTIONS,
    OTHER_GRIDS,
    divide_cases,
    find_largest_difference,
    flatten,
    get_network_overrides,
    load_newest,
    tiny,
)
from .equations import EXPECTED_TERMS, build_batch, build_networks, compute_oracle, norm, run_step


@pytest.mark.parametrize(("name", "network"), BUILDS)
def test_each_network_gets_the_gradient_of_its_equation(name: str, network: str) -> None:
    words = [*get_network_overrides(name, network), "data.channels=3"]
    if name.startswith("vae"):
        words += ["model.beta=1.5", f"model.likelihood={'laplace' if network == 'mlp' else 'gaussian'}"]
    if name.startswith("larsen"):
        words += ["model.beta=1.5"]
    config = tiny(name, *words)
    assert_gradients_of(config, build_networks(config), EXPECTED_TERMS[name])


@pytest.mark.parametrize("name", ["vae", "vaegan2", "vaegan3"])
@pytest.mark.parametrize("likelihood", ["gaussian", "laplace", "bernoulli"])
def test_each_likelihood_has_the_gradient_of_its_equation_and_so_has_its_scale(name: str, likelihood: str) -> None:
    learned = likelihood != "bernoulli"
    config = tiny(name, f"model.likelihood={likelihood}", f"model.learned_scale={str(learned).lower()}")
    networks = build_networks(config)
    if learned:
        nn.init.constant_(networks["autoencoder"].scale.logarithm, -0.4)  # not where it starts from
    assert_gradients_of(config, networks, EXPECTED_TERMS[name] | ({"scale": {"reconstruction"}} if learned else {}))


@pytest.mark.parametrize("codebook", ["ema", "gradient"])
@pytest.mark.parametrize("cosine", ["false", "true"])
def test_each_codebook_has_the_gradient_of_its_equation(codebook: str, cosine: str) -> None:
    config = tiny("vqvae", f"model.codebook={codebook}", f"model.cosine={cosine}", "model.code_size=5")
    networks = build_networks(config)
    networks["autoencoder"].variance.fill_(0.3)
    reached = EXPECTED_TERMS["vqvae"] | ({"codebook": {"codebook"}} if codebook == "gradient" else {})
    assert_gradients_of(config, networks, reached)


def assert_gradients_of(config: Config, networks: dict[str, nn.Module], reached: dict[str, set[str]]) -> None:
    """Each network has the gradient of its equation, in which exactly these terms count."""
    batch = build_batch(config)
    actual, _ = run_step(config, networks, batch)
    expected = compute_oracle(config, networks, batch)
    assert actual.keys() == expected.keys() == reached.keys()
    for part, terms in expected.items():
        whole = [torch.stack(each).sum(0) for each in zip(*terms.values(), strict=True)]
        wrong = norm([a - b for a, b in zip(actual[part], whole, strict=True)])
        assert wrong < 1e-10 * norm(whole), part
        # a term that is dropped, doubled or of the wrong sign would show a thousandfold
        assert {key for key, gradients in terms.items() if norm(gradients) > 1e-7 * norm(whole)} == reached[part]


@pytest.mark.parametrize("name", ["vae", "vaegan2", "vaegan3"])
def test_a_learned_scale_starts_as_the_fixed_one(name: str) -> None:
    fixed, learned = tiny(name), tiny(name, "model.learned_scale=true")
    batch = build_batch(fixed)
    both = [run_step(config, build_networks(config), batch) for config in (fixed, learned)]
    scalars = [output.scalars for _, output in both]
    assert scalars[1].keys() == scalars[0].keys() | {"scale"}
    assert scalars[1]["scale"].item() == pytest.approx(0.5)
    assert all(scalars[1][key].item() == pytest.approx(value.item(), rel=1e-6) for key, value in scalars[0].items())
    for part, gradients in both[0][0].items():
        assert norm([a - b for a, b in zip(gradients, both[1][0][part], strict=True)]) < 1e-6 * norm(gradients)


def test_the_bernoulli_gradient_is_whole_where_the_decoder_is_saturated() -> None:
    """White for certain, in float32: the slope of the last bias is then 2 (1 - v), its mean over images and pixels."""
    config = tiny("vae", "model.likelihood=bernoulli")
    networks, batch = build_networks(config, torch.float32), build_batch(config, dtype=torch.float32)
    nn.init.constant_(networks["autoencoder"].decoder.trunk.out.bias, 50.0)
    actual, output = run_step(config, networks, batch)
    assert (networks["autoencoder"].reconstruct(batch.images) == 1).all()
    assert all(each.isfinite().all() for gradients in actual.values() for each in gradients)
    assert all(value.isfinite() for value in output.scalars.values())
    assert norm(actual["encoder"]) > 0
    assert actual["decoder"][-1].item() == pytest.approx(2 * (1 - (batch.images + 1) / 2).mean().item(), rel=1e-5)


def test_a_denoising_autoencoder_sees_noise_and_gives_back_images_without() -> None:
    config = tiny("ae", "model.denoising=0.3")
    networks, batch = build_networks(config), build_batch(config)
    actual, _ = run_step(config, networks, batch)
    for part, terms in compute_oracle(config, networks, batch).items():
        wrong = norm([a - b for a, b in zip(actual[part], terms["error"], strict=True)])
        assert wrong < 1e-10 * norm(terms["error"])
    clean, _ = run_step(tiny("ae"), networks, batch)
    assert norm([a - b for a, b in zip(actual["encoder"], clean["encoder"], strict=True)]) > 0.01


@pytest.mark.parametrize(("name", "network"), BUILDS)
def test_no_parameter_is_without_gradient(name: str, network: str) -> None:
    """Where the true gradient is 0, Adam makes steps of its rounding, which differs with the number of processes."""
    words = [*get_network_overrides(name, network), "model.depth=2"]
    if name in ADVERSARIES:
        spectral = str(network != "inverted_residual").lower()
        words += ["model.discriminator.depth=2", f"model.discriminator.spectral_norm={spectral}"]
    config = tiny(name, *words)
    networks = build_step(config).build_networks()  # as a training begins
    for network_ in networks.values():
        network_.double()
        for layer in network_.modules():
            if isinstance(layer, ZeroConv2d):  # at 0 the layers before it have no gradient, and that is exact
                nn.init.normal_(layer.weight, std=0.1)
    for step in (0, 1):  # the first with a penalty
        run_step(config, networks, build_batch(config, step))
        for key, network_ in networks.items():
            gradients = {parameter: value.grad.abs() for parameter, value in trained_of(network_)}
            rounding = 1e-12 * max(each.max() for each in gradients.values())
            assert [parameter for parameter, each in gradients.items() if each.max() < rounding] == [], key
            noisy = [parameter for parameter, each in gradients.items() if ((each > 0) & (each < rounding)).any()]
            assert noisy == [], key  # an element that is always 0 itself would stay where it is


def test_logged_terms_are_those_of_the_equation() -> None:
    config = tiny("vaegan3", "model.free_bits=0")
    networks, batch = build_networks(config), build_batch(config)
    scalars = {key: value.item() for key, value in run_step(config, networks, batch)[1].scalars.items()}
    out = networks["autoencoder"](batch.images, batch.noise["posterior"], batch.noise["prior"])
    pixel = torch.distributions.Normal(out.reconstruction, config.model.scale)
    likelihood = pixel.log_prob(batch.images).sum((1, 2, 3)).mean().item()
    posterior = torch.distributions.Normal(out.posterior.mean, out.posterior.variance.sqrt())
    prior = torch.distributions.Normal(torch.zeros(4).double(), 1.0)
    kl = torch.distributions.kl_divergence(posterior, prior).sum(1).mean().item()
    assert scalars["loss/reconstruction"] == pytest.approx(-likelihood)
    assert scalars["loss/kl"] == pytest.approx(kl)
    assert scalars["loss/negative_elbo"] == pytest.approx(kl - likelihood)
    errors = zip(batch.images.flatten().tolist(), out.reconstruction.flatten().tolist(), strict=True)
    assert scalars["reconstruction/mse"] == pytest.approx(sum((x - y) ** 2 for x, y in errors) / batch.images.numel())
    fakes = [
        networks["discriminator"](each).scores.log_softmax(1)[:, REAL] for each in (out.reconstruction, out.generated)
    ]
    assert scalars["loss/adversarial"] == pytest.approx(-torch.stack(fakes).mean().item())


@pytest.mark.parametrize("name", ["vae", "vaegan3", "larsen"])
def test_the_logged_divergence_has_neither_free_bits_nor_beta(name: str) -> None:
    plain, config = tiny(name, "model.free_bits=0"), tiny(name, "model.free_bits=2", "model.beta=3")
    batch = build_batch(plain)
    logged = [run_step(each, build_networks(plain), batch)[1].scalars["loss/kl"] for each in (plain, config)]
    assert torch.equal(*logged)


def test_beta_warms_up_linearly_and_free_bits_are_not_warmed() -> None:
    config = tiny("vae", "model.beta_warmup_steps=4", "model.beta=2", "model.free_bits=0")
    networks = build_networks(config)
    for step, beta in ((0, 0.5), (1, 1.0), (3, 2.0), (9, 2.0)):
        batch = build_batch(config, step)
        fixed = tiny("vae", f"model.beta={beta}", "model.free_bits=0")
        warm, cold = run_step(config, networks, batch)[0], run_step(fixed, networks, batch)[0]
        assert all(torch.equal(a, b) for part in warm for a, b in zip(warm[part], cold[part], strict=True))


def test_frozen_lets_gradients_through_and_none_in() -> None:
    layer, inputs = nn.Linear(2, 1), torch.randn(3, 2, requires_grad=True)
    with freeze(layer):
        layer(inputs).sum().backward()
    assert inputs.grad is not None and layer.weight.grad is None and layer.weight.requires_grad
    with pytest.raises(ZeroDivisionError), freeze(layer):
        raise ZeroDivisionError
    assert layer.weight.requires_grad and layer.bias.requires_grad
    layer.weight.requires_grad_(False)
    with freeze(layer):
        assert not layer.bias.requires_grad
    assert not layer.weight.requires_grad and layer.bias.requires_grad


@pytest.mark.parametrize("name", FAMILIES)
def test_a_bfloat16_step_gives_float32_terms_and_nearly_the_same_gradient(name: str) -> None:
    config = tiny(name)
    networks = build_networks(config, torch.float32)
    fine = build_batch(config, 1, torch.float32, count=16)
    expected, _ = run_step(config, networks, fine)
    actual, output = run_step(config, networks, dataclasses.replace(fine, autocast_dtype=torch.bfloat16))
    assert all(value.dtype == torch.float32 for value in output.scalars.values())
    for part, gradients in expected.items():
        difference = norm([a - b for a, b in zip(actual[part], gradients, strict=True)])
        assert 0 < difference < 0.1 * norm(gradients), part
        assert all(each.dtype == torch.float32 for each in actual[part])


def train_once(config: Config, folder, data: Data) -> Checkpoint:
    train(config, folder, data)
    return load_newest(folder)


MICRO_BATCH_BOUNDS = {"float64": 1e-10, "float32": 1e-4}
MICRO_BATCHED = [(name, dtype) for name in (*FAMILIES, *OTHER_GRIDS) for dtype in MICRO_BATCH_BOUNDS]


@pytest.mark.parametrize(
    ("name", "dtype"),
    divide_cases(MICRO_BATCHED, [*((name, "float64") for name in FAMILIES), ("vaegan3", "float32")]),
)
def test_micro_batches_are_one_batch(name: str, dtype: str, tmp_path, data: Data) -> None:
    words = [*LOOP_OPTIONS, *FAMILY_OPTIONS.get(name, ()), f"train.dtype={dtype}"]
    whole, parts = (
        flatten(train_once(tiny(name, *words, f"train.micro_batch_size={size}"), tmp_path / size, data))
        for size in ("null", "2")
    )
    weights = [key for key in whole if ".optimizer/" not in key]
    difference, where = find_largest_difference(
        {key: whole[key] for key in weights}, {key: parts[key] for key in weights}
    )
    assert difference < MICRO_BATCH_BOUNDS[dtype], where
    if dtype == "float64":
        difference, where = find_largest_difference(whole, parts)
        assert difference < 1e-8, where  # the optimizer's averages as well
        config = tiny(name, *words)
        start = build_step(config).build_networks()
        before = {f"{file}/{key}": value for file in start for key, value in start[file].double().state_dict().items()}
        assert find_largest_difference(before, {key: whole[key] for key in before})[0] > 1e-3  # it trained
