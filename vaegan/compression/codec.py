"""A codec: a model, the prior of its codes and a step, by which images become messages and messages images."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vaegan.models import Autoencoder, PixelCNN
from vaegan.progress import ProgressCallback, ignore_progress

from .coders import Coder, PixelCNNCoder, TableCoder
from .codes import decode_symbols, encode_indices, encode_values, get_vqvae, quantise
from .prior import CodePrior


@dataclass(frozen=True, eq=False)
class Codec:
    """The way from images to messages and back.

    Attributes:
        model: The model, in evaluation mode, on the device where it computes.
        coder: Coder of its symbols.
        step: Width of a symbol of values; 1 of indices.
    """

    model: Autoencoder
    coder: Coder
    step: float

    @property
    def has_step(self) -> bool:
        """True if the codes are values, which are rounded to multiples of the step."""
        return get_vqvae(self.model) is None

    @torch.no_grad()
    def quantise(self, pixels: Tensor, labels: Tensor | None) -> Tensor:
        """Return the symbols of images, int64, shape (N, T, P).

        Args:
            pixels: The images, uint8, shape (N, C, S, S).
            labels: Class of each image, int64, shape (N,); None: the model is unconditional.

        Raises:
            Failure: A code is not finite.
        """
        vqvae = get_vqvae(self.model)
        if vqvae is not None:
            return encode_indices(vqvae, pixels)
        return quantise(encode_values(self.model, pixels, labels), self.step)

    def encode(self, symbols: Tensor, labels: Tensor | None) -> list[bytes]:
        """Return the message of each image, of its symbols and its class."""
        return self.coder.encode(symbols, labels)

    def decode(
        self, messages: Sequence[bytes], labels: Tensor | None, progress: ProgressCallback = ignore_progress
    ) -> Tensor:
        """Return the symbols of messages, int64, shape (N, T, P).

        Args:
            messages: Message of each image.
            labels: Class of each image, int64, shape (N,); None: the model is unconditional.
            progress: Called with (steps done, steps in all) where images are decoded in several steps.

        Raises:
            DamagedCodeError: A message is none of this codec.
        """
        return self.coder.decode(messages, labels, progress)

    @torch.no_grad()
    def reconstruct(self, symbols: Tensor, labels: Tensor | None) -> Tensor:
        """Decode symbols, and return the images, uint8, shape (N, C, S, S), on the CPU."""
        return decode_symbols(self.model, symbols, self.step, labels)


def build_codec(model: Autoencoder, prior: CodePrior, multiple: int = 1) -> Codec:
    """Return the codec of a model.

    Args:
        model: The model, in evaluation mode, on the device where it computes.
        prior: The prior of its codes.
        multiple: The step in units of two cells of the prior; 1 of indices, which have no step.
    """
    has_values = prior.description.kind == "values"
    positions = model.code_size // len(prior.weights)
    vqvae = get_vqvae(model)
    if vqvae is not None:
        positions = vqvae.side**2
    coder: Coder = TableCoder(prior.make_tables(multiple), positions, escapes=has_values)
    if isinstance(model, PixelCNN):
        assert isinstance(coder, TableCoder)
        coder = PixelCNNCoder(model, coder)
    return Codec(model, coder, prior.get_step(multiple) if has_values else 1.0)
