"""How a codebook begins, and what becomes of entries that nothing is near to."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from vaegan.config.schema import Config
from vaegan.data import Data, open_data
from vaegan.images import to_float
from vaegan.models.vqvae import VQVAE
from vaegan.trainers.steps import build_step
from vaegan.trainers.steps.base import StepInput

from ...tiny import tiny
from .equations import build_batch

CODEBOOKS = ("ema", "gradient")


def init_network(config: Config, data: Data) -> VQVAE:
    step = build_step(config)
    networks = step.build_networks()
    step.init_from_data(networks, data)
    return networks["autoencoder"]


def encode_vectors(network: VQVAE, images: Tensor) -> Tensor:
    return network(images).vectors.detach().movedim(1, -1).flatten(0, -2)


@pytest.fixture
def sorted_set(tmp_path: Path) -> Path:
    """Images of one shade, 100 dark ones and then 100 bright ones; copies share a split."""
    for name, shade in (("dark", 20), ("light", 230)):
        (tmp_path / name).mkdir()
        for number in range(100):
            Image.new("L", (8, 8), shade).save(tmp_path / name / f"{number:02}.png")
    return tmp_path


@pytest.mark.parametrize("codebook", CODEBOOKS)
@pytest.mark.parametrize("cosine", ["false", "true"])
def test_the_first_codebook_lies_among_the_vectors_of_all_classes(codebook: str, cosine: str, sorted_set: Path) -> None:
    source = (
        "data.source=folder",
        f"data.root={sorted_set}",
        "data.validation=0",
        "data.test=0",
    )  # copies share a split
    words = (*source, f"model.codebook={codebook}", f"model.cosine={cosine}")
    config = tiny("vqvae", *words)
    data = open_data(config.data)
    network = init_network(config, data)
    images = to_float(torch.stack([torch.full((1, 8, 8), shade, dtype=torch.uint8) for shade in (20, 230)]))
    vectors = encode_vectors(network, images)  # eight, of four places each, and as many entries
    assert torch.cdist(vectors, network.codebook.detach()).amin(1) == pytest.approx([0.0] * 8, abs=1e-5)
    shades = to_float(data.train[torch.arange(len(data.train))], torch.float64)
    assert network.variance.item() == pytest.approx(shades.var(correction=0).item(), rel=1e-6)
    if codebook == "ema":
        assert torch.equal(network.sums, network.codebook)


def test_without_kmeans_the_first_codebook_is_random() -> None:
    config = tiny("vqvae", "model.kmeans=false")
    codebook = init_network(config, open_data(config.data)).codebook
    assert torch.equal(codebook, build_step(config).build_networks()["autoencoder"].codebook)
    assert 0.3 < codebook.square().sum(1).mean() < 3


def after_steps(config: Config, batch: StepInput, count: int) -> tuple[VQVAE, list[Tensor]]:
    """A codebook one of whose entries is far from everything, after some steps of one batch; and it after each."""
    step = build_step(config)
    networks = step.build_networks()
    network = networks["autoencoder"].double()
    with torch.no_grad():
        network.codebook[3] = -1e3 * encode_vectors(network, batch.images).mean(0)
        if config.model.codebook == "ema":
            network.sums[3] = network.codebook[3]
    seen = []
    for _ in range(count):
        output = step.accumulate_gradients(networks, batch, lambda loss: loss.backward())
        with torch.no_grad():
            step.after_update(networks, {}, output.sums)
        seen.append(network.codebook.detach().clone())
    return network, seen


@pytest.mark.parametrize("codebook", CODEBOOKS)
@pytest.mark.parametrize("cosine", ["false", "true"])
def test_an_entry_that_stands_for_nothing_is_put_on_a_vector_of_the_step(codebook: str, cosine: str) -> None:
    words = (f"model.codebook={codebook}", f"model.cosine={cosine}", "model.codebook_decay=0.5", "train.batch_size=6")
    config = tiny("vqvae", *words, "model.revive_below=0.4")
    batch = build_batch(config)
    network, (first, second) = after_steps(config, batch, 2)
    vectors = encode_vectors(network, batch.images)
    assert torch.cdist(first[3:4], vectors).min() > 100 * torch.cdist(second[3:4], vectors).min()  # 0.5, then 0.25 left
    assert torch.cdist(second[3:4], vectors).min() < 1e-4
    assert network.counts[3] == 1

    never, seen = after_steps(tiny("vqvae", *words, "model.revive_below=0"), batch, 6)
    assert never.counts[3] < 0.02 and torch.cdist(seen[-1][3:4], vectors).min() > 1


def test_who_is_put_where_does_not_depend_on_how_the_batch_is_divided() -> None:
    config = tiny("vqvae", "train.batch_size=6", "model.codes=64")
    network = build_step(config).build_networks()["autoencoder"].double()
    whole = build_batch(config)
    vectors = network(whole.images).vectors.detach()
    expected = build_step(config).select_revival_candidates(whole, vectors)
    rows = vectors.movedim(1, -1).flatten(0, -2)
    assert (torch.cdist(expected, rows).amin(1) < 1e-6).all() and len(expected.unique(dim=0)) > 10
    parts = [(0, 2), (2, 3), (3, 6)]
    divided = [
        build_step(config).select_revival_candidates(replace(whole, start=start), vectors[start:stop])
        for start, stop in parts
    ]
    assert torch.equal(torch.stack(divided).sum(0), expected)
    other = build_step(config).select_revival_candidates(build_batch(config, step=1), vectors)
    assert not torch.equal(other, expected)
