"""The nearest images of a data set: their features, computed by all processes together, and the search."""

from collections.abc import Callable

import torch
from torch import Tensor

from .data import Images
from .gathered_rows import compute_shared_rows
from .images import to_float
from .progress import ProgressCallback, ignore_progress

MAX_COMPARED_IMAGES = 10_000
"""Most images of a data set that are searched, taken at equal distances from all."""
CANDIDATES = 8
"""Rows that are nearest by products of float32, of which the nearest is found by differences of float64."""


def find_nearest_distances_and_indices(rows: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Return the distance and the index of the nearest of other rows by the Euclidean distance.

    Products of float32 alone would leave a distance of about 1e-3 times the norm between equal rows.

    Args:
        rows: Shape (N, d).
        others: Shape (M, d), on the same device.

    Returns:
        The distances, float64, shape (N,), and the indices of the nearest, int64, shape (N,).
    """
    rows, others = rows.float(), others.float()
    squared = others.square().sum(1) - 2 * rows @ others.T  # but for the squares of the rows, the same for all others
    candidates = squared.topk(min(CANDIDATES, len(others)), largest=False).indices
    distances = (rows[:, None].double() - others[candidates].double()).norm(dim=2)
    nearest = distances.min(1)
    return nearest.values, candidates.gather(1, nearest.indices[:, None])[:, 0]


@torch.no_grad()
def compute_features_of_images(
    compute_features: Callable[[Tensor], Tensor], images: Images, positions: Tensor, device: torch.device,
    batch_size: int, progress: ProgressCallback = ignore_progress,
) -> Tensor:  # fmt: skip
    """Compute the features of images, float32, shape (M, d), on the CPU; all processes do this together.

    Args:
        compute_features: Returns the features, shape (N, d), of images (N, C, S, S) in [-1, 1].
        images: The images.
        positions: Those that are wanted, int64, shape (M,).
        device: Device where they are computed.
        batch_size: Images at a time.
        progress: Called with (images done, images in all) after each round, on every process.

    Raises:
        Failure: An image cannot be read.
    """

    def compute(batch: range) -> Tensor:
        pixels = images[positions[batch.start : batch.stop]].to(device)
        return compute_features(to_float(pixels)).float().cpu()

    return compute_shared_rows(len(positions), batch_size, compute, progress)
