"""Discriminators of patches: the filter, the scores of places, classes, and a penalty that is right for P patches."""

from itertools import product

import pytest
import torch
import torch.nn.functional as F

from tests.tensors import draw_pixels
from vaegan.config.adversarial import DiscriminatorConfig
from vaegan.config.load import validate_config
from vaegan.errors import UserError
from vaegan.losses.adversarial import compute_realness_map, gradient_penalty, realness
from vaegan.networks.build import build_discriminator
from vaegan.networks.discriminator import Discriminator, MultiScaleDiscriminator
from vaegan.networks.initialise import initialise

from ...tiny import PATCHES, tiny


def build(depth: int = 1, norm: str = "none", scores: int = 3, classes: int | None = None) -> Discriminator:
    config = DiscriminatorConfig(network="patch", width=8, depth=depth, norm=norm)
    return initialise(Discriminator(config, (1, 8, 8), scores, classes), 0, "discriminator").double()


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_an_image_of_any_sides_has_a_score_for_each_patch(depth: int) -> None:
    discriminator, config = build(depth), DiscriminatorConfig(network="patch", width=8, depth=depth)
    for height, width in ((8, 8), (16, 8), (20, 12), (9, 8)):
        output = discriminator(draw_pixels(2, 1, height, width))
        assert output.scores.shape == (2, 3, *config.get_score_shape((1, height, width)))
        assert output.features.shape[2:] == output.scores.shape[2:]
    assert DiscriminatorConfig().get_score_shape((1, 8, 8)) == ()


@torch.no_grad()
def test_the_score_of_a_patch_depends_on_its_neighbourhood_alone() -> None:
    """Without a norm, and away from the border, a patch of a large image has the score of the same patch of a part."""
    images = draw_pixels(2, 1, 48, 48)
    for norm in ("none", "group"):
        discriminator = build(2, norm)
        whole, part = discriminator(images).scores[:, :, 4:, 4:], discriminator(images[..., 16:, 16:]).scores
        assert torch.allclose(whole[:, :, 4:, 4:], part[:, :, 4:, 4:], rtol=0, atol=1e-12) == (norm == "none")
        alone = discriminator(images[:1]).scores
        torch.testing.assert_close(alone, discriminator(images).scores[:1], rtol=0, atol=1e-12)


def test_the_projection_is_added_to_the_realness_of_each_patch() -> None:
    """Miyato & Koyama 2018, eq. 3, at each place."""
    discriminator, images, labels = build(classes=10), draw_pixels(3, 1, 8, 8), torch.tensor([7, 0, 7])
    phi = discriminator.trunk(images)[-1]
    added = discriminator(images, labels=labels).scores - discriminator.head(phi)
    assert discriminator.projection is not None
    expected = torch.einsum("nc,nchw->nhw", discriminator.projection.weight[labels], phi)
    torch.testing.assert_close(added[:, 0], expected, rtol=0, atol=1e-12)
    assert (added[:, 1:] == 0).all() and expected.abs().min() > 1e-6


@pytest.mark.parametrize("name", PATCHES)
def test_its_initial_weights_are_a_function_of_the_seed(name: str) -> None:
    one, two, three = (
        torch.cat([weight.flatten() for weight in build_discriminator(tiny(name).model, (1, 8, 8), seed).parameters()])
        for seed in (0, 0, 1)
    )
    assert torch.equal(one, two) and not torch.equal(one, three)


@pytest.mark.parametrize("scores", [1, 3])
def test_the_penalty_of_patches_is_without_bias(scores: int) -> None:
    """The mean over all 2^P signs is the mean of the penalties of the patches, each on its own.

    P times the penalty of the mean realness has the products of patches that share pixels beside it.
    """
    discriminator, images = build(scores=scores), draw_pixels(2, 1, 4, 4).requires_grad_()
    values = compute_realness_map(discriminator(images).scores)
    patches = values[0].numel()
    assert values.shape == (2, 2, 2)
    each = [gradient_penalty(values[:, i, j], images) for i, j in product(range(2), range(2))]
    expected = torch.stack(each).mean(0)
    signs = [torch.tensor(pattern).double().view(2, 2).expand(2, 2, 2) for pattern in product((-1, 1), repeat=patches)]
    penalties = torch.stack([gradient_penalty(values, images, pattern) for pattern in signs])
    torch.testing.assert_close(penalties.mean(0), expected, rtol=1e-12, atol=0)
    assert (penalties.std(0) > 0.01 * expected).all()
    of_mean = gradient_penalty(realness(discriminator(images).scores), images)
    torch.testing.assert_close(gradient_penalty(values, images), patches * of_mean, rtol=1e-12, atol=0)
    assert ((patches * of_mean / expected - 1).abs() > 0.01).all()


def test_the_penalty_of_patches_that_share_no_pixel_is_exact() -> None:
    """Then P |grad mean r|^2, and the estimate under every sign, is the mean of the penalties of the patches."""
    weight, images = draw_pixels(1, 1, 2, 2, seed=1), draw_pixels(3, 1, 6, 6).requires_grad_()
    values = F.conv2d(images, weight, stride=2).tanh()[:, 0]
    each = [gradient_penalty(values[:, i, j], images) for i, j in product(range(3), range(3))]
    signs = torch.where(draw_pixels(3, 3, 3, seed=2) < 0, -1.0, 1.0).double()
    expected = torch.stack(each).mean(0)
    torch.testing.assert_close(gradient_penalty(values, images, signs), expected, rtol=1e-12, atol=0)
    of_mean = gradient_penalty(values.flatten(1).mean(1), images)
    torch.testing.assert_close(9 * of_mean, expected, rtol=1e-12, atol=0)


def build_scales(*scales: int, depth: int = 1) -> MultiScaleDiscriminator:
    config = DiscriminatorConfig(network="patch", width=8, depth=depth, scales=scales)
    network = MultiScaleDiscriminator(config, (1, 16, 16), 3)
    return initialise(network, 0, "discriminator").double()


def test_several_scales_count_alike_and_each_sees_means_of_squares() -> None:
    discriminator, images = build_scales(1, 2, 4), draw_pixels(3, 1, 16, 16)
    output = discriminator(images)
    assert output.scores.shape == (3, 3, 3, 8, 8) == (3, 3, *build_shape(1, 2, 4))
    means = []
    for scale, member in zip((1, 2, 4), discriminator.members, strict=True):
        reduced = images.unflatten(-1, (-1, scale)).unflatten(-3, (-1, scale)).mean((-3, -1))
        scores = member(reduced).scores
        assert scores.shape[-1] == 8 // scale
        means.append(realness(scores))
    torch.testing.assert_close(realness(output.scores), torch.stack(means).mean(0), rtol=0, atol=1e-12)
    assert torch.equal(output.features, discriminator.members[0](images).features)
    weights = [torch.cat([each.flatten() for each in member.parameters()]) for member in discriminator.members]
    assert not torch.equal(weights[0], weights[1])


def build_shape(*scales: int) -> tuple[int, ...]:
    return DiscriminatorConfig(network="patch", scales=scales).get_score_shape((1, 16, 16))


def test_the_penalty_of_several_scales_is_the_mean_of_theirs_without_bias() -> None:
    """A coarse patch is repeated, with a sign for each repetition, whose sum has as many for its variance."""
    discriminator, images = build_scales(1, 2), draw_pixels(1, 1, 8, 8)
    expected = []
    for scale, member in zip((1, 2), discriminator.members, strict=True):
        inputs = images.clone().requires_grad_()
        values = compute_realness_map(member(F.avg_pool2d(inputs, scale)).scores).flatten()
        each = [gradient_penalty(value[None], inputs) for value in values]
        expected.append(torch.cat(each).mean())
    inputs = images.clone().requires_grad_()
    values = compute_realness_map(discriminator(inputs).scores)
    assert values.shape == (1, 2, 4, 4)
    generator = torch.Generator().manual_seed(0)
    estimates = torch.stack(
        [
            gradient_penalty(values, inputs, torch.randint(0, 2, values.shape, generator=generator).double() * 2 - 1)
            for _ in range(600)
        ]
    ).detach()
    error = 4 * estimates.std() / len(estimates) ** 0.5
    assert error < 0.1 * estimates.mean() and (estimates.mean() - sum(expected) / 2).abs() < error


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"network": "patch", "condition": "auxiliary"},
            "condition: auxiliary tells the class of an image, not of its",
        ),
        ({"network": "conv", "scales": [1, 2]}, "scales: conv has one; leave it out, or take network=patch"),
        ({"network": "patch", "scales": [2, 1]}, "scales: not in rising order; sort them, each once"),
        ({"network": "patch", "scales": [1, 1]}, "scales: not in rising order; sort them, each once"),
        ({"network": "patch", "scales": [1, 3]}, "scales.1: got 3; allowed: 1 | 2 | 4 | 8"),
        ({"network": "patch", "scales": []}, "scales: got []; allowed: list of 1 | 2 | 4 | 8"),
        ({"network": "conv", "norm": "group"}, "norm: conv takes none; leave it out, or take network=patch"),
    ],
)
def test_what_patches_have_not_is_refused_in_one_line(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UserError) as caught:
        validate_config(DiscriminatorConfig, settings, "config")
    assert str(caught.value).removeprefix("config: ").removeprefix("model.discriminator.").startswith(message)
    assert "\n" not in str(caught.value)


def test_sides_that_the_patches_of_several_scales_do_not_divide_are_refused_in_one_line() -> None:
    config = DiscriminatorConfig(network="patch", width=8, depth=2, scales=(1, 2))
    with pytest.raises(UserError) as caught:
        MultiScaleDiscriminator(config, (1, 20, 20), 1)
    assert str(caught.value) == (
        "model.discriminator.scales: [1, 2] with depth 2 takes sides that are multiples of 8, and the images have 20"
    )
