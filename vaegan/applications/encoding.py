"""Posteriors of many images, batch by batch, and the families whose codes are vectors of real numbers."""

import torch
from torch import Tensor

from vaegan.data import Images
from vaegan.errors import UserError
from vaegan.images import to_float
from vaegan.models import VQVAE, Autoencoder, PixelCNN, Posterior
from vaegan.progress import ProgressCallback, ignore_progress

BATCH_IMAGES = 64
"""Images that are encoded at a time."""


def check_continuous_codes(model: Autoencoder, name: object = None) -> None:
    """Check that a model's codes are vectors of real numbers, which can be added up, ordered and differentiated.

    Args:
        model: The model.
        name: Its name, with which the message starts; None: the message has none.

    Raises:
        UserError: They are entries of a codebook.
    """
    if isinstance(model, VQVAE | PixelCNN):
        raise UserError(
            f"{'' if name is None else f'{name}: '}codes of a VQ-VAE are entries of a codebook, which have no order to"
            " step through, no sums and no gradient; use a run of another family"
        )


@torch.no_grad()
def encode_images(
    model: Autoencoder, images: Images, positions: Tensor | None = None, progress: ProgressCallback = ignore_progress
) -> Posterior:
    """Encode images of a split, and return the posterior over their codes, on the CPU, shape (N, d).

    Args:
        model: Model in evaluation mode; a conditional one takes the classes of the images.
        images: The split.
        positions: The images, int64, shape (N,); None: all of them.
        progress: Called with (images done, images in all).

    Raises:
        UserError: The images lack the labels of a conditional model.
        Failure: An image cannot be read.
    """
    parameter = next(model.parameters())
    positions = torch.arange(len(images)) if positions is None else positions
    if not len(positions):
        empty = torch.empty(0, model.code_size, dtype=parameter.dtype)
        return Posterior(empty, empty.clone())
    means, log_variances = list[Tensor](), list[Tensor]()
    done = 0
    for batch in positions.split(BATCH_IMAGES):
        pixels = to_float(images[batch].to(parameter.device), parameter.dtype)
        classes = model.classes if model.networks_take_labels else None
        posterior = model.encode(pixels, images.get_labels(batch, classes))
        means.append(posterior.mean.cpu())
        log_variances.append(posterior.log_variance.cpu())
        done += len(batch)
        progress(done, len(positions))
    return Posterior(torch.cat(means), torch.cat(log_variances))
