"""The training forwards of the families with a Gaussian posterior."""

import pytest
import torch

from ...tiny import NETWORKS
from .build import build, draw_images


@pytest.mark.parametrize("name", ["vae", "vaegan2", "vaegan3", "larsen"])
@pytest.mark.parametrize("network", NETWORKS)
def test_a_training_forward_is_encode_and_decode(name: str, network: str) -> None:
    model, x = build(name, f"model.network={network}").double(), draw_images().double()
    noise, prior = torch.randn(6, 4).double(), torch.randn(6, 4).double()
    out = model(x, noise) if name == "vae" else model(x, noise, prior)
    posterior = model.encode(x)
    close = {"rtol": 1e-12, "atol": 1e-12}
    torch.testing.assert_close(out.posterior.mean, posterior.mean, **close)
    torch.testing.assert_close(out.codes, posterior.sample(noise), **close)
    torch.testing.assert_close(out.reconstruction, model.decode(posterior.sample(noise)), **close)
    if name != "vae":
        torch.testing.assert_close(out.generated, model.decode(prior), **close)
        torch.testing.assert_close(out.adversarial_reconstruction, out.reconstruction, **close)
        (to_encoder,) = torch.autograd.grad(out.adversarial_reconstruction.sum(), model.encoder.head.weight)
        assert (to_encoder.abs().max() == 0) == (name != "vaegan3")


def test_the_cycle_encodes_what_was_generated() -> None:
    prior = torch.randn(6, 4).double()
    vaegan_inputs = draw_images().double(), prior.flip(0)
    for name, overrides, inputs in (("ganvae", (), (None, None)), ("vaegan3", ("model.cycle=1",), vaegan_inputs)):
        model = build(name, *overrides).double()
        out = model(*inputs, prior)
        torch.testing.assert_close(out.generated, model.decode(prior), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(out.cycle.mean, model.encode(model.decode(prior)).mean, rtol=1e-12, atol=1e-12)
        weights = [model.encoder.head.weight, model.decoder.trunk.out.weight]
        gradients = torch.autograd.grad(out.cycle.mean.sum(), weights)
        assert all(gradient.abs().max() > 0 for gradient in gradients)


def test_the_variance_stays_finite_whatever_the_encoder_returns() -> None:
    model = build("vae")
    with torch.no_grad():
        model.encoder.head.bias[4:] = torch.tensor([1e30, -1e30, 500.0, -500.0])
    variance = model.encode(draw_images()).variance
    assert torch.isfinite(variance).all() and (variance > 0).all()
