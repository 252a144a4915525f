"""Pixels of files and of networks, and pictures of many images."""

import numpy as np
import pytest
import torch

from vaegan.images import draw_image_grid, draw_pairs, to_float, to_uint8


def test_every_level_survives_the_way_to_the_networks_and_back() -> None:
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(to_float(levels)), levels)
    assert to_float(levels).min() == -1 and to_float(levels).max() == 1


def test_pixels_are_rounded_and_clamped() -> None:
    between = to_float(torch.tensor([10], dtype=torch.uint8)) + torch.tensor([0.6, 0.4]) / 127.5
    assert to_uint8(torch.cat([between, torch.tensor([-2.0, 2.0])])).tolist() == [11, 10, 0, 255]


@pytest.mark.parametrize("count", [1, 3, 4, 6])
def test_each_image_stands_above_its_counterpart(count: int) -> None:
    real = torch.arange(1, count + 1, dtype=torch.uint8).reshape(-1, 1, 1, 1).expand(-1, 1, 64, 64)
    picture = np.asarray(draw_pairs(real, real + 100, columns=4))
    for index in range(count):
        x, y = 66 * (index % 4) + 30, 66 * 2 * (index // 4) + 30
        assert picture[y, x, 0] == index + 1
        assert picture[y + 66, x, 0] == index + 101


def test_small_images_are_enlarged_without_smoothing() -> None:
    image = torch.tensor([[0, 255], [255, 0]], dtype=torch.uint8).reshape(1, 1, 2, 2)
    pixels = np.asarray(draw_image_grid(image.repeat(2, 1, 1, 1), columns=2))[2:66, 2:66, 0]
    assert set(np.unique(pixels)) == {0, 255}
    assert pixels[0, 0] == 0 and pixels[0, -1] == 255
