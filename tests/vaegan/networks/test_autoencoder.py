"""Encoder and decoder of every kind: their shapes, and what an image or a code changes."""

import pytest
import torch
from torch import nn

from vaegan.config.schema import Config
from vaegan.models import build_model
from vaegan.networks.build import build_discriminator
from vaegan.trainers.dry_run import estimate_size

from ...tiny import NETWORKS, tiny


def configure(network: str, size: int, channels: int, *overrides: str) -> Config:
    words = [f"model.network={network}", f"model.discriminator.network={network}"]
    return tiny("vaegan3", *words, f"data.image_size={size}", f"data.channels={channels}", *overrides)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(
    ("size", "channels", "depth"), [(8, 1, 1), (8, 3, 3), (24, 3, 1), (40, 1, 2), (56, 3, 1), (256, 3, 1)]
)
def test_every_size_gives_the_right_shapes(network: str, size: int, channels: int, depth: int) -> None:
    config = configure(network, size, channels, f"model.depth={depth}", f"model.discriminator.depth={depth}")
    shape = (channels, size, size)
    model = build_model(config.model, shape, 0)
    images = torch.rand(2, *shape) * 2 - 1
    posterior = model.encode(images)
    assert posterior.mean.shape == posterior.variance.shape == (2, 4)
    decoded = model.decode(posterior.mean)
    assert decoded.shape == (2, *shape) and decoded.abs().max() <= 1
    assert build_discriminator(config.model, shape, 0)(images).scores.shape == (2, 3)
    assert torch.isfinite(decoded).all() and decoded.std() > 0.05  # neither flat nor saturated at the start
    size_estimate = estimate_size(config)
    counts = size_estimate.parameters
    assert size_estimate.weight_bytes == 4 * (2 * (counts["encoder"] + counts["decoder"]) + counts["discriminator"])
    assert counts["encoder"] == sum(each.numel() for each in model.encoder.parameters())
    assert counts["decoder"] == sum(each.numel() for each in model.decoder.parameters())


@pytest.mark.parametrize("network", NETWORKS)
def test_no_network_depends_on_the_neighbours_in_the_batch(network: str) -> None:
    config = configure(network, 8, 1)
    model = build_model(config.model, (1, 8, 8), 0).double()
    discriminator = build_discriminator(config.model, (1, 8, 8), 0).double()
    images, codes = torch.randn(5, 1, 8, 8).tanh().double(), torch.randn(5, 4).double()
    functions = ((model.reconstruct, images), (model.decode, codes), (lambda x: discriminator(x).scores, images))
    for function, inputs in functions:
        whole, alone = function(inputs), torch.cat([function(each) for each in inputs.split(1)])
        torch.testing.assert_close(whole, alone, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("network", NETWORKS)
def test_the_last_layer_of_a_decoder_makes_its_pixels(network: str) -> None:
    decoder = build_model(configure(network, 8, 1).model, (1, 8, 8), 0).decoder
    *_, (last, _) = ((weight, name) for name, weight in decoder.named_parameters() if name.endswith("weight"))
    assert decoder.get_last_layer() is last
    before = decoder.pre_tanh(torch.ones(1, 4))
    with torch.no_grad():
        last *= 2  # its bias is still 0
    torch.testing.assert_close(decoder.pre_tanh(torch.ones(1, 4)), 2 * before)


@pytest.mark.parametrize("network", NETWORKS)
def test_norms_are_where_they_belong(network: str) -> None:
    config = configure(network, 8, 1)
    model = build_model(config.model, (1, 8, 8), 0)
    norms = (nn.GroupNorm, nn.LayerNorm)
    assert any(isinstance(layer, norms) for layer in model.decoder.modules()) == (network != "inverted_residual")
    discriminator = build_discriminator(config.model, (1, 8, 8), 0)
    assert not any(isinstance(layer, (*norms, nn.modules.batchnorm._NormBase)) for layer in discriminator.modules())
    assert not any(isinstance(layer, nn.modules.batchnorm._NormBase) for layer in model.modules())


@pytest.mark.parametrize("network", NETWORKS)
def test_contrast_and_the_length_of_a_code_can_be_learned(network: str) -> None:
    """A norm right after a layer without bias would hide both for ever: f(x / 2) = f(x)."""
    model = build_model(configure(network, 8, 1).model, (1, 8, 8), 0).double()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.copy_(torch.linspace(-0.3, 0.3, len(parameter)))
    images, codes = torch.randn(3, 1, 8, 8).tanh().double(), torch.randn(3, 4).double()
    assert (model.encode(images).mean - model.encode(images / 2).mean).abs().max() > 0.01
    assert (model.decode(codes) - model.decode(codes / 2)).abs().max() > 0.01
