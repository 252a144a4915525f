"""Flow matching along straight paths from noise to codes (Lipman et al. 2023)."""

import torch.nn.functional as F
from torch import Tensor

from .per_image import assert_per_image


def follow_path(source: Tensor, codes: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
    """Return the point of the straight path from e to z at time t, (1 - t) e + t z, and its velocity z - e.

    It is the path of Lipman et al. 2023, eq. 22, with sigma_min = 0: noise at t = 0, a code at t = 1.

    Args:
        source: Standard normal noise e, shape (N, ...).
        codes: Codes z, shape (N, ...).
        time: Times t in [0, 1], shape (N,).

    Returns:
        Both of shape (N, ...).
    """
    assert source.shape == codes.shape and time.shape == codes.shape[:1]
    velocity = codes - source
    return source + time.view(-1, *[1] * (codes.ndim - 1)) * velocity, velocity


def flow_matching_error(predicted: Tensor, velocity: Tensor) -> Tensor:
    """Compute the squared error of predicted velocities, a mean over the values of a code, shape (N,) (eq. 23).

    Its minimum over functions of the point and t is the mean velocity of all paths through the point.

    Args:
        predicted: Predicted velocities, shape (N, ...).
        velocity: Velocities of the paths, shape (N, ...).
    """
    assert predicted.shape == velocity.shape
    error = F.mse_loss(predicted, velocity, reduction="none").flatten(1).mean(1)
    return assert_per_image(error, velocity)
