"""The Python API and the initial weights of every family."""

import pytest
import torch

from vaegan.errors import UserError
from vaegan.models import AE, GANVAE, VAE, VAEGAN, VQVAE, Flow, Larsen, PixelCNN

from ...tiny import AUTOENCODERS, FLOWS, NETWORKS, VECTORS, are_bit_identical
from .build import build, draw_images


def test_each_family_is_its_own_class() -> None:
    assert [type(build(name)) for name in AUTOENCODERS] == [
        AE, VAE, VAEGAN, VAEGAN, Larsen, GANVAE, VAE, VAEGAN, VAEGAN, VQVAE, PixelCNN, Flow, Flow,
    ]  # fmt: skip


@pytest.mark.parametrize("network", NETWORKS)
def test_variants_start_from_the_same_weights(network: str) -> None:
    models = [build(name, f"model.network={network}", "model.latent_size=6") for name in VECTORS]
    decoders = [model.decoder.state_dict() for model in models]
    assert all(are_bit_identical(decoders[0], other) for other in decoders[1:])
    encoders = [model.encoder.state_dict() for model in models]
    assert all(are_bit_identical(encoders[1], other) for other in encoders[2:])
    trunks = [model.encoder.trunk.state_dict() for model in models]
    assert all(are_bit_identical(trunks[0], other) for other in trunks[1:])
    assert not are_bit_identical(
        decoders[0], build("vae", f"model.network={network}", "model.latent_size=6", seed=1).decoder.state_dict()
    )


def test_weights_do_not_depend_on_the_global_generator() -> None:
    torch.manual_seed(3)
    first = build("vae").state_dict()
    torch.manual_seed(4)
    assert are_bit_identical(first, build("vae").state_dict())


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_reconstruction_decodes_the_posterior_mean(name: str) -> None:
    model, x = build(name), draw_images()
    posterior = model.encode(x)
    assert torch.equal(model.reconstruct(x), model.decode(posterior.mean))
    noise = torch.randn(posterior.mean.shape)
    torch.testing.assert_close(posterior.sample(noise), posterior.mean + posterior.variance.sqrt() * noise)
    assert (posterior.variance == 0).all() if name in ("ae", "vqvae", "pixelcnn") else (posterior.variance > 0).all()


def test_samples_are_decoded_prior_codes_and_each_is_its_own_whatever_the_count() -> None:
    model = build("vae")
    codes = model.draw_prior_codes(0, 40, seed=1)
    assert torch.equal(model.sample(40, seed=1), model.decode(codes))
    assert torch.equal(torch.cat([model.draw_prior_codes(0, 7, 1), model.draw_prior_codes(7, 40, 1)]), codes)
    assert torch.equal(model.sample(5), model.decode(model.draw_prior_codes(0, 5, seed=0)))
    assert model.sample(0).shape == (0, *model.image_shape)
    assert not torch.equal(model.draw_prior_codes(0, 40, seed=2), codes)
    many = model.draw_prior_codes(0, 3000, seed=0)
    assert many.mean().abs() < 0.04 and (many.var() - 1).abs() < 0.06


def test_an_autoencoder_says_that_it_cannot_be_sampled() -> None:
    with pytest.raises(UserError, match=r"model\.family=ae: it has no prior .* --density gmm") as caught:
        build("ae").sample(4)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_bfloat16_forwards_end_in_float32(name: str) -> None:
    model, x = build(name), draw_images()
    draws = {"ae": 0, "vqvae": 0, "pixelcnn": 0, "vae": 1, "vae-grid": 1, "ganvae": 1}.get(name, 2)
    inputs = [torch.randn(6, model.code_size) for _ in range(draws)]
    inputs = [None, None, *inputs] if name == "ganvae" else [x, *inputs]
    inputs += [torch.rand(6)] * (name in FLOWS)  # the times
    coarse, fine = model(*inputs, torch.bfloat16), model(*inputs, None)
    for a, b in zip(coarse, fine, strict=True):
        if a is b is None:  # a scale that is not learned, a cycle that is not trained
            continue
        pairs = (
            [(a.mean, b.mean), (a.log_variance, b.log_variance)]
            if hasattr(a, "mean") and not torch.is_tensor(a)
            else [(a, b)]
        )
        for rough, exact in pairs:
            if not exact.is_floating_point():  # which entries of a codebook
                continue
            assert rough.dtype == exact.dtype == torch.float32
            torch.testing.assert_close(rough, exact, rtol=0.1, atol=0.1)
    fields = {"pixelcnn": "logits", "ganvae": "generated", **dict.fromkeys(FLOWS, "predicted")}
    field = fields.get(name, "reconstruction")
    assert not torch.equal(getattr(coarse, field), getattr(fine, field))


def test_a_grid_whose_divergence_hardly_counts_says_that_samples_may_be_no_images() -> None:
    weak = build("vae-grid", "model.beta=1e-6")
    assert weak.describe_weak_prior() == (
        "model.beta=1e-06 does not hold codes to N(0, I), so that samples from it may be no images;"
        " --density gaussian draws codes as the training images have them"
    )
    large = build("vae-grid", "model.beta=1e-6", "model.code_channels=513")
    assert "train a flow over its codes (family flow), or take a larger" in large.describe_weak_prior()
    for name, *words in (("vae-grid",), ("vae", "model.beta=1e-6"), ("ganvae-grid",), ("vqvae",)):
        assert build(name, *words).describe_weak_prior() == ""
