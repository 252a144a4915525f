"""Rows of many images that the processes compute together, a batch each in turn."""

from collections.abc import Callable
from functools import partial
from itertools import chain
from operator import itemgetter

import torch
from torch import Tensor

from .distributed import broadcast_from_main, deal_batches, gather_to_main, run_on_all_ranks
from .progress import ProgressCallback, ignore_progress


def compute_rows(
    count: int, batch_size: int, compute: Callable[[range], Tensor], progress: ProgressCallback = ignore_progress
) -> Tensor | None:
    """Compute the rows of ``count`` images; all processes do this together.

    Args:
        count: Number of images.
        batch_size: Images at a time.
        compute: Returns the rows of the images of a range of indices, shape (n, ...), on the CPU.
        progress: Called with (images done, images in all) after each round, on every process.

    Returns:
        The rows in the order of the images, shape (count, ...), on the main process; None on the others.

    Raises:
        Failure: `compute` has raised it on a process.
    """

    def compute_part(batch: range) -> list[tuple[int, Tensor]]:
        return [(batch.start, compute(batch))]

    parts: list[tuple[int, Tensor]] = []
    for batch, done in deal_batches(count, batch_size):
        parts += run_on_all_ranks(partial(compute_part, batch) if batch else list)
        progress(done, count)
    ordered = sorted(chain(*gather_to_main(parts)), key=itemgetter(0))
    return torch.cat([rows for _, rows in ordered]) if ordered else None


def compute_shared_rows(
    count: int, batch_size: int, compute: Callable[[range], Tensor], progress: ProgressCallback = ignore_progress
) -> Tensor:
    """Compute the rows of ``count`` images as `compute_rows` does, and return them to every process."""
    rows = compute_rows(count, batch_size, compute, progress)

    def get_rows() -> Tensor:
        assert rows is not None
        return rows

    return broadcast_from_main(get_rows)
