"""Conversion of pixels, and grids of images."""

import re

import numpy as np
import pytest
import torch
from torchvision.utils import make_grid

from vaegan.errors import UserError
from vaegan.images import draw_image_grid, draw_pairs, lay_out, show, to_float, to_uint8


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


@pytest.mark.parametrize(("count", "channels", "columns"), [(1, 1, 8), (1, 3, 1), (3, 1, 8), (8, 3, 8), (11, 1, 4)])
def test_the_layout_is_that_of_torchvision(count: int, channels: int, columns: int) -> None:
    images = torch.randint(0, 256, (count, channels, 5, 7), dtype=torch.uint8)
    expected = make_grid(images, nrow=columns, padding=2, pad_value=255)
    assert torch.equal(lay_out(images, columns), expected)


def test_show_takes_what_models_and_data_sets_give() -> None:
    images = torch.randint(0, 256, (5, 3, 8, 8), dtype=torch.uint8)
    shown = np.asarray(show(images, columns=3))
    assert np.array_equal(shown, np.asarray(draw_image_grid(images, columns=3)))
    backwards = np.ascontiguousarray(images.numpy()[::-1])[::-1]  # with a negative stride
    for same in (images.numpy(), backwards, to_float(images), to_float(images, torch.float64).requires_grad_()):
        assert np.array_equal(np.asarray(show(same, columns=3)), shown)
    assert show(images[0]).size == (64, 64)
    assert show(images.expand(2, 5, 3, 8, 8).flatten(0, 1)).size == (8 * 66 + 2, 2 * 66 + 2)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(8, 8), "images: shape (8, 8); give (N, C, S, S)"),
        (torch.zeros(4, 8, 8, 3), "images: shape (4, 8, 8, 3); give (N, C, S, S)"),
        (torch.zeros(0, 3, 8, 8), "images: shape (0, 3, 8, 8)"),
        (torch.zeros(1, 1, 8, 8, dtype=torch.int64), "images: torch.int64; give uint8 from 0 to 255"),
        (torch.full((1, 1, 8, 8), 255.0), "images: floats up to 255; give floats from -1 to 1"),
        ("runs/a", "images: str; give a tensor or an array"),
    ],
)
def test_show_says_what_it_takes(images: object, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        show(images)
    with pytest.raises(UserError, match="columns: 0; give 1 or more"):
        show(torch.zeros(1, 1, 8, 8), columns=0)
    with pytest.raises(UserError, match=r"columns: 2\.5; give 1 or more, a whole number"):
        show(torch.zeros(1, 1, 8, 8), columns=2.5)  # type: ignore[arg-type]
