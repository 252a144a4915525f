"""The instance term against its definition, and what an empty or half-filled queue does."""

import math

import pytest
import torch

from tests.tensors import draw_gaussian
from vaegan.errors import UserError
from vaegan.losses.instance import instance_nll
from vaegan.trainers.steps.instance import check_queue, update_queues


def test_it_is_the_cross_entropy_of_the_own_image_among_the_queue() -> None:
    ours, images, queue = draw_gaussian(5, 3), draw_gaussian(5, 3, seed=1), draw_gaussian(7, 3, seed=2)
    for row, value in enumerate(instance_nll(ours, images, queue, 0.2)):
        candidates = torch.cat([images[row : row + 1], queue])
        cosines = torch.nn.functional.cosine_similarity(ours[row], candidates)
        expected = torch.nn.functional.cross_entropy(cosines / 0.2, torch.tensor(0))
        assert value.item() == pytest.approx(expected.item(), rel=1e-12)
    assert torch.equal(instance_nll(9 * ours, images, queue, 0.2) > 0, torch.ones(5, dtype=torch.bool))


def test_empty_places_of_the_queue_do_not_count() -> None:
    ours, images, queue = draw_gaussian(5, 3).requires_grad_(), draw_gaussian(5, 3, seed=1), draw_gaussian(4, 3, seed=2)
    padded = torch.cat([torch.zeros(6, 3), queue])
    torch.testing.assert_close(instance_nll(ours, images, padded, 0.1), instance_nll(ours, images, queue, 0.1))
    empty = instance_nll(ours, images, torch.zeros(6, 3, dtype=torch.float64), 0.1)
    empty.sum().backward()
    assert (empty == 0).all() and (ours.grad == 0).all()


def test_an_image_like_all_of_the_queue_has_the_chance_of_a_guess() -> None:
    same = draw_gaussian(1, 3)
    assert instance_nll(same, same, same.expand(9, 3), 0.5).item() == pytest.approx(math.log(10))


def test_a_queue_is_short_beside_the_training_images() -> None:
    check_queue(25, 100)
    with pytest.raises(UserError, match=r"instance_queue: 4,096 of 1,437 training images, .*; give at most 359$"):
        check_queue(4096, 1437)


@pytest.mark.parametrize("rows", [3, 5, 8])
def test_a_queue_keeps_the_newest_images_in_their_order(rows: int) -> None:
    queue = torch.zeros(5, 2, dtype=torch.float64)
    state, batches = (
        {"instance_queue/1": queue, "adaptive": torch.ones(())},
        [draw_gaussian(rows, 2, seed=k) for k in range(3)],
    )
    for batch in batches:
        update_queues(state, {"instance_queue/1": batch})
    assert torch.equal(queue, torch.cat([torch.zeros(5, 2), *batches])[-5:]) and state["adaptive"] == 1
