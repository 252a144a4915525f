"""Completion of images of which some pixels are missing."""

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaegan.errors import UserError
from vaegan.extras import check_packages
from vaegan.images import to_float, to_uint8
from vaegan.models import Autoencoder
from vaegan.models.inputs import Labels
from vaegan.progress import ProgressCallback, ignore_progress

from .code_prior import CodePrior
from .linear_operators import Mask
from .posterior_inference import CodePosterior, Measurement
from .posterior_sampling import RESTARTS, SEARCH_STEPS, PosteriorCodes, SamplerName, infer_codes


def complete_images(
    model: Autoencoder, images: Tensor, holes: Tensor, *, prior: CodePrior | None = None, labels: Labels = None,
    scale: float | None = None, answers: int = 1, sampler: SamplerName = "langevin", blended: bool = True,
    seed: int = 0, restarts: int = RESTARTS, steps: int = SEARCH_STEPS, progress: ProgressCallback = ignore_progress,
) -> tuple[Tensor, PosteriorCodes]:  # fmt: skip
    """Return images with their holes filled by the decoder, and the codes; every visible pixel is kept as it is.

    The codes are those of `infer_codes` given the visible pixels. In the hole stands G(z) plus the membrane
    (`fill_by_membrane`) through the differences of the visible pixels from G(z), so that there is no seam (Pérez et al.
    2003, eq. 7, with G(z) as the guidance).

    Args:
        model: Model in evaluation mode.
        images: uint8, shape (N, C, S, S); what the holes hold is not looked at.
        holes: Whether a pixel is missing, bool, shape (N, S, S), or (S, S) for all images.
        prior: p(z); None: the prior of the model.
        labels: Class of each image, int64, shape (N,), or one class of all; None: the model is unconditional.
        scale: Standard deviation of the pixels around G(z), see `CodePosterior`.
        answers: Number K of answers for each image: the most probable one, and K - 1 draws of the posterior.
        sampler: Way of drawing them.
        blended: Whether the membrane is added; else there is a seam.
        seed: Root of the noise.
        restarts: Starts of the search for the most probable code.
        steps: Steps of the search from each start.
        progress: Called with (steps done, steps in all).

    Returns:
        The completed images, uint8, shape (K, N, C, S, S), on the CPU, and the codes that they are made of.

    Raises:
        UserError: An image has no visible pixel, `images` or `holes` are of another shape or type, scipy is not
            installed, or what `CodePosterior` and `infer_codes` raise.
    """
    check_packages(["scipy"])
    holes = check_holes(images, holes, model.image_shape)
    parameter = next(model.parameters())
    known = fill_by_membrane(to_float(images, torch.float64), holes)
    operator = Mask(~holes[:, None].to(parameter.device))
    pixels = to_float(images.to(parameter.device), parameter.dtype)
    posterior = CodePosterior(model, Measurement(operator, operator.apply(pixels)), prior, labels, scale)
    found = infer_codes(
        posterior, answers, sampler, seed, restarts=restarts, steps=steps,
        start_images=known.to(pixels), progress=progress,
    )  # fmt: skip
    with torch.no_grad():
        decoded = posterior.decode(found.codes).double().cpu()
    visible = to_float(images.cpu(), torch.float64)
    for each in decoded if blended else ():
        each += fill_by_membrane(visible - each, holes)
    return torch.where(holes[:, None], to_uint8(decoded), images.cpu()), found


def check_holes(images: Tensor, holes: Tensor, image_shape: tuple[int, int, int]) -> Tensor:
    """Check images and their holes, and return the holes as bool, shape (N, S, S), on the CPU.

    Raises:
        UserError: They are of another shape or type, or an image has no visible pixel.
    """
    if images.dtype != torch.uint8 or images.shape[1:] != image_shape:
        raise UserError(f"images: {images.dtype} of shape {tuple(images.shape)}; give uint8 of (N, *{image_shape})")
    if holes.dtype != torch.bool or holes.shape not in (image_shape[1:], (len(images), *image_shape[1:])):
        raise UserError(f"holes: {holes.dtype} of shape {tuple(holes.shape)}; give bool of (N, *{image_shape[1:]})")
    holes = holes.expand(len(images), -1, -1).cpu()
    if holes.flatten(1).all(1).any():
        raise UserError("holes: no pixel of an image is visible; leave some")
    return holes


def fill_by_membrane(images: Tensor, holes: Tensor) -> Tensor:
    """Return images whose holes are filled by a membrane: each pixel there is the mean of its neighbours.

    The solution of the Laplace equation with the visible pixels as boundary values, and without a slope at the borders
    of the image.

    Args:
        images: float64, shape (N, C, H, W); what the holes hold is not looked at.
        holes: Bool, shape (N, H, W); no image is without a visible pixel.

    Returns:
        float64, shape (N, C, H, W), on the CPU.
    """
    from scipy.sparse.linalg import splu

    laplacian = _build_laplacian(*images.shape[-2:])
    filled = images.double().cpu().flatten(2).numpy().copy()
    for image, hole in zip(filled, holes.cpu().flatten(1).numpy(), strict=True):
        if hole.any():
            inside, outside = np.flatnonzero(hole), np.flatnonzero(~hole)
            rows = laplacian[inside]
            boundary = -(rows[:, outside] @ image[:, outside].T)
            image[:, inside] = splu(rows[:, inside].tocsc()).solve(boundary).T
    return torch.from_numpy(filled).reshape(images.shape)


@lru_cache(maxsize=4)
def _build_laplacian(height: int, width: int) -> Any:
    """Return the Laplacian of the grid of pixels with four neighbours, a sparse matrix (H W, H W)."""
    from scipy import sparse

    lines = [
        sparse.diags([np.ones(side - 1), np.ones(side - 1)], [-1, 1], shape=(side, side)) for side in (height, width)
    ]
    neighbours = sparse.kron(sparse.identity(height), lines[1]) + sparse.kron(lines[0], sparse.identity(width))
    degrees = np.asarray(neighbours.sum(1)).ravel()
    return (sparse.diags(degrees) - neighbours).tocsr()
