"""The PixelCNN: which positions a position depends on, and sampling position by position against the whole forward."""

import math

import pytest
import torch
from torch import Tensor

from vaegan.networks.gated_pixelcnn import GatedPixelCNN, sample_categorical
from vaegan.networks.initialise import initialise

SIDE, ENTRIES = 5, 6


def build(depth: int = 3, reach: int = 1, classes: int | None = None) -> GatedPixelCNN:
    return initialise(GatedPixelCNN(ENTRIES, 8, depth, reach, classes), 1, "prior").double()


def draw_grids(count: int) -> Tensor:
    return torch.randint(ENTRIES, (count, SIDE, SIDE), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("depth", "reach"), [(1, 1), (3, 1), (2, 2)])
def test_a_position_depends_on_exactly_those_before_it_that_the_layers_reach(depth: int, reach: int) -> None:
    """Check the zero pattern of the Jacobian of all logits by the embedding of each position."""
    prior = build(depth, reach)
    embedding = prior.embedding(draw_grids(1)).detach()

    def logits(embedded: Tensor) -> Tensor:
        prior.embedding.forward = lambda _: embedded  # type: ignore[method-assign]
        return prior(draw_grids(1))[0].sum(0)

    jacobian = torch.autograd.functional.jacobian(logits, embedding)[:, :, 0].abs().sum(-1)  # (y, x) by (y, x)
    for y in range(SIDE):
        for x in range(SIDE):
            for v in range(SIDE):
                for u in range(SIDE):
                    before = v < y or (v == y and u < x)
                    within_row = v == y and x - u <= depth * reach + 1
                    above = v < y and y - v <= depth * reach + 1 and abs(x - u) <= depth * reach
                    assert (jacobian[y, x, v, u] > 0) == (before and (within_row or above)), (y, x, v, u)


@pytest.mark.parametrize(("depth", "reach"), [(1, 1), (3, 1), (2, 2)])
@pytest.mark.parametrize("labels", [None, torch.tensor([0, 2, 1, 2, 0, 0, 1])])
def test_sampling_position_by_position_is_sampling_from_the_whole_forward(
    depth: int, reach: int, labels: Tensor | None
) -> None:
    prior = build(depth, reach, None if labels is None else 3)
    uniform = torch.rand(7, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    slow = torch.zeros(7, SIDE, SIDE, dtype=torch.int64)
    with torch.no_grad():
        for y in range(SIDE):
            for x in range(SIDE):
                slow[:, y, x] = sample_categorical(prior(slow, labels)[:, :, y, x], uniform[:, y, x])
    rows: list[tuple[int, int]] = []
    drawn = prior.draw(uniform, labels, lambda done, total: rows.append((done, total)))
    assert rows == [(row + 1, SIDE) for row in range(SIDE)]
    assert torch.equal(drawn, slow) and len(drawn.unique()) == ENTRIES
    assert torch.equal(prior.draw(uniform[2:5], None if labels is None else labels[2:5]), drawn[2:5])
    if labels is not None:
        other = prior.draw(uniform, (labels + (labels == 1)) % 3)  # 1 becomes 2
        assert [torch.equal(*pair) for pair in zip(drawn, other, strict=True)] == (labels != 1).tolist()


def test_the_class_is_a_bias_of_every_gate() -> None:
    """Eq. 4: what the vectors of a class add is what the biases of an unconditional network would."""
    conditional, plain = build(classes=3), build()
    for label in range(3):
        plain.load_state_dict(conditional.state_dict(), strict=False)
        with torch.no_grad():
            for layer, other in zip(plain.layers, conditional.layers, strict=True):
                layer.vertical.bias += other.class_vertical.weight[label]
                layer.horizontal.bias += other.class_horizontal.weight[label]
        torch.testing.assert_close(conditional(draw_grids(4), torch.full((4,), label)), plain(draw_grids(4)))
    assert not torch.allclose(conditional(draw_grids(4), torch.zeros(4).long()), plain(draw_grids(4)))


def test_entries_are_chosen_with_the_probability_of_their_logits() -> None:
    probabilities = torch.tensor([0.1, 0.0, 0.6, 0.3], dtype=torch.float64)
    uniform = torch.linspace(0, 1, 10_001)[:-1]
    entries = sample_categorical(probabilities.log().expand(10_000, 4), uniform)
    assert torch.bincount(entries, minlength=4).tolist() == pytest.approx([1000, 0, 6000, 3000], abs=2)
    assert sample_categorical(torch.zeros(1, 3), torch.tensor([1.0])).item() == 2


def test_it_learns_a_distribution_down_to_its_entropy() -> None:
    """Each position is the one above it, in the first row the one before it, or with probability 1/4 anything."""
    draw = torch.Generator().manual_seed(0)
    prior = build(2)
    optimizer = torch.optim.Adam(prior.parameters(), lr=1e-2)

    def draw_ruled_grids(count: int) -> Tensor:
        grid = torch.randint(ENTRIES, (count, SIDE, SIDE), generator=draw)
        follows_rule = torch.rand(count, SIDE, SIDE, generator=draw) < 0.75
        for y in range(SIDE):
            for x in range(SIDE):
                if y or x:
                    before = grid[:, y - 1, x] if y else grid[:, y, x - 1]
                    grid[:, y, x] = torch.where(follows_rule[:, y, x], before, grid[:, y, x])
        return grid

    for _ in range(300):
        grid = draw_ruled_grids(64)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(prior(grid), grid).backward()
        optimizer.step()
    grid = draw_ruled_grids(1000)
    with torch.no_grad():
        entropy_bits = torch.nn.functional.cross_entropy(prior(grid), grid).item() / math.log(2)
    likely, other = 0.75 + 0.25 / ENTRIES, 0.25 / ENTRIES
    entropy = -likely * math.log2(likely) - (ENTRIES - 1) * other * math.log2(other)
    expected = ((SIDE**2 - 1) * entropy + math.log2(ENTRIES)) / SIDE**2
    assert expected - 0.02 < entropy_bits < expected + 0.04
