"""The gated PixelCNN (van den Oord et al. 2016, "Conditional image generation with PixelCNN decoders"), over grids.

Two stacks go through the grid row by row: the vertical one knows all rows above a place, the horizontal one what stands
before it in its row, and what the vertical one knows. Nothing is masked: what enters the stacks is moved down by a row
and right by a column, and convolutions reach up and left alone.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vaegan.progress import ProgressCallback, ignore_progress


class GatedLayer(nn.Module):
    """One gated layer of both stacks (figure 2 of the paper).

    Args:
        width: Channels of each stack.
        reach: Rows and columns that a convolution reaches up and left, and columns right above.
        labels: Classes of grids, each of which adds its own vector at every place of a stack (eq. 4); None: there are
            none.
    """

    def __init__(self, width: int, reach: int, labels: int | None = None) -> None:
        super().__init__()
        self.reach = reach
        self.vertical = nn.Conv2d(width, 2 * width, (reach + 1, 2 * reach + 1))
        self.horizontal = nn.Conv2d(width, 2 * width, (1, reach + 1))
        self.down = nn.Conv2d(2 * width, 2 * width, 1)
        self.out = nn.Conv2d(width, width, 1)
        self.class_vertical = None if labels is None else nn.Embedding(labels, 2 * width)
        self.class_horizontal = None if labels is None else nn.Embedding(labels, 2 * width)

    def above(self, vertical: Tensor, labels: Tensor | None = None) -> Tensor:
        """Rows of the vertical stack, with `reach` more above => the layer's own, before the gate."""
        rows: Tensor = self.vertical(F.pad(vertical, (self.reach, self.reach, 0, 0)))
        return rows if self.class_vertical is None else rows + self.class_vertical(labels)[:, :, None, None]

    def beside(self, horizontal: Tensor, above: Tensor, labels: Tensor | None = None) -> Tensor:
        """Places of the horizontal stack, with `reach` more on the left, and `above` at them => the layer's own."""
        inside = self.horizontal(horizontal) + self.down(above)
        if self.class_horizontal is not None:
            inside = inside + self.class_horizontal(labels)[:, :, None, None]
        own: Tensor = self.out(gate(inside))
        return horizontal[..., self.reach :] + own


class GatedPixelCNN(nn.Module):
    """p(grid), or p(grid | class), place after place from the top left.

    Args:
        entries: K, what a place may be.
        width: Channels of each stack.
        depth: Layers.
        reach: As of `GatedLayer`.
        labels: As of `GatedLayer`.
    """

    def __init__(self, entries: int, width: int, depth: int, reach: int, labels: int | None = None) -> None:
        super().__init__()
        self.reach = reach
        self.embedding = nn.Embedding(entries, width)
        layers = nn.ModuleList(GatedLayer(width, reach, labels) for _ in range(depth))
        self.layers: list[GatedLayer] = layers  # type: ignore[assignment]
        self.head = nn.Sequential(nn.ReLU(), nn.Conv2d(width, width, 1), nn.ReLU(), nn.Conv2d(width, entries, 1))

    def forward(self, grid: Tensor, labels: Tensor | None = None) -> Tensor:
        """The logits of each place, which depend on those before it.

        Args:
            grid: Entries, int64, shape (N, g, g).
            labels: Class of each grid, int64, shape (N,); looked at where there are classes.

        Returns:
            Shape (N, K, g, g).
        """
        known = self.embedding(grid).movedim(-1, 1)
        vertical = F.pad(known, (0, 0, 1, 0))[:, :, :-1]
        horizontal = F.pad(known, (1, 0))[..., :-1]
        for layer in self.layers:
            above = layer.above(F.pad(vertical, (0, 0, self.reach, 0)), labels)
            horizontal = layer.beside(F.pad(horizontal, (self.reach, 0)), above, labels)
            vertical = gate(above)
        logits: Tensor = self.head(horizontal)
        return logits

    @torch.no_grad()
    def draw(
        self, uniform: Tensor, labels: Tensor | None = None, progress: ProgressCallback = ignore_progress
    ) -> Tensor:
        """Entries drawn place after place; of each layer only what is new is computed.

        Args:
            uniform: Numbers in [0, 1), shape (N, g, g): a place is the first entry whose share of the probability and
                of those before it exceeds its number.
            labels: As of `forward`.
            progress: Told of the rows.

        Returns:
            int64, shape (N, g, g).
        """
        count, side, _ = uniform.shape
        some = self.embedding.weight
        width, reach = some.shape[1], self.reach
        grid = torch.zeros(count, side, side, dtype=torch.int64, device=some.device)
        # What enters each layer, with `reach` rows above the first and `reach` columns left of it.
        rows = [some.new_zeros(count, width, side + reach, side) for _ in self.layers]
        for y in range(side):
            if y:
                rows[0][:, :, y + reach] = self.embedding(grid[:, y - 1]).movedim(-1, 1)
            aboves = []
            for number, layer in enumerate(self.layers):
                aboves.append(layer.above(rows[number][:, :, y : y + reach + 1], labels))
                if number + 1 < len(rows):
                    rows[number + 1][:, :, y + reach] = gate(aboves[-1])[:, :, 0]
            row = [some.new_zeros(count, width, 1, side + reach) for _ in range(len(self.layers) + 1)]
            for x in range(side):
                if x:
                    row[0][..., 0, x + reach] = self.embedding(grid[:, y, x - 1])
                for number, layer in enumerate(self.layers):
                    known, above = row[number][..., x : x + reach + 1], aboves[number][..., x : x + 1]
                    place = layer.beside(known, above, labels)
                    row[number + 1][..., x + reach : x + reach + 1] = place
                logits = self.head(row[-1][..., x + reach : x + reach + 1])[..., 0, 0]
                grid[:, y, x] = choose_entries(logits, uniform[:, y, x])
            progress(y + 1, side)
        return grid


def gate(features: Tensor) -> Tensor:
    """tanh(first half of the channels) sigmoid(second half) (eq. 2)."""
    content, share = features.chunk(2, dim=1)
    return content.tanh() * share.sigmoid()


def choose_entries(logits: Tensor, uniform: Tensor) -> Tensor:
    """The entry of each row of ``logits`` (N, K) at which the distribution function passes ``uniform`` (N,)."""
    passed = logits.double().softmax(1).cumsum(1) > uniform[:, None].to(logits.device, torch.float64)
    found: Tensor = torch.where(passed.any(1), passed.int().argmax(1), logits.shape[1] - 1)
    return found
