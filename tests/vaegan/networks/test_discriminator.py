"""The discriminator: its layers, its precision, and how it uses an image's class."""

import pytest
import torch
from torch import Tensor

from tests.tensors import draw_pixels
from vaegan.config.adversarial import DiscriminatorConfig
from vaegan.errors import UserError
from vaegan.networks.build import build_discriminator
from vaegan.networks.discriminator import Discriminator
from vaegan.networks.initialise import initialise

from ...tiny import VECTOR_ADVERSARIES, tiny

LABELS = torch.tensor([3, 0, 9, 3, 7])
LOSS_FORMS = [("cross_entropy", 1), ("cross_entropy", 3), ("relativistic", 2)]
"""Each form of the adversarial loss with a number of scores."""


def draw_images(count: int = len(LABELS)) -> Tensor:
    return draw_pixels(count, 1, 8, 8)


def test_the_scores_are_float32_under_bfloat16() -> None:
    discriminator = Discriminator(DiscriminatorConfig(width=8), (1, 8, 8), 3)
    images = torch.randn(4, 1, 8, 8)
    coarse, fine = discriminator(images, torch.bfloat16), discriminator(images)
    assert coarse.scores.dtype == coarse.features.dtype == torch.float32
    assert not torch.equal(coarse.scores, fine.scores)  # it was bfloat16 inside
    torch.testing.assert_close(coarse.scores, fine.scores, rtol=0.05, atol=0.05)
    with torch.no_grad():  # the head itself is float32: what it makes of its features is exact
        assert torch.equal(coarse.scores, discriminator.head(coarse.features.flatten(1)))


@pytest.mark.parametrize(
    ("network", "layers"), [("mlp", 3), ("conv", 2), ("antialiased", 2), ("resnet", 2), ("inverted_residual", 2)]
)
def test_features_are_those_of_the_chosen_layer(network: str, layers: int) -> None:
    shape, images = (1, 8, 8), torch.randn(2, 1, 8, 8)
    features = []
    for layer in (None, *range(1, layers + 1)):
        config = DiscriminatorConfig(network=network, width=8, depth=3, layer=layer)
        discriminator = Discriminator(config, shape, 3)
        initialise(discriminator, 0, "discriminator")
        output = discriminator(images)
        features.append(output.features)
        assert torch.equal(output.features, discriminator.trunk(images)[(layer or layers) - 1])
        assert torch.equal(output.scores, discriminator.head(discriminator.trunk(images)[-1].flatten(1)))
    assert torch.equal(features[0], features[-1]) and not features[0].equal(features[1])
    with pytest.raises(UserError, match=f"model.discriminator.layer: {layers + 1} is beyond the last one, {layers}"):
        Discriminator(DiscriminatorConfig(network=network, width=8, depth=3, layer=layers + 1), shape, 3)


@pytest.mark.parametrize(("loss", "scores"), LOSS_FORMS)
@pytest.mark.parametrize("spectral", ["true", "false"])
def test_the_projection_is_added_to_the_realness_alone(loss: str, scores: int, spectral: str) -> None:
    """Miyato & Koyama 2018, eq. 3: y^T V phi(x) + psi(phi(x))."""
    words = (f"model.adversarial.loss={loss}", f"model.discriminator.spectral_norm={spectral}", "model.labels=10")
    config = tiny("vaegan2" if scores == 1 else "vaegan3", *words).model
    discriminator, x = build_discriminator(config, (1, 8, 8), 0).double(), draw_images()
    output, phi = discriminator(x, labels=LABELS), discriminator.trunk(x)[-1].flatten(1)
    assert output.scores.shape == (5, scores) and output.class_logits is None
    added = output.scores - discriminator.head(phi)
    vectors = discriminator.projection.weight  # V, as it is after the normalisation
    expected = torch.stack([vectors[label] @ row for label, row in zip(LABELS, phi, strict=True)])
    torch.testing.assert_close(added[:, 0], expected, rtol=1e-10, atol=1e-12)
    assert (added[:, 1:] == 0).all() and expected.abs().min() > 1e-4
    assert torch.equal(output.features, discriminator(x, labels=LABELS.flip(0)).features)
    if spectral == "true":
        assert torch.linalg.matrix_norm(vectors, 2) < 1.5


@pytest.mark.parametrize("name", VECTOR_ADVERSARIES)
def test_an_auxiliary_head_leaves_the_scores_alone(name: str) -> None:
    words = ("model.labels=10", "model.discriminator.condition=auxiliary")
    discriminator, x = build_discriminator(tiny(name, *words).model, (1, 8, 8), 0).double(), draw_images()
    output = discriminator(x, labels=LABELS)
    assert torch.equal(output.scores, discriminator(x, labels=LABELS.flip(0)).scores)
    assert torch.equal(output.scores, discriminator.head(discriminator.trunk(x)[-1].flatten(1)))
    assert output.class_logits.shape == (5, 10)
