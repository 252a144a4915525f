"""Features of the images of a data set, computed by all processes together."""

from collections.abc import Callable
from functools import partial
from itertools import chain
from operator import itemgetter

import torch
from torch import Tensor

from vaegan.data import Images
from vaegan.distributed import broadcast_from_main, deal_batches, gather_to_main, run_on_all_ranks
from vaegan.images import to_float
from vaegan.progress import ProgressCallback, ignore_progress


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

    def compute(batch: range) -> list[tuple[int, Tensor]]:
        pixels = images[positions[batch.start : batch.stop]].to(device)
        return [(batch.start, compute_features(to_float(pixels)).float().cpu())]

    parts: list[tuple[int, Tensor]] = []
    for batch, done in deal_batches(len(positions), batch_size):
        parts += run_on_all_ranks(partial(compute, batch) if batch else list)
        progress(done, len(positions))
    ordered = sorted(chain(*gather_to_main(parts)), key=itemgetter(0))
    return broadcast_from_main(lambda: torch.cat([features for _, features in ordered]))
