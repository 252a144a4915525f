"""Conversion of pixels, and grids of images."""

import numpy as np
import pytest
import torch

from vaegan.images import draw_image_grid, draw_pairs, to_float, to_uint8


def test_every_level_survives_the_way_to_the_networks_and_back() -> None:
    levels = torch.arange(256, dtype=torch.uint8)
    for dtype in (torch.float32, torch.float64):
        assert to_float(levels, dtype).dtype == dtype
        assert torch.equal(to_uint8(to_float(levels, dtype)), levels)
    assert to_float(levels).min() == -1 and to_float(levels).max() == 1
    nearly = to_float(levels) + 0.49 / 127.5
    assert torch.equal(to_uint8(nearly), levels)  # rounded, not truncated
    assert to_uint8(torch.tensor([-1.5, 1.5])).tolist() == [0, 255]


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


@pytest.mark.parametrize("channels", [1, 3])
def test_grids_show_every_pixel(channels: int) -> None:
    images = torch.randint(0, 256, (5, channels, 8, 8), dtype=torch.uint8)
    picture = draw_image_grid(images, columns=3, scale=1)
    assert picture.size == (3 * 10 + 2, 2 * 10 + 2)
    for index in range(5):
        left, top = 2 + index % 3 * 10, 2 + index // 3 * 10
        pixel = picture.getpixel((left + 4, top + 6))
        assert pixel == tuple(images[index, :, 6, 4].expand(3).tolist())
    assert draw_image_grid(images, columns=5).size == (5 * 66 + 2, 66 + 2)
    assert draw_pairs(images, images, columns=3).size == (3 * 66 + 2, 4 * 66 + 2)
