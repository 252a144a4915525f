"""The coders of symbols: under integer tables that lie in a file, or under a PixelCNN whose logits are rounded."""

import copy
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from vaegan.errors import Failure
from vaegan.models import PixelCNN
from vaegan.progress import ProgressCallback, ignore_progress

from .range_coder import DamagedCodeError, Decoder, Encoder, make_model
from .tables import LOGIT_STEPS, TOTAL, Integers, make_tables

MAX_NUMBER = 2**53
"""Largest number of an escaped symbol."""
TIE_MARGIN = 1e-8
"""Steps of a logit within which another machine may round it otherwise: float64 networks differ by far less."""
MODES = np.array([TOTAL - 2**12, 2**12], dtype=np.int64)
"""Table of the two ways in which a grid is coded: under the PixelCNN, or under the histogram of the indices."""


class Coder(Protocol):
    """A coder of the symbols of images, each image on its own."""

    def encode(self, symbols: Tensor, labels: Tensor | None) -> list[bytes]:
        """Return the message of each image.

        Args:
            symbols: Symbols, int64, shape (N, T, P).
            labels: Class of each image, int64, shape (N,), on which a prior may depend.
        """

    def decode(
        self, messages: Sequence[bytes], labels: Tensor | None, progress: ProgressCallback = ignore_progress
    ) -> Tensor:
        """Return the symbols of messages, int64, shape (N, T, P).

        Args:
            messages: Message of each image.
            labels: Class of each image, int64, shape (N,).
            progress: Called with (steps done, steps in all) where images are decoded in several steps.

        Raises:
            DamagedCodeError: A message is none of `encode`.
        """


class TableCoder:
    """A coder under tables that are the same for every image.

    Args:
        tables: Probabilities that sum to 2**24, int64, shape (T, K).
        positions: Symbols P under each table.
        escapes: Whether the symbols are -S to S with K = 2 S + 2, where the last probability is that of all others,
            which are coded as numbers behind; else 0 to K - 1.
    """

    def __init__(self, tables: Integers, positions: int, escapes: bool) -> None:
        self.tables, self.positions, self.escapes = tables, positions, escapes
        self.most = tables.shape[1] // 2 - 1 if escapes else 0
        self._models = [make_model(table) for table in tables]

    def with_positions(self, positions: int) -> "TableCoder":
        """Return the coder under the same tables of images of another number of positions."""
        other = copy.copy(self)
        other.positions = positions
        return other

    def encode(self, symbols: Tensor, labels: Tensor | None) -> list[bytes]:
        """Return the message of each image; see `Coder`."""
        return [self._encode(image) for image in symbols.numpy()]

    def decode(
        self, messages: Sequence[bytes], labels: Tensor | None, progress: ProgressCallback = ignore_progress
    ) -> Tensor:
        """Return the symbols of messages; see `Coder`."""
        return torch.from_numpy(np.stack([self.read(Decoder(message)) for message in messages]))

    def write(self, encoder: Encoder, symbols: Integers) -> None:
        """Append the symbols of an image, shape (T, P), to a message."""
        escaped = np.abs(symbols) > self.most if self.escapes else np.zeros_like(symbols, dtype=bool)
        columns = np.where(escaped, 2 * self.most + 1, symbols + self.most)
        for row, model in zip(columns, self._models, strict=True):
            encoder.encode(row, model)
        for symbol in symbols[escaped].tolist():
            encoder.encode_number(2 * (abs(symbol) - self.most - 1) + (symbol < 0))

    def read(self, decoder: Decoder) -> Integers:
        """Read the symbols of an image, int64, shape (T, P), from a message.

        Raises:
            DamagedCodeError: The message is none of `write`.
        """
        columns = np.stack([decoder.decode(model, self.positions) for model in self._models])
        symbols = columns - self.most
        if self.escapes:
            for place in zip(*np.nonzero(columns == 2 * self.most + 1), strict=True):
                number = decoder.decode_number()
                if number > MAX_NUMBER:
                    raise DamagedCodeError("a number of a message is too large")
                magnitude = number // 2 + self.most + 1
                symbols[place] = -magnitude if number % 2 else magnitude
        return symbols

    def _encode(self, symbols: Integers) -> bytes:
        encoder = Encoder()
        self.write(encoder, symbols)
        return encoder.finish()


class PixelCNNCoder:
    """A coder of indices under a PixelCNN, whose logits are computed in float64 and rounded.

    The tables are a function of the rounded logits in whole numbers. They are the same whatever the machine and the
    number of images at a time, unless a logit lies so close to the middle of two steps that it could be rounded
    otherwise: the grid of such an image is coded under the histogram of the indices.

    Args:
        model: The model, on the device where it computes.
        fallback: Coder under the histogram.
    """

    def __init__(self, model: PixelCNN, fallback: TableCoder) -> None:
        self.side, self.conditional = model.autoencoder.side, model.classes is not None
        self.prior = copy.deepcopy(model.prior).double()
        self.device = next(model.parameters()).device
        self.fallback = fallback
        self._modes = make_model(MODES)

    @torch.no_grad()
    def encode(self, symbols: Tensor, labels: Tensor | None) -> list[bytes]:
        """Return the message of each image; see `Coder`."""
        grids = symbols.view(-1, self.side, self.side).to(self.device)
        logits = self.prior(grids, self._place(labels)).flatten(2).movedim(1, 2)
        rounded = round_logits(logits)
        certain = find_certain(logits).flatten(1).all(1).tolist()
        rows = zip(symbols.numpy(), rounded.cpu().numpy(), certain, strict=True)
        return [self._encode(image, logit_rows, is_certain) for image, logit_rows, is_certain in rows]

    def decode(
        self, messages: Sequence[bytes], labels: Tensor | None, progress: ProgressCallback = ignore_progress
    ) -> Tensor:
        """Return the symbols of messages; see `Coder`."""
        symbols = torch.empty(len(messages), 1, self.side**2, dtype=torch.int64)
        decoders = [Decoder(message) for message in messages]
        modes = [int(decoder.decode(self._modes, 1)[0]) for decoder in decoders]
        for number in (number for number, mode in enumerate(modes) if mode):
            symbols[number] = torch.from_numpy(self.fallback.read(decoders[number]))
        predicted = [number for number, mode in enumerate(modes) if not mode]
        if not predicted:
            return symbols

        def choose(logits: Tensor, y: int, x: int) -> Tensor:
            tables = make_tables(round_logits(logits).cpu().numpy())
            entries = [
                int(decoders[number].decode(make_model(table), 1)[0])
                for number, table in zip(predicted, tables, strict=True)
            ]
            return torch.tensor(entries, device=self.device)

        chosen = None if labels is None else labels[predicted]
        grids = self.prior.fill(len(predicted), self.side, choose, self._place(chosen), progress)
        symbols[predicted] = grids.flatten(1)[:, None].cpu()
        return symbols

    def _encode(self, symbols: Integers, logits: Integers, is_certain: bool) -> bytes:
        encoder = Encoder()
        encoder.encode(np.array([0 if is_certain else 1]), self._modes)
        if is_certain:
            encoder.encode_each(symbols[0], make_tables(logits))
        else:
            self.fallback.write(encoder, symbols)
        return encoder.finish()

    def _place(self, labels: Tensor | None) -> Tensor | None:
        return labels.to(self.device) if labels is not None and self.conditional else None


def round_logits(logits: Tensor) -> Tensor:
    """Round logits of any shape to whole steps of 1 / `LOGIT_STEPS`, int64.

    Raises:
        Failure: One is not finite.
    """
    if not logits.isfinite().all():
        raise Failure("a logit of the PixelCNN is not finite; look at the run")
    return (logits * LOGIT_STEPS).round().long()


def find_certain(logits: Tensor) -> Tensor:
    """Return which logits `round_logits` rounds alike wherever they are computed, bool, of their shape."""
    steps = logits * LOGIT_STEPS
    return (steps - steps.round()).abs() < 0.5 - TIE_MARGIN
