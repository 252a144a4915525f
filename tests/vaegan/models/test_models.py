import pytest
import torch

from vaegan.errors import UserError
from vaegan.models import AE, GANVAE, VAE, VAEGAN, VQVAE, Autoencoder, Larsen, PixelCNN, build_model

from ...tiny import AUTOENCODERS, NETWORKS, VECTORS, same_bits, tiny

SHAPE = (1, 8, 8)


def built(name: str, *overrides: str, seed: int = 0) -> Autoencoder:
    return build_model(tiny(name, *overrides).model, SHAPE, seed)


def images(count: int = 6) -> torch.Tensor:
    return torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_each_family_is_its_own_class() -> None:
    assert [type(built(name)) for name in AUTOENCODERS] == [
        AE, VAE, VAEGAN, VAEGAN, Larsen, GANVAE, VQVAE, PixelCNN,
    ]  # fmt: skip


@pytest.mark.parametrize("network", NETWORKS)
def test_variants_start_from_the_same_weights(network: str) -> None:
    models = [built(name, f"model.network={network}", "model.latent_size=6") for name in VECTORS]
    decoders = [model.decoder.state_dict() for model in models]
    assert all(same_bits(decoders[0], other) for other in decoders[1:])
    encoders = [model.encoder.state_dict() for model in models]
    assert all(same_bits(encoders[1], other) for other in encoders[2:])
    trunks = [model.encoder.trunk.state_dict() for model in models]
    assert all(same_bits(trunks[0], other) for other in trunks[1:])
    assert not same_bits(
        decoders[0], built("vae", f"model.network={network}", "model.latent_size=6", seed=1).decoder.state_dict()
    )


def test_weights_do_not_depend_on_the_global_generator() -> None:
    torch.manual_seed(3)
    first = built("vae").state_dict()
    torch.manual_seed(4)
    assert same_bits(first, built("vae").state_dict())


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_reconstruction_decodes_the_posterior_mean(name: str) -> None:
    model, x = built(name), images()
    posterior = model.encode(x)
    assert torch.equal(model.reconstruct(x), model.decode(posterior.mean))
    noise = torch.randn(posterior.mean.shape)
    torch.testing.assert_close(posterior.sample(noise), posterior.mean + posterior.variance.sqrt() * noise)
    assert (posterior.variance == 0).all() if name in ("ae", "vqvae", "pixelcnn") else (posterior.variance > 0).all()


def test_samples_are_decoded_prior_codes_and_each_is_its_own_whatever_the_count() -> None:
    model = built("vae")
    codes = model.prior_codes(0, 40, seed=1)
    assert torch.equal(model.sample(40, seed=1), model.decode(codes))
    assert torch.equal(torch.cat([model.prior_codes(0, 7, 1), model.prior_codes(7, 40, 1)]), codes)
    assert torch.equal(model.sample(5), model.decode(model.prior_codes(0, 5, seed=0)))
    assert model.sample(0).shape == (0, *model.image_shape)
    assert not torch.equal(model.prior_codes(0, 40, seed=2), codes)
    many = model.prior_codes(0, 3000, seed=0)
    assert many.mean().abs() < 0.04 and (many.var() - 1).abs() < 0.06


def test_an_autoencoder_says_that_it_cannot_be_sampled() -> None:
    with pytest.raises(UserError, match=r"model\.family=ae: it has no prior .* --density gmm") as mistake:
        built("ae").sample(4)
    assert "\n" not in str(mistake.value)


@pytest.mark.parametrize("name", ["vae", "vaegan2", "vaegan3", "larsen"])
@pytest.mark.parametrize("network", NETWORKS)
def test_training_forward_is_what_the_api_does(name: str, network: str) -> None:
    model, x = built(name, f"model.network={network}").double(), images().double()
    noise, prior = torch.randn(6, 4).double(), torch.randn(6, 4).double()
    out = model(x, noise) if name == "vae" else model(x, noise, prior)
    posterior = model.encode(x)
    close = {"rtol": 1e-12, "atol": 1e-12}
    torch.testing.assert_close(out.posterior.mean, posterior.mean, **close)
    torch.testing.assert_close(out.codes, posterior.sample(noise), **close)
    torch.testing.assert_close(out.reconstruction, model.decode(posterior.sample(noise)), **close)
    if name != "vae":
        torch.testing.assert_close(out.generated, model.decode(prior), **close)
        torch.testing.assert_close(out.judged, out.reconstruction, **close)
        (to_encoder,) = torch.autograd.grad(out.judged.sum(), model.encoder.head.weight)
        assert (to_encoder.abs().max() == 0) == (name != "vaegan3")


def test_the_cycle_encodes_what_was_generated() -> None:
    prior = torch.randn(6, 4).double()
    for name, words, given in (("ganvae", (), ()), ("vaegan3", ("model.cycle=1",), (images().double(), prior.flip(0)))):
        model = built(name, *words).double()
        out = model(*given, prior)
        torch.testing.assert_close(out.generated, model.decode(prior), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(out.cycle.mean, model.encode(model.decode(prior)).mean, rtol=1e-12, atol=1e-12)
        slopes = torch.autograd.grad(out.cycle.mean.sum(), [model.encoder.head.weight, model.decoder.trunk.out.weight])
        assert all(slope.abs().max() > 0 for slope in slopes)


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_bfloat16_forwards_end_in_float32(name: str) -> None:
    model, x = built(name), images()
    draws = {"ae": 0, "vqvae": 0, "pixelcnn": 0, "vae": 1, "ganvae": 1}.get(name, 2)
    given = [torch.randn(6, 4) for _ in range(draws)]
    given = given if name == "ganvae" else [x, *given]
    coarse, fine = model(*given, torch.bfloat16), model(*given, None)
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
    made = {"pixelcnn": "logits", "ganvae": "generated"}.get(name, "reconstruction")
    assert not torch.equal(getattr(coarse, made), getattr(fine, made))


def test_the_variance_stays_finite_whatever_the_encoder_says() -> None:
    model = built("vae")
    with torch.no_grad():
        model.encoder.head.bias[4:] = torch.tensor([1e30, -1e30, 500.0, -500.0])
    variance = model.encode(images()).variance
    assert torch.isfinite(variance).all() and (variance > 0).all()
