"""Moments of parts add up to those of all values, and survive being written down."""

import torch

from vaegan.latents.moments import Moments
from vaegan.randomness import draw_normal


def test_parts_add_up() -> None:
    values = draw_normal((60, 3, 2, 5), 0, "moments") * torch.tensor([1.0, 0.01, 0]).view(3, 1, 1) + 1000
    whole, parts = Moments.measure(values), [Moments.measure(part) for part in values.split([1, 20, 39])]
    total = parts[0] + parts[1] + parts[2]
    assert total.count == whole.count == 600
    torch.testing.assert_close(total.mean, values.double().mean((0, 2, 3)), rtol=1e-14, atol=0)
    torch.testing.assert_close(total.std, values.double().std((0, 2, 3)), rtol=1e-10, atol=1e-12)
    assert total.std[2] == 0 and Moments.measure(values[:1, :, :1, :1]).std.tolist() == [0, 0, 0]


def test_texts_keep_every_bit() -> None:
    moments = Moments.measure(draw_normal((7, 4), 1, "moments"))
    again = Moments.from_texts(moments.to_texts())
    assert again.count == 7 and torch.equal(again.mean, moments.mean) and torch.equal(again.squares, moments.squares)
