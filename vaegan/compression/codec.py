"""A codec: a model, the prior of its codes and a step, by which images become messages and messages images."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vaegan.applications.native_size import check_takes_any_size, check_tile_side
from vaegan.models import Autoencoder, PixelCNN
from vaegan.models.continuous import ContinuousAutoencoder
from vaegan.progress import ProgressCallback, ignore_progress

from .coders import Coder, PixelCNNCoder, TableCoder
from .codes import (
    Size,
    count_positions,
    decode_symbols,
    decode_whole_image,
    encode_indices,
    encode_values,
    encode_whole_image,
    get_vqvae,
    quantise,
)
from .prior import CodePrior
from .range_coder import check_package


@dataclass(frozen=True, eq=False)
class Codec:
    """The way from images to messages and back.

    Attributes:
        model: The model, in evaluation mode, on the device where it computes.
        coder: Coder of its symbols.
        step: Width of a symbol of values; 1 of indices.
        tile_side: Side of the tiles of larger images, in pixels, where images keep their sizes; 0: they stay whole;
            None: all images have the size of the model.
    """

    model: Autoencoder
    coder: Coder
    step: float
    tile_side: int | None = None

    @property
    def has_step(self) -> bool:
        """True if the codes are values, which are rounded to multiples of the step."""
        return get_vqvae(self.model) is None

    @torch.no_grad()
    def quantise(self, pixels: Tensor, labels: Tensor | None) -> Tensor:
        """Return the symbols of images, int64, shape (N, T, P).

        Args:
            pixels: The images, uint8, shape (N, C, S, S); where they keep their sizes, one of them, (1, C, H, W).
            labels: Class of each image, int64, shape (N,); None: the model is unconditional.

        Raises:
            Failure: A code is not finite.
        """
        vqvae = get_vqvae(self.model)
        if vqvae is not None:
            return encode_indices(vqvae, pixels)
        if self.tile_side is None:
            return quantise(encode_values(self.model, pixels, labels), self.step)
        return quantise(encode_whole_image(self._grid, pixels, labels, self.tile_side or None), self.step)

    def encode(self, symbols: Tensor, labels: Tensor | None) -> list[bytes]:
        """Return the message of each image, of its symbols and its class."""
        return self.coder.encode(symbols, labels)

    def decode(
        self, messages: Sequence[bytes], labels: Tensor | None, size: Size | None = None,
        progress: ProgressCallback = ignore_progress,
    ) -> Tensor:  # fmt: skip
        """Return the symbols of messages, int64, shape (N, T, P).

        Args:
            messages: Message of each image.
            labels: Class of each image, int64, shape (N,); None: the model is unconditional.
            size: Height and width of the images that keep their sizes; None: they have the size of the model.
            progress: Called with (steps done, steps in all) where images are decoded in several steps.

        Raises:
            DamagedCodeError: A message is none of this codec.
        """
        coder = self.coder
        if size is not None:
            assert isinstance(coder, TableCoder)
            coder = coder.with_positions(count_positions(self._grid, size, self.tile_side or None))
        return coder.decode(messages, labels, progress)

    @torch.no_grad()
    def reconstruct(self, symbols: Tensor, labels: Tensor | None, size: Size | None = None) -> Tensor:
        """Decode symbols, and return the images, uint8, shape (N, C, S, S), on the CPU.

        Args:
            symbols: Symbols, int64, shape (N, T, P).
            labels: Class of each image, int64, shape (N,); None: the model is unconditional.
            size: Height and width (H, W) of one image that keeps its size, which comes back as (1, C, H, W); None: the
                images have the size of the model.
        """
        if size is None:
            return decode_symbols(self.model, symbols, self.step, labels)
        return decode_whole_image(self._grid, symbols, self.step, labels, size, self.tile_side or None)

    @property
    def _grid(self) -> ContinuousAutoencoder:
        assert isinstance(self.model, ContinuousAutoencoder)
        return self.model


def build_codec(model: Autoencoder, prior: CodePrior, multiple: int = 1, tile_side: int | None = None) -> Codec:
    """Return the codec of a model.

    Args:
        model: The model, in evaluation mode, on the device where it computes.
        prior: The prior of its codes.
        multiple: The step in units of two cells of the prior; 1 of indices, which have no step.
        tile_side: Side of tiles, for images that keep their sizes; see `Codec`.

    Raises:
        UserError: The images keep their sizes, and the code of the model is no grid, or the tiles are too small for it.
        Failure: The entropy coder is of a version that writes other bytes.
    """
    check_package()
    if tile_side is not None:
        check_tile_side(check_takes_any_size(model), tile_side or None)
    has_values = prior.description.kind == "values"
    positions = model.code_size // len(prior.weights)
    vqvae = get_vqvae(model)
    if vqvae is not None:
        positions = vqvae.side**2
    coder: Coder = TableCoder(prior.make_tables(multiple), positions, escapes=has_values)
    if isinstance(model, PixelCNN):
        assert isinstance(coder, TableCoder)
        coder = PixelCNNCoder(model, coder)
    return Codec(model, coder, prior.get_step(multiple) if has_values else 1.0, tile_side)
