"""A conditional model: what its class changes, and what it is asked for and refuses."""

import pytest
import torch
from torch import Tensor

from vaegan.errors import UserError
from vaegan.models import Autoencoder, build_model
from vaegan.models.discriminator import build_discriminator

from ...tiny import ADVERSARIES, AUTOENCODERS, CONDITIONS, NETWORKS, of_network, tiny

LABELS = torch.tensor([3, 0, 9, 3, 7])
FORMS = [("cross_entropy", 1), ("cross_entropy", 3), ("relativistic", 2)]


def built(name: str, *words: str) -> Autoencoder:
    model = build_model(tiny(name, *words).model, (1, 8, 8), 0).double().eval()
    assert isinstance(model, Autoencoder)
    return model.requires_grad_(False)


def images(count: int = len(LABELS)) -> Tensor:
    return torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1


def differing(a: Tensor, b: Tensor) -> list[bool]:
    """Which images are other ones, bit for bit."""
    return [not torch.equal(*pair) for pair in zip(a, b, strict=True)]


@pytest.mark.parametrize("name", CONDITIONS)
def test_a_label_changes_its_own_image_and_no_other(name: str) -> None:
    model, x = built(name, *CONDITIONS[name]), images()
    other = LABELS.clone()
    other[2] = 4
    changed = [False, False, True, False, False]
    by_class = changed if model.networks_know_class else [False] * 5
    codes = model.encode(x, LABELS).mean
    assert differing(codes, model.encode(x, other).mean) == by_class
    assert differing(model.decode(codes, LABELS), model.decode(codes, other)) == by_class
    assert differing(model.reconstruct(x, LABELS), model.reconstruct(x, other)) == by_class
    assert differing(model.sample(5, 1, labels=LABELS), model.sample(5, 1, labels=other)) == changed
    assert torch.equal(model.reconstruct(x, LABELS), model.decode(codes, LABELS))


@pytest.mark.parametrize("name", CONDITIONS)
def test_one_label_is_that_of_all_and_none_are_the_classes_in_turn(name: str) -> None:
    model, x = built(name, *CONDITIONS[name]), images()
    all_threes = torch.full((5,), 3)
    assert torch.equal(model.sample(5, 1, labels=3), model.sample(5, 1, labels=all_threes))
    assert torch.equal(model.encode(x, 3).mean, model.encode(x, all_threes).mean)
    assert torch.equal(model.reconstruct(x, 3), model.reconstruct(x, all_threes))
    whole = model.sample(23, 1)
    assert torch.equal(whole, model.sample(23, 1, labels=torch.arange(23) % 10))
    assert torch.equal(whole[:4], model.sample(4, 1))  # an image is a function of seed and place
    torch.testing.assert_close(torch.cat([model.sample_range(0, 9, 1), model.sample_range(9, 23, 1)]), whole)


@pytest.mark.parametrize("network", NETWORKS)
def test_the_class_is_one_hot_beside_the_code_and_a_plane_beside_the_image(network: str) -> None:
    model, x = built("vae", "model.labels=10", *of_network("vae", network)), images()
    plane = model.encoder.plane.weight[LABELS].reshape(5, 1, 8, 8)
    given = model.encoder.head(model.encoder.trunk(torch.cat([x, plane], 1))[-1].flatten(1))
    assert torch.equal(given[:, :4], model.encode(x, LABELS).mean)
    codes = torch.randn(5, 4, dtype=torch.float64)
    one_hot = torch.zeros(5, 10, dtype=torch.float64).scatter(1, LABELS[:, None], 1.0)
    assert torch.equal(torch.tanh(model.decoder.trunk(torch.cat([codes, one_hot], 1))), model.decode(codes, LABELS))


@pytest.mark.parametrize(("loss", "scores"), FORMS)
@pytest.mark.parametrize("spectral", ["true", "false"])
def test_the_projection_is_added_to_the_realness_alone(loss: str, scores: int, spectral: str) -> None:
    """Miyato & Koyama 2018, eq. 3: y^T V phi(x) + psi(phi(x))."""
    words = (f"model.adversarial.loss={loss}", f"model.discriminator.spectral_norm={spectral}", "model.labels=10")
    config = tiny("vaegan2" if scores == 1 else "vaegan3", *words).model
    network, x = build_discriminator(config, (1, 8, 8), 0).double(), images()
    judgement, phi = network(x, labels=LABELS), network.trunk(x)[-1].flatten(1)
    assert judgement.scores.shape == (5, scores) and judgement.classes is None
    added = judgement.scores - network.head(phi)
    vectors = network.projection.weight  # V, as it is after the normalisation
    expected = torch.stack([vectors[label] @ row for label, row in zip(LABELS, phi, strict=True)])
    torch.testing.assert_close(added[:, 0], expected, rtol=1e-10, atol=1e-12)
    assert (added[:, 1:] == 0).all() and expected.abs().min() > 1e-4
    assert torch.equal(judgement.features, network(x, labels=LABELS.flip(0)).features)
    if spectral == "true":
        assert torch.linalg.matrix_norm(vectors, 2) < 1.5


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_an_unconditional_model_refuses_labels(name: str) -> None:
    model, x = built(name), images()
    codes = model.encode(x).mean
    for asked in (
        lambda: model.encode(x, LABELS), lambda: model.decode(codes, 3), lambda: model.reconstruct(x, 0),
        lambda: model.sample(5, labels=LABELS),
    ):  # fmt: skip
        with pytest.raises(UserError, match=r"^labels: this model is unconditional; .* model\.labels$"):
            asked()


def test_a_conditional_model_says_what_it_wants() -> None:
    model, x = built("vae", "model.labels=10"), images()
    for asked in (lambda: model.encode(x), lambda: model.decode(torch.zeros(5, 4)), lambda: model.reconstruct(x)):
        with pytest.raises(UserError, match=r"^labels: this model is conditional; .* 0 to 9$"):
            asked()
    for wrong, said in (
        (10, "10: the classes of this model are 0 to 9"), (-1, "-1: the classes"), (LABELS + 5, "14: the classes"),
        (LABELS[:4], r"torch.int64 of shape \(4,\); .* \(5,\)"), (LABELS.double(), r"torch.float64 of shape \(5,\)"),
        (True, "torch.bool"), (LABELS[:, None], r"torch.int64 of shape \(5, 1\)"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=rf"^labels: {said}"):
            model.encode(x, wrong)
    prior = built("pixelcnn", "model.labels=10")
    assert torch.equal(prior.reconstruct(x), prior.reconstruct(x, LABELS))  # the VQ-VAE's, which knows no class
    with pytest.raises(UserError, match=r"^labels: this model is conditional"):
        prior.surprise(prior.indices(x))


@pytest.mark.parametrize("name", ADVERSARIES)
def test_an_auxiliary_head_leaves_the_scores_alone(name: str) -> None:
    words = ("model.labels=10", "model.discriminator.condition=auxiliary")
    network, x = build_discriminator(tiny(name, *words).model, (1, 8, 8), 0).double(), images()
    judgement = network(x, labels=LABELS)
    assert torch.equal(judgement.scores, network(x, labels=LABELS.flip(0)).scores)
    assert torch.equal(judgement.scores, network.head(network.trunk(x)[-1].flatten(1)))
    assert judgement.classes.shape == (5, 10)
