"""A prior is the histogram of the codes of the training images, smoothed where they are values."""

from collections.abc import Callable
from math import e, log2, pi

import numpy as np
import pytest
import torch

from vaegan.compression.codes import encode_values
from vaegan.compression.fitting import WEIGHT, fit_prior, smooth_counts
from vaegan.data import open_data
from vaegan.images import to_float
from vaegan.models import VQVAE

from ...tiny import tiny
from .conftest import KINDS, Fitted


def test_indices_are_counted(fitted: Callable[[str], Fitted]) -> None:
    model, prior, _ = fitted("vqvae")
    assert isinstance(model, VQVAE)
    train = open_data(tiny("vqvae").data).train
    with torch.no_grad():
        indices = model.encode_indices(to_float(train[torch.arange(len(train))]))
    assert prior.weights.tolist() == [torch.bincount(indices.flatten(), minlength=8).tolist()]
    assert prior.description.images == len(train) and prior.description.kind == "indices"


@pytest.mark.parametrize("kind", ["vae", "grid"])
def test_values_are_counted_in_cells(kind: str, fitted: Callable[[str], Fitted]) -> None:
    model, prior, _ = fitted(kind)
    train = open_data(tiny(*KINDS[kind]).data).train
    positions = torch.arange(len(train))
    with torch.no_grad():
        values = encode_values(model, train[positions], train.get_labels(positions, model.classes))
    width, half = 2.0**prior.description.exponent, prior.most_multiple
    assert width <= float(values.std((0, 2), correction=0).max()) / 200
    for table in range(values.shape[1]):
        edges = np.arange(-half, half + 1) * width
        counts, _ = np.histogram(values[:, table].numpy(), edges)
        expected = smooth_counts(counts) * WEIGHT
        np.testing.assert_allclose(prior.weights[table].numpy(), expected, rtol=0, atol=2e-3 * expected.max())
        assert 1 <= int(prior.escapes[table]) < WEIGHT / 100


def test_the_batches_do_not_matter(fitted: Callable[[str], Fitted]) -> None:
    model, prior, _ = fitted("vqvae")
    again = fit_prior(model, prior.description.weights, open_data(tiny("vqvae").data).train, 100)
    assert again.digest == prior.digest


@pytest.mark.parametrize("count", [300, 30_000])
def test_new_values_take_as_many_bits_as_their_distribution_has(count: int) -> None:
    """Bits of values of N(0, 1) under the smoothed counts of others, against the differential entropy of N(0, 1)."""
    draw, width, half = np.random.default_rng(0), 1 / 200, 2000
    edges = np.arange(-half, half + 1) * width
    density = smooth_counts(np.histogram(draw.standard_normal(count), edges)[0])
    assert density.sum() <= 1 + 1e-9 and density.min() > 0
    new = np.histogram(draw.standard_normal(100_000), edges)[0]
    bits = -(new * np.log2(density / width)).sum() / new.sum()
    assert bits == pytest.approx(log2(2 * pi * e) / 2, abs=0.06 if count == 300 else 0.01)


def test_constant_and_missing_values_have_a_density() -> None:
    counts = np.zeros(512, dtype=np.int64)
    assert smooth_counts(counts).tolist() == [1 / 512] * 512
    counts[256] = 1000
    density = smooth_counts(counts)
    assert np.isfinite(density).all() and density[256] > 0.9
