"""Reconstruction of images of any size, whole and in tiles that overlap."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from vaegan.applications.native_size import _cut_axis, check_takes_any_size, reconstruct_at_native_size
from vaegan.errors import UserError
from vaegan.images import to_uint8
from vaegan.models import build_model
from vaegan.models.continuous import ContinuousAutoencoder

from ...tiny import tiny

FACTOR = 4


class Unshuffle(nn.Module):
    """Encoder without loss: each place of the grid holds the pixels of its square."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.sides: list[int] = []

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        self.sides.append(max(images.shape[-2:]))
        means = nn.functional.pixel_unshuffle(images * self.scale, FACTOR)
        return torch.cat([means, torch.zeros_like(means)], 1)


class Shuffle(nn.Module):
    """Decoder without loss."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        return nn.functional.pixel_shuffle(codes * self.scale, FACTOR)


def build(*words: str) -> ContinuousAutoencoder:
    model = build_model(tiny("vae-grid", *words).model, (1, 8, 8), 5)
    return check_takes_any_size(model.double().eval())


def build_identity() -> ContinuousAutoencoder:
    """Return an autoencoder that reconstructs every image exactly."""
    model = build(f"model.code_channels={FACTOR**2}")
    model.encoder, model.decoder = Unshuffle(), Shuffle()
    return model.double()


def draw(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 1.8 - 0.9


LENGTHS = [(4, 4), (16, 16), (20, 16), (48, 16), (52, 16), (1000, 64), (400, 128)]


@pytest.mark.parametrize(("length", "tile_side"), LENGTHS)
def test_the_weights_of_a_pixel_add_up_to_one_and_begin_at_zero(length: int, tile_side: int) -> None:
    total = torch.zeros(length)
    parts = list(_cut_axis(length, tile_side, FACTOR))
    for start, weights in parts:
        assert start % FACTOR == 0 and len(weights) == tile_side and (weights > 0).all()
        total[start : start + tile_side] += weights
        if start > 0:
            assert weights[0] < 0.2  # an edge that the image does not have fades in
        if start + tile_side < length:
            assert weights[-1] < 0.2
    assert torch.allclose(total, torch.ones(length), atol=1e-6)
    assert all(later - start < tile_side for (start, _), (later, _) in pairwise(parts))


@pytest.mark.parametrize("sides", [(16, 24), (17, 9), (50, 8), (33, 71)])
def test_images_of_any_sides_keep_them_whole_and_in_tiles(sides: tuple[int, int]) -> None:
    model, images = build_identity(), draw(2, 1, *sides)
    for tile_side in (None, 1024, 16, 19):
        made = reconstruct_at_native_size(model, images, tile_side=tile_side)
        assert made.shape == images.shape and (made - images).abs().max() < 1e-6  # the weights are float32


def test_no_tile_is_larger_than_the_side_that_is_chosen() -> None:
    model = build_identity()
    done = list[tuple[int, int]]()
    reconstruct_at_native_size(
        model, draw(1, 1, 100, 40), tile_side=18, progress=lambda *numbers: done.append(numbers)
    )  # fmt: skip
    assert isinstance(model.encoder, Unshuffle)
    assert set(model.encoder.sides) == {16} and len(done) == done[-1][0] == done[-1][1] == len(model.encoder.sides)


def test_a_whole_image_is_what_the_model_reconstructs() -> None:
    model, images = build(), draw(2, 1, 16, 24)
    assert torch.allclose(reconstruct_at_native_size(model, images), model.reconstruct(images), rtol=0, atol=1e-12)
    longer = torch.cat([images, images[..., -1:].expand(-1, -1, -1, 4)], -1)  # 27 columns become 28
    made = reconstruct_at_native_size(model, longer[..., :27])
    assert torch.allclose(made, model.reconstruct(longer)[..., :27], rtol=0, atol=1e-12)


@torch.no_grad()
def test_tiles_that_overlap_are_nearer_to_the_whole_than_tiles_side_by_side() -> None:
    """They are not equal to it, since each is normalised by itself."""
    model, images = build(), draw(1, 1, 48, 48)
    whole, tiles = (reconstruct_at_native_size(model, images, tile_side=side) for side in (None, 24))
    rows = [torch.cat([model.reconstruct(part) for part in row.split(24, -1)], -1) for row in images.split(24, -2)]
    error, error_side_by_side = ((made - whole).square().mean() for made in (tiles, torch.cat(rows, -2)))
    assert 0 < error < 0.9 * error_side_by_side


def test_pixels_of_8_bits_are_taken_as_they_are_stored() -> None:
    pixels = torch.randint(0, 256, (1, 1, 13, 18), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    assert torch.equal(to_uint8(reconstruct_at_native_size(build_identity(), pixels)), pixels)


def test_refusals() -> None:
    with pytest.raises(UserError, match=r"^tiles of 15 pixels: less than four times the downsampling; give 16"):
        reconstruct_at_native_size(build(), draw(1, 1, 8, 8), tile_side=15)
    for name in ("vae", "vqvae"):
        model = build_model(tiny(name).model, (1, 8, 8), 5)
        with pytest.raises(UserError, match=r"^runs/a: takes images of 8 pixels alone; .*model.code=grid"):
            check_takes_any_size(model, "runs/a")
