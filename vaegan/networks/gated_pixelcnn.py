"""The gated PixelCNN (van den Oord et al. 2016, "Conditional image generation with PixelCNN decoders"), over grids.

The features of two stacks depend on the positions before their own: of the vertical stack on the rows above, of the
horizontal stack on the positions before in the same row and on the vertical stack. No kernel is masked: the input of
the vertical stack is shifted down by a row, that of the horizontal stack right by a column, and kernels reach up and
left.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vaegan.progress import ProgressCallback, ignore_progress


class GatedLayer(nn.Module):
    """Gated layer of both stacks (figure 2 of the paper).

    Args:
        width: Channels of each stack.
        reach: Rows and columns that a kernel reaches up and left, and columns it reaches to the right in rows above.
        classes: Number of classes, each of which adds a learned vector at every position of a stack (eq. 4); None:
            unconditional.
    """

    def __init__(self, width: int, reach: int, classes: int | None = None) -> None:
        super().__init__()
        self.reach = reach
        self.vertical = nn.Conv2d(width, 2 * width, (reach + 1, 2 * reach + 1))
        self.horizontal = nn.Conv2d(width, 2 * width, (1, reach + 1))
        self.down = nn.Conv2d(2 * width, 2 * width, 1)
        self.out = nn.Conv2d(width, width, 1)
        self.class_vertical = None if classes is None else nn.Embedding(classes, 2 * width)
        self.class_horizontal = None if classes is None else nn.Embedding(classes, 2 * width)

    def compute_vertical(self, vertical: Tensor, labels: Tensor | None = None) -> Tensor:
        """Compute the vertical stack before the gate, shape (N, 2 width, rows, columns).

        Args:
            vertical: Vertical stack of the layer before, with `reach` more rows above, shape
                (N, width, reach + rows, columns).
            labels: Class of each grid, int64, shape (N,); ignored by an unconditional layer.
        """
        rows: Tensor = self.vertical(F.pad(vertical, (self.reach, self.reach, 0, 0)))
        return rows if self.class_vertical is None else rows + self.class_vertical(labels)[:, :, None, None]

    def compute_horizontal(self, horizontal: Tensor, vertical: Tensor, labels: Tensor | None = None) -> Tensor:
        """Compute the horizontal stack, shape (N, width, rows, columns).

        Args:
            horizontal: Horizontal stack of the layer before, with `reach` more columns on the left, shape
                (N, width, rows, reach + columns).
            vertical: This layer's `compute_vertical` at the same positions, shape (N, 2 width, rows, columns).
            labels: Class of each grid, int64, shape (N,); ignored by an unconditional layer.
        """
        features = self.horizontal(horizontal) + self.down(vertical)
        if self.class_horizontal is not None:
            features = features + self.class_horizontal(labels)[:, :, None, None]
        residual: Tensor = self.out(gate(features))
        return horizontal[..., self.reach :] + residual


class GatedPixelCNN(nn.Module):
    """p(grid), or p(grid | class), a product over the positions in raster order of p(position | positions before).

    Args:
        entries: Number K of values of a position, the entries of a codebook.
        width: Channels of each stack.
        depth: Number of gated layers.
        reach: Rows and columns that a kernel reaches up and left, and columns it reaches to the right in rows above.
        classes: Number of classes; None: unconditional.
    """

    def __init__(self, entries: int, width: int, depth: int, reach: int, classes: int | None = None) -> None:
        super().__init__()
        self.reach = reach
        self.embedding = nn.Embedding(entries, width)
        layers = nn.ModuleList(GatedLayer(width, reach, classes) for _ in range(depth))
        self.layers: list[GatedLayer] = layers  # type: ignore[assignment]
        self.head = nn.Sequential(nn.ReLU(), nn.Conv2d(width, width, 1), nn.ReLU(), nn.Conv2d(width, entries, 1))

    def forward(self, grid: Tensor, labels: Tensor | None = None) -> Tensor:
        """Compute the logits of each position, which depend on the positions before it, shape (N, K, g, g).

        Args:
            grid: Entries, int64, shape (N, g, g).
            labels: Class of each grid, int64, shape (N,); ignored by an unconditional network.
        """
        embedded = self.embedding(grid).movedim(-1, 1)
        vertical = F.pad(embedded, (0, 0, 1, 0))[:, :, :-1]
        horizontal = F.pad(embedded, (1, 0))[..., :-1]
        for layer in self.layers:
            before_gate = layer.compute_vertical(F.pad(vertical, (0, 0, self.reach, 0)), labels)
            horizontal = layer.compute_horizontal(F.pad(horizontal, (self.reach, 0)), before_gate, labels)
            vertical = gate(before_gate)
        logits: Tensor = self.head(horizontal)
        return logits

    def draw(
        self, uniform: Tensor, labels: Tensor | None = None, progress: ProgressCallback = ignore_progress
    ) -> Tensor:
        """Sample grids position by position, int64, shape (N, g, g).

        Args:
            uniform: Numbers in [0, 1), shape (N, g, g): at each position the first entry is taken whose cumulative
                probability exceeds the number.
            labels: Class of each grid, int64, shape (N,); ignored by an unconditional network.
            progress: Called with (rows done, rows) after each row of the grids.
        """
        count, side, _ = uniform.shape

        def choose(logits: Tensor, y: int, x: int) -> Tensor:
            return sample_categorical(logits, uniform[:, y, x])

        return self.fill(count, side, choose, labels, progress)

    @torch.no_grad()
    def fill(
        self,
        count: int,
        side: int,
        choose: Callable[[Tensor, int, int], Tensor],
        labels: Tensor | None = None,
        progress: ProgressCallback = ignore_progress,
    ) -> Tensor:
        """Fill grids position by position, int64, shape (N, g, g); of each layer only the new position is computed.

        Args:
            count: Number N of grids.
            side: Their side g.
            choose: Function of the logits at a position, shape (N, K), its row and its column, which returns the entry
                of each grid there, int64, shape (N,).
            labels: Class of each grid, int64, shape (N,); ignored by an unconditional network.
            progress: Called with (rows done, rows) after each row of the grids.
        """
        weight = self.embedding.weight
        width, reach = weight.shape[1], self.reach
        grid = torch.zeros(count, side, side, dtype=torch.int64, device=weight.device)
        # Inputs of each layer, with `reach` rows above the first and `reach` columns left of it.
        vertical = [weight.new_zeros(count, width, side + reach, side) for _ in self.layers]
        for y in range(side):
            if y:
                vertical[0][:, :, y + reach] = self.embedding(grid[:, y - 1]).movedim(-1, 1)
            before_gate = []
            for number, layer in enumerate(self.layers):
                before_gate.append(layer.compute_vertical(vertical[number][:, :, y : y + reach + 1], labels))
                if number + 1 < len(vertical):
                    vertical[number + 1][:, :, y + reach] = gate(before_gate[-1])[:, :, 0]
            horizontal = [weight.new_zeros(count, width, 1, side + reach) for _ in range(len(self.layers) + 1)]
            for x in range(side):
                if x:
                    horizontal[0][..., 0, x + reach] = self.embedding(grid[:, y, x - 1])
                for number, layer in enumerate(self.layers):
                    inputs = horizontal[number][..., x : x + reach + 1]
                    output = layer.compute_horizontal(inputs, before_gate[number][..., x : x + 1], labels)
                    horizontal[number + 1][..., x + reach : x + reach + 1] = output
                logits = self.head(horizontal[-1][..., x + reach : x + reach + 1])[..., 0, 0]
                grid[:, y, x] = choose(logits, y, x)
            progress(y + 1, side)
        return grid


def gate(features: Tensor) -> Tensor:
    """Return tanh(first half of the channels) sigmoid(second half) (eq. 2)."""
    content, gates = features.chunk(2, dim=1)
    return content.tanh() * gates.sigmoid()


def sample_categorical(logits: Tensor, uniform: Tensor) -> Tensor:
    """Return the first entry of each row whose cumulative probability exceeds a number, int64, shape (N,).

    Args:
        logits: Shape (N, K).
        uniform: Numbers in [0, 1), shape (N,).
    """
    exceeds = logits.double().softmax(1).cumsum(1) > uniform[:, None].to(logits.device, torch.float64)
    return torch.where(exceeds.any(1), exceeds.int().argmax(1), logits.shape[1] - 1)
