"""The quantiser against its definition and against vector-quantize-pytorch."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from vector_quantize_pytorch import VectorQuantize

from vaegan.losses.quantisation import (
    compute_centroids,
    find_nearest,
    perplexity,
    straight_through,
    sum_assigned_vectors,
    usage,
    vq_distance,
)
from vaegan.randomness import draw_normal
from vaegan.trainers.steps.vqvae import VQVAEStep

from ...tiny import tiny

ENTRIES, SIZE, DECAY = 8, 4, 0.9


def draw_vectors(name: str = "vectors", count: int = 40) -> Tensor:
    return draw_normal((count, SIZE), 0, name)


def build_package_quantiser(codebook: Tensor, cosine: bool = False) -> VectorQuantize:
    quantiser = VectorQuantize(
        dim=SIZE, codebook_size=ENTRIES, decay=DECAY, commitment_weight=0.25, kmeans_init=False,
        threshold_ema_dead_code=0, use_cosine_sim=cosine,
    )  # fmt: skip
    package_codebook = quantiser._codebook
    codebook = F.normalize(codebook) if cosine else codebook  # as the package keeps it
    package_codebook.embed.copy_(codebook[None])
    package_codebook.embed_avg.copy_(codebook[None])
    package_codebook.cluster_size.fill_(1)
    package_codebook.initted.fill_(True)
    return quantiser


@pytest.mark.parametrize("cosine", [False, True])
def test_the_nearest_entry_is_that_of_the_definition_and_of_the_package(cosine: bool) -> None:
    codebook, z = draw_vectors("codebook", ENTRIES), draw_vectors()
    if cosine:
        brute = F.cosine_similarity(z[:, None], codebook[None], dim=2).argmax(1)
        result = find_nearest(F.normalize(z), F.normalize(codebook))
    else:
        brute = (z[:, None] - codebook[None]).square().sum(2).argmin(1)
        result = find_nearest(z, codebook)
    assert torch.equal(result, brute) and len(result.unique()) > 3
    _, indices, _ = build_package_quantiser(codebook, cosine).eval()(z[None])
    assert torch.equal(result, indices[0])


@pytest.mark.parametrize("cosine", [False, True])
def test_output_gradient_and_commitment_are_the_packages(cosine: bool) -> None:
    codebook, given = draw_vectors("codebook", ENTRIES), draw_vectors().requires_grad_()
    z = F.normalize(given) if cosine else given
    normalised = F.normalize(codebook) if cosine else codebook
    entries = normalised[find_nearest(z, normalised)]
    passed = straight_through(z, entries)
    (slope,) = torch.autograd.grad((passed * draw_vectors("weights")).sum(), z, retain_graph=True)
    assert torch.allclose(slope, draw_vectors("weights")) and torch.allclose(passed, entries)
    quantised, _, loss = build_package_quantiser(codebook, cosine).train()(given[None])
    assert torch.allclose(quantised[0], passed, atol=1e-6)
    assert 0.25 * vq_distance(z, entries).mean().item() == pytest.approx(loss.item(), rel=1e-5)
    assert vq_distance(z, entries).shape == (40,)


@pytest.mark.parametrize("cosine", [False, True])
def test_a_step_of_the_averages_is_the_packages(cosine: bool) -> None:
    """The package updates its codebook inside its forward, the toolkit after the step."""
    config = tiny(
        "vqvae", f"model.codebook_decay={DECAY}", f"model.cosine={str(cosine).lower()}", "model.revive_below=0"
    )
    assert (config.model.codes, config.model.code_size) == (ENTRIES, SIZE)
    codebook, z = draw_vectors("codebook", ENTRIES), draw_vectors()
    quantiser = build_package_quantiser(codebook, cosine).train()
    quantiser(z[None])

    if cosine:
        codebook, z = F.normalize(codebook), F.normalize(z)
    step = VQVAEStep(config, config.model)
    network = step.build_networks()["autoencoder"]
    network.codebook.copy_(codebook)
    network.sums.copy_(codebook)
    counts, sums = sum_assigned_vectors(z, find_nearest(z, codebook), ENTRIES)
    step.after_update({"autoencoder": network}, {}, {"counts": counts, "sums": sums})
    other = quantiser._codebook
    assert torch.allclose(network.counts, other.cluster_size[0], atol=1e-6)
    assert torch.allclose(network.sums, other.embed_avg[0], atol=1e-5)
    assert torch.allclose(F.normalize(network.codebook) if cosine else network.codebook, other.embed[0], atol=1e-5)


def test_tallies_add_up_however_the_vectors_are_divided() -> None:
    codebook, z = draw_vectors("codebook", ENTRIES), draw_vectors()
    whole = sum_assigned_vectors(z, find_nearest(z, codebook), ENTRIES)
    parts = [sum_assigned_vectors(part, find_nearest(part, codebook), ENTRIES) for part in z.split(7)]
    for place, total in enumerate(whole):
        assert torch.allclose(torch.stack([part[place] for part in parts]).sum(0), total, rtol=1e-14)
    assert whole[0].sum() == 40 and torch.allclose(whole[1].sum(0), z.double().sum(0))


def test_the_centres_are_the_means_of_the_cells() -> None:
    codebook, z = draw_vectors("codebook", ENTRIES), draw_vectors(count=4000)
    cells = find_nearest(z, codebook)
    means = torch.stack([z[cells == entry].double().mean(0) for entry in range(ENTRIES)])
    assert torch.allclose(compute_centroids(*sum_assigned_vectors(z, cells, ENTRIES)), means, atol=1e-6)


def test_an_entry_that_stands_for_nothing_stays_finite() -> None:
    result = compute_centroids(torch.tensor([10.0, 0.0]).double(), torch.tensor([[20.0], [0.0]]).double())
    assert result.isfinite().all() and result[0, 0].item() == pytest.approx(2, rel=1e-5)


def test_perplexity_and_usage() -> None:
    assert perplexity(torch.tensor([5.0, 5.0, 5.0, 5.0])) == pytest.approx(4)
    assert perplexity(torch.tensor([7.0, 0.0])) == pytest.approx(1)
    assert perplexity(torch.tensor([3.0, 1.0])) == pytest.approx(
        math.exp(-0.75 * math.log(0.75) - 0.25 * math.log(0.25))
    )
    assert usage(torch.tensor([3.0, 1.0, 0.0, 0.0])) == 0.5
