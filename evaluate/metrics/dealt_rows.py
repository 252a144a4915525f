"""Rows of a matrix that no process holds whole: every process has some of them, and all fetch the others in blocks."""

from collections.abc import Iterator
from operator import itemgetter

import torch
from torch import Tensor

from vaegan.distributed import all_gather_object, all_reduce, get_group_rank_and_size

from .metric import Rows

BLOCK_ROWS = 1024
"""Rows of a block. Blocks are the same whatever the number of processes, and so are the products of two of them."""


class DealtRows:
    """The rows of a matrix (N, d), each of which one process holds.

    Args:
        rows: The rows of this process, with the index of the first one of each part.
        device: Where blocks are fetched to and computed with.
    """

    def __init__(self, rows: Rows, device: torch.device) -> None:
        rows = sorted(rows, key=itemgetter(0))
        self.indices = torch.cat([torch.arange(0), *(torch.arange(start, start + len(part)) for start, part in rows)])
        self.values = torch.cat([part for _, part in rows]) if rows else torch.empty(0)
        self.device = device
        shapes = all_gather_object((len(self.values), self.values.shape[1:], self.values.dtype) if rows else None)
        known = [shape for shape in shapes if shape is not None]
        self.count = sum(count for count, *_ in known)
        (self.shape, self.dtype) = known[0][1:] if known else (torch.Size([0]), torch.float32)

    def __len__(self) -> int:
        """Return the number of rows of all processes."""
        return self.count

    def fetch(self, indices: Tensor) -> Tensor:
        """Return the rows of these indices, int64 (n,), on every process, shape (n, d); all call this together."""
        block = torch.zeros(len(indices), *self.shape, dtype=self.dtype, device=self.device)
        if len(self.values):
            places = torch.searchsorted(self.indices, indices).clamp_max(len(self.indices) - 1)
            held = self.indices[places] == indices
            block[held.to(self.device)] = self.values[places[held]].to(self.device)
        return all_reduce(block)  # zeros of the other processes change no bit

    def fetch_blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield all rows on every process, a block of at most `BLOCK_ROWS` at a time; all call this together."""
        for indices in torch.arange(self.count).split(BLOCK_ROWS):
            yield slice(int(indices[0]), int(indices[-1]) + 1), self.fetch(indices)

    def deal_blocks(self) -> list[tuple[slice, Tensor]]:
        """Return this process's share of these blocks, every n-th of them for n processes; all call this together."""
        rank, size = get_group_rank_and_size()
        return [block for number, block in enumerate(self.fetch_blocks()) if number % size == rank]


def deal_tensor(rows: Tensor) -> DealtRows:
    """Return the rows of a matrix (N, d) that every process holds, as if they were dealt."""
    rank, size = get_group_rank_and_size()
    parts = [(int(part[0]), rows[part]) for part in torch.arange(len(rows)).split(BLOCK_ROWS)]
    return DealtRows([part for number, part in enumerate(parts) if number % size == rank], rows.device)
