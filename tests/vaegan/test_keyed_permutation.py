"""Permutations with random access: bijective, a function of the keys, and without a visible structure."""

import pytest
import torch

from vaegan import randomness
from vaegan.keyed_permutation import ROUNDS, permute
from vaegan.randomness import derive_seed, draw_order, make_generator


def make_keys(seed: int) -> list[int]:
    return [derive_seed(seed, "test", part) for part in range(ROUNDS)]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 16, 17, 255, 256, 257, 1024, 1025, 10_007])
def test_every_number_has_one_image_and_any_part_is_that_of_the_whole(count: int) -> None:
    whole = permute(torch.arange(count), count, make_keys(1))
    assert torch.equal(whole.sort().values, torch.arange(count))
    part = torch.randint(count, (3, 5), generator=torch.Generator().manual_seed(0))
    assert torch.equal(permute(part, count, make_keys(1)), whole[part])


def test_numbers_beyond_32_bits() -> None:
    count = 2**40 + 12_345
    positions = torch.randint(count, (20_000,), generator=torch.Generator().manual_seed(0)).unique()
    images = permute(positions, count, make_keys(2))
    assert len(images.unique()) == len(positions) and int(images.min()) >= 0 and int(images.max()) < count
    assert abs(images.double().mean() / count - 0.5) < 4 / (12 * len(images)) ** 0.5


def test_every_number_is_as_likely_anywhere_whatever_the_keys() -> None:
    """Chi-square of (position, image) over keys, of pairs of neighbours, and the mean of their correlation."""
    count, draws = 7, 3_000
    orders = torch.stack([permute(torch.arange(count), count, make_keys(seed)) for seed in range(draws)])
    places = torch.stack([torch.bincount(column, minlength=count) for column in orders.T]).double()
    expected = draws / count
    chi_square, freedom = ((places - expected) ** 2 / expected).sum(), (count - 1) ** 2
    assert abs(chi_square - freedom) < 5 * (2 * freedom) ** 0.5
    pairs = torch.bincount(orders[:, 3] * count + orders[:, 4], minlength=count**2).double()
    expected = draws / (count * (count - 1))
    chi_square, freedom = ((pairs[pairs > 0] - expected) ** 2 / expected).sum(), count * (count - 1) - 1
    assert (pairs > 0).sum() == count * (count - 1) and abs(chi_square - freedom) < 5 * (2 * freedom) ** 0.5


def test_neighbours_in_a_large_order_are_independent() -> None:
    count = 2**24 + 77
    order = permute(torch.arange(200_000), count, make_keys(3)).double() / count - 0.5
    for distance in (1, 2, 4096):
        correlation = (order[distance:] * order[:-distance]).mean() * 12
        assert abs(correlation) < 5 / (len(order) - distance) ** 0.5


def test_an_order_is_held_in_memory_up_to_2_to_24_images() -> None:
    """Below, it is that of `randperm`; above, a step near the end of a pass takes as long as one at its start."""
    count = randomness.MAX_SHUFFLED_IMAGES
    assert count == 2**24
    small = torch.randperm(5000, generator=make_generator(3, "order", 1))
    assert torch.equal(draw_order(5000, 5000, 10_000, 3), small)
    turn = draw_order(count + 1, count - 3, count + 5, 9)
    keys = [[derive_seed(9, "order", number, part) for part in range(ROUNDS)] for number in range(2)]
    assert torch.equal(turn[:4], permute(torch.arange(count - 3, count + 1), count + 1, keys[0]))
    assert torch.equal(turn[4:], permute(torch.arange(4), count + 1, keys[1]))


@pytest.mark.parametrize(("count", "batch"), [(10, 4), (7, 7), (3, 8)])
def test_a_computed_order_keeps_the_laws_of_the_stream(count: int, batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(randomness, "MAX_SHUFFLED_IMAGES", 2)
    passes = draw_order(count, 0, 6 * count, seed=3).reshape(6, count)
    assert torch.equal(passes.sort(1).values, torch.arange(count).expand(6, -1))
    assert len({tuple(each) for each in passes.tolist()}) > 3
    steps = torch.cat([draw_order(count, step * batch, (step + 1) * batch, 3) for step in range(6 * count // batch)])
    assert torch.equal(steps, passes.flatten()[: len(steps)])
    later = draw_order(count, 2 * count + 1, 4 * count, 3)
    assert torch.equal(later, passes.flatten()[2 * count + 1 : 4 * count])
