import pytest
import torch
from torch import nn

from vaegan.config.models import DiscriminatorConfig
from vaegan.config.schema import Config
from vaegan.errors import UserError
from vaegan.images import draw_image_grid, draw_pairs, to_float, to_uint8
from vaegan.models import build_model
from vaegan.models.discriminator import build_discriminator
from vaegan.networks.discriminator import Discriminator
from vaegan.networks.initialise import initialise
from vaegan.networks.sizes import count_levels, get_channels
from vaegan.trainers.dry_run import estimate_size

from ...tiny import NETWORKS, tiny


def sized(network: str, size: int, channels: int, *overrides: str) -> Config:
    words = [f"model.network={network}", f"model.discriminator.network={network}"]
    return tiny("vaegan3", *words, f"data.image_size={size}", f"data.channels={channels}", *overrides)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(
    ("size", "channels", "depth"), [(8, 1, 1), (8, 3, 3), (24, 3, 1), (40, 1, 2), (56, 3, 1), (256, 3, 1)]
)
def test_every_size_gives_the_right_shapes(network: str, size: int, channels: int, depth: int) -> None:
    config = sized(network, size, channels, f"model.depth={depth}", f"model.discriminator.depth={depth}")
    shape = (channels, size, size)
    model = build_model(config.model, shape, 0)
    images = torch.rand(2, *shape) * 2 - 1
    posterior = model.encode(images)
    assert posterior.mean.shape == posterior.variance.shape == (2, 4)
    decoded = model.decode(posterior.mean)
    assert decoded.shape == (2, *shape) and decoded.abs().max() <= 1
    assert build_discriminator(config.model, shape, 0)(images).scores.shape == (2, 3)
    assert torch.isfinite(decoded).all() and decoded.std() > 0.05  # neither flat nor saturated at the start
    planned = estimate_size(config)
    counted = planned.parameters
    assert planned.weight_bytes == 4 * (2 * (counted["encoder"] + counted["decoder"]) + counted["discriminator"])
    assert counted["encoder"] == sum(each.numel() for each in model.encoder.parameters())
    assert counted["decoder"] == sum(each.numel() for each in model.decoder.parameters())


def test_every_multiple_of_8_can_be_halved_to_a_small_base() -> None:
    for size in range(8, 257, 8):
        count, base = count_levels(size)
        assert base * 2**count == size and (base <= 4 or base % 2)
    assert [get_channels(8, level) for level in range(6)] == [8, 16, 32, 64, 64, 64]


@pytest.mark.parametrize("network", NETWORKS)
def test_no_network_looks_at_the_neighbours_in_the_batch(network: str) -> None:
    config = sized(network, 8, 1)
    model = build_model(config.model, (1, 8, 8), 0).double()
    judge = build_discriminator(config.model, (1, 8, 8), 0).double()
    images, codes = torch.randn(5, 1, 8, 8).double(), torch.randn(5, 4).double()
    for function, inputs in ((model.reconstruct, images), (model.decode, codes), (lambda x: judge(x).scores, images)):
        whole, alone = function(inputs), torch.cat([function(each) for each in inputs.split(1)])
        torch.testing.assert_close(whole, alone, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("network", NETWORKS)
def test_norms_are_where_they_belong(network: str) -> None:
    config = sized(network, 8, 1)
    model = build_model(config.model, (1, 8, 8), 0)
    norms = (nn.GroupNorm, nn.LayerNorm)
    assert any(isinstance(layer, norms) for layer in model.decoder.modules())
    judge = build_discriminator(config.model, (1, 8, 8), 0)
    assert not any(isinstance(layer, (*norms, nn.modules.batchnorm._NormBase)) for layer in judge.modules())
    assert not any(isinstance(layer, nn.modules.batchnorm._NormBase) for layer in model.modules())


@pytest.mark.parametrize("network", NETWORKS)
def test_contrast_and_the_length_of_a_code_can_be_learned(network: str) -> None:
    """A norm right after a layer without bias would hide both for ever: f(x / 2) = f(x)."""
    model = build_model(sized(network, 8, 1).model, (1, 8, 8), 0).double()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.copy_(torch.linspace(-0.3, 0.3, len(parameter)))
    images, codes = torch.randn(3, 1, 8, 8).double(), torch.randn(3, 4).double()
    assert (model.encode(images).mean - model.encode(images / 2).mean).abs().max() > 0.01
    assert (model.decode(codes) - model.decode(codes / 2)).abs().max() > 0.01


def test_weights_are_a_function_of_seed_and_name() -> None:
    def weights(seed: int, name: str) -> torch.Tensor:
        network = Discriminator(DiscriminatorConfig(width=8), (1, 8, 8), 3)
        initialise(network, seed, name)
        return torch.cat([each.detach().flatten() for each in network.parameters()])

    torch.manual_seed(0)
    first = weights(0, "discriminator")
    torch.randn(5)
    assert torch.equal(weights(0, "discriminator"), first)
    assert not torch.equal(weights(1, "discriminator"), first)
    assert not torch.equal(weights(0, "encoder"), first)


def test_the_discriminator_gives_float32_logits_under_bfloat16() -> None:
    judge = Discriminator(DiscriminatorConfig(width=8), (1, 8, 8), 3)
    images = torch.randn(4, 1, 8, 8)
    coarse, fine = judge(images, torch.bfloat16), judge(images)
    assert coarse.scores.dtype == coarse.features.dtype == torch.float32
    assert not torch.equal(coarse.scores, fine.scores)  # it was bfloat16 inside
    torch.testing.assert_close(coarse.scores, fine.scores, rtol=0.05, atol=0.05)
    with torch.no_grad():  # the head itself is float32: what it makes of its features is exact
        assert torch.equal(coarse.scores, judge.head(coarse.features.flatten(1)))


@pytest.mark.parametrize(("network", "layers"), [("mlp", 3), ("conv", 2), ("resnet", 2)])
def test_features_are_those_of_the_chosen_layer(network: str, layers: int) -> None:
    shape, images = (1, 8, 8), torch.randn(2, 1, 8, 8)
    of_layer = []
    for layer in (None, *range(1, layers + 1)):
        config = DiscriminatorConfig(network=network, width=8, depth=3, layer=layer)
        judge = Discriminator(config, shape, 3)
        initialise(judge, 0, "discriminator")
        judged = judge(images)
        of_layer.append(judged.features)
        assert torch.equal(judged.features, judge.trunk(images)[(layer or layers) - 1])
        assert torch.equal(judged.scores, judge.head(judge.trunk(images)[-1].flatten(1)))
    assert torch.equal(of_layer[0], of_layer[-1]) and not of_layer[0].equal(of_layer[1])
    with pytest.raises(UserError, match=f"model.discriminator.layer: {layers + 1} is beyond the last one, {layers}"):
        Discriminator(DiscriminatorConfig(network=network, width=8, depth=3, layer=layers + 1), shape, 3)


def test_pixels_survive_the_way_to_the_networks_and_back() -> None:
    levels = torch.arange(256, dtype=torch.uint8)
    for dtype in (torch.float32, torch.float64):
        assert to_float(levels, dtype).dtype == dtype
        assert torch.equal(to_uint8(to_float(levels, dtype)), levels)
    assert to_float(levels).min() == -1 and to_float(levels).max() == 1
    nearly = to_float(levels) + 0.49 / 127.5
    assert torch.equal(to_uint8(nearly), levels)  # rounded, not truncated
    assert to_uint8(torch.tensor([-1.5, 1.5])).tolist() == [0, 255]


@pytest.mark.parametrize("channels", [1, 3])
def test_grids_show_every_pixel(channels: int) -> None:
    images = torch.randint(0, 256, (5, channels, 8, 8), dtype=torch.uint8)
    picture = draw_image_grid(images, columns=3, scale=1)
    assert picture.size == (3 * 10 + 2, 2 * 10 + 2)
    for index in range(5):
        left, top = 2 + index % 3 * 10, 2 + index // 3 * 10
        pixel = picture.getpixel((left + 4, top + 6))
        assert pixel == tuple(images[index, :, 6, 4].expand(3).tolist())
    assert draw_image_grid(images, columns=5).size == (5 * 66 + 2, 66 + 2)
    assert draw_pairs(images, images, columns=3).size == (3 * 66 + 2, 4 * 66 + 2)
