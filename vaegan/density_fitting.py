"""Fit of a density to the codes of a trained model's training images."""

import torch
from torch import Tensor

from .data import Images
from .distributed import broadcast_from_main
from .gathered_rows import compute_rows
from .images import to_float
from .models import Autoencoder
from .models.density import Density, check_density_fits, fit_density
from .progress import ProgressCallback, ignore_progress
from .randomness import draw_normal


@torch.no_grad()
def fit_density_to_images(
    spec: str,
    model: Autoencoder,
    images: Images,
    seed: int,
    batch_size: int,
    progress: ProgressCallback = ignore_progress,
) -> Density:
    """Fit a density to the aggregate posterior, the mean of q(z | x) over images; all processes do this together.

    Ghosh et al. 2020, section 4, fit the outputs of a deterministic encoder. Of a Gaussian posterior one draw for each
    image is taken, since draws are what the decoder has learnt to decode: their means vary less, and not at all in a
    dimension that the posterior leaves to the prior. The codes of a conditional model are those of all classes, since
    its prior, which the density replaces, does not depend on the class either.

    Args:
        spec: `gaussian`, or `gmm:K` for a mixture of K Gaussians.
        model: Model of a family whose code is continuous, in evaluation mode.
        images: Images that it was trained on.
        seed: Root of the posterior noise and of the fit.
        batch_size: Images at a time.
        progress: Called with (images done, images in all) after each round, on every process.

    Raises:
        UserError: There are too few images for the density, their codes have too many dimensions, no mixture of so many
            components can be fitted to them, or they lack the labels of a conditional model.
        Failure: A code is not finite, or an image cannot be read.
    """
    check_density_fits(spec, len(images), model.code_size)
    parameter = next(model.parameters())

    def draw_posterior_codes(batch: range) -> Tensor:
        indices = torch.arange(batch.start, batch.stop)
        pixels = images[indices].to(parameter.device)
        posterior = model.encode(to_float(pixels, parameter.dtype), images.get_labels(indices, model.classes))
        noise = torch.stack([draw_normal(posterior.mean.shape[1:], seed, "density", index) for index in batch])
        return posterior.sample(noise.to(posterior.mean)).cpu()

    codes = compute_rows(len(images), batch_size, draw_posterior_codes, progress)

    def fit() -> Density:
        assert codes is not None
        return fit_density(spec, codes, seed)

    return broadcast_from_main(fit)
