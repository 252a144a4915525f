"""The nearest images are those of a plain search, and equal ones have no distance."""

import torch

from vaegan.data import Images
from vaegan.nearest_images import compute_features_of_images, find_nearest_distances_and_indices


def test_the_nearest_are_those_of_differences() -> None:
    generator = torch.Generator().manual_seed(0)
    others = torch.randn(300, 40, generator=generator)
    others[::2] += 500  # two heaps far from their middle, where products of float32 are coarse
    others[1::2] -= 500
    rows = torch.cat([others[[7, 250]], others[[3]] + 0.01, 500 + torch.randn(50, 40, generator=generator)])
    distances, indices = find_nearest_distances_and_indices(rows, others)
    expected = (rows[:, None].double() - others.double()).norm(dim=2).min(1)
    torch.testing.assert_close(distances, expected.values, rtol=0, atol=0)
    assert torch.equal(indices, expected.indices) and indices[:3].tolist() == [7, 250, 3]
    assert distances[:2].tolist() == [0, 0] and 0 < distances[2] < 0.1


def test_fewer_others_than_candidates() -> None:
    distances, indices = find_nearest_distances_and_indices(torch.tensor([[3.0], [9.0]]), torch.tensor([[1.0], [4.0]]))
    assert distances.tolist() == [1, 5] and indices.tolist() == [1, 1]


def test_features_are_in_the_order_of_the_images() -> None:
    pixels = torch.arange(50, dtype=torch.uint8).reshape(50, 1, 1, 1).expand(50, 1, 8, 8)
    images = Images(pixels, torch.arange(50), None, ())
    found = compute_features_of_images(
        lambda batch: batch[:, 0, 0, :2] * 127.5 + 127.5, images, images.select_evenly(10), torch.device("cpu"), 3
    )
    expected = images.select_evenly(10).float()[:, None].expand(10, 2)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
