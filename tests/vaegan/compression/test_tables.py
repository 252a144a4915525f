"""Tables are whole numbers that sum to 2**24, near the probabilities that they stand for."""

from math import exp

import numpy as np
import pytest

from vaegan.compression.tables import (
    LOGIT_STEPS,
    TOTAL,
    count_symbols,
    list_exponentials,
    make_tables,
    merge_cells,
    normalise,
)


def test_probabilities_sum_to_the_total_and_none_is_0() -> None:
    draw = np.random.default_rng(0)
    for width in (2, 7, 1000, 2**16):
        weights = draw.integers(0, 2, (3, width)) * draw.integers(0, 2**20, (3, width))
        weights[0], weights[1:, 0] = 0, 1
        tables = normalise(weights)
        assert (tables.sum(1) == TOTAL).all() and tables.min() >= 1
        assert (tables[1:][weights[1:] == 0] == 1).all()
        expected = weights[1:] / weights[1:].sum(1, keepdims=True)
        assert np.abs(tables[1:] / TOTAL - expected).max() < (width + 1) / TOTAL + width / TOTAL * expected.max()


@pytest.mark.parametrize("multiple", [1, 2, 3, 7, 19, 20, 21, 300])
def test_a_symbol_is_the_cells_around_its_multiple(multiple: int) -> None:
    half = 20
    weights = np.random.default_rng(1).integers(0, 100, (2, 2 * half))
    merged, most = merge_cells(weights, multiple), count_symbols(half, multiple)
    expected = np.zeros((2, 2 * most + 1), dtype=np.int64)
    for cell in range(-half, half):  # its middle lies in one symbol alone
        symbol = round((cell + 0.5) / (2 * multiple))
        expected[:, symbol + most] += weights[:, cell + half]
    assert np.array_equal(merged, expected)


def test_tables_of_logits_are_near_their_softmax() -> None:
    values = list_exponentials()
    assert values[0] == TOTAL and values[-1] == 0 and values[-2] > 0
    assert all(value == round(TOTAL * exp(-number / LOGIT_STEPS)) for number, value in enumerate(values.tolist()))
    logits = np.random.default_rng(2).integers(-200, 200, (5, 50))
    tables = make_tables(logits)
    weights = np.exp((logits - logits.max(1, keepdims=True)) / LOGIT_STEPS)
    assert (tables.sum(1) == TOTAL).all()
    np.testing.assert_allclose(tables / TOTAL, weights / weights.sum(1, keepdims=True), rtol=0, atol=200 / TOTAL)
    assert np.array_equal(make_tables(logits + 12345), tables)
