"""The posterior of an image's code given a measurement of the image: its maximum, and its curvature there.

For a measurement y = A x + noise of an image x = G(z) + scale * e with e ~ N(0, I),

    p(z | y) ∝ N(y; A G(z), scale^2 A A^T + noise^2 I) p(z),

with G the decoder, A a `LinearOperator` and p(z) the prior of the model's codes or a density fitted to them (Bora et
al. 2017 maximise it without the Gaussian's scale being known).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from vaegan.errors import UserError
from vaegan.models import Autoencoder
from vaegan.models.inputs import Labels
from vaegan.progress import ProgressCallback, ignore_progress
from vaegan.randomness import derive_seed

from .code_prior import CodePrior, get_code_prior
from .encoding import check_continuous_codes
from .linear_operators import LinearOperator
from .uncertainty import get_observation_model

ROUNDING_NOISE = 2 / 255 / math.sqrt(12)
"""Standard deviation of the rounding of a pixel in [-1, 1] to 8 bits."""
DEFAULT_SCALE = 0.2
"""Standard deviation of pixels around the decoder's image for families that have none, as `model.scale` by default."""
LEARNING_RATE = 0.1
"""Adam's learning rate at the start, in standard deviations of the prior; it falls to 0 along half a cosine."""
BETAS = (0.9, 0.99)
"""Adam's decay rates."""
PRIOR_DRAWS = 64
"""Draws of the prior by which its standard deviations are estimated."""
MIN_RELATIVE_DEVIATION = 1e-3
"""Least standard deviation of the prior in a dimension that steps are measured by, relative to the largest one."""
MAX_CURVATURE_CODE_SIZE = 1024
"""Most values of a code for which the matrix of the posterior's curvature is computed."""


@dataclass(frozen=True)
class Measurement:
    """Measurements of N images: the operator, its values and their noise."""

    operator: LinearOperator
    """A."""
    values: Tensor
    """y, shape (N, ...), of the dtype and device of the model."""
    noise: float = ROUNDING_NOISE
    """Standard deviation of what was added to A x."""


class CodePosterior:
    """p(z | y) of N images, up to a constant factor of each.

    Args:
        model: Model in evaluation mode whose code is a vector.
        measurement: What is known of the images.
        prior: p(z); None: the prior of the model.
        labels: Class of each image, int64, shape (N,), or one class of all; None: the model is unconditional.
        scale: Standard deviation of the pixels around G(z), above 0; None: that of the model's p(x | z), and
            `DEFAULT_SCALE` for families that have none.

    Raises:
        UserError: The family has no prior and none is given, its codes are entries of a codebook, the labels are not
            those of the model, or the scale is not above 0.
    """

    def __init__(
        self, model: Autoencoder, measurement: Measurement, prior: CodePrior | None = None, labels: Labels = None,
        scale: float | None = None,
    ) -> None:  # fmt: skip
        check_continuous_codes(model)
        if scale is not None and not 0 < scale < math.inf:
            raise UserError(f"scale: {scale:g}; give a number above 0")
        self.model, self.measurement = model, measurement
        self.prior = prior or get_code_prior(model)
        self.labels = model.check_labels(labels, len(measurement.values))
        self.scale = get_pixel_scale(model) if scale is None else scale

    def decode(self, codes: Tensor) -> Tensor:
        """Decode codes of each image, shape (..., N, d) => (..., N, C, S, S)."""
        rows = codes.flatten(0, -2)
        labels = None if self.labels is None else self.labels.repeat(len(rows) // len(self.labels))
        images: Tensor = self.model.decode(rows, labels).unflatten(0, codes.shape[:-1])
        return images

    def compute_residuals(self, codes: Tensor) -> Tensor:
        """Compute the whitened A G(z) - y of codes of each image, shape (..., N, d) => (..., N, M)."""
        operator, values = self.measurement.operator, self.measurement.values
        residuals = operator.apply(self.decode(codes)) - values
        return operator.whiten(residuals, self.scale, self.measurement.noise).flatten(codes.ndim - 1)

    def compute_log_density(self, codes: Tensor) -> Tensor:
        """Compute log p(z | y) in nats up to a constant of each image, shape (..., N, d) => (..., N)."""
        log_prior: Tensor = self.prior.compute_log_probability(codes.flatten(0, -2)).unflatten(0, codes.shape[:-1])
        return log_prior - 0.5 * self.compute_residuals(codes).square().sum(-1)

    def estimate_prior_deviations(self) -> Tensor:
        """Estimate the standard deviation of the prior in each dimension, shape (d,), from `PRIOR_DRAWS` draws."""
        draws = self.prior.draw_codes(0, PRIOR_DRAWS, 0).double()
        deviations = draws.std(0)
        return deviations.clamp_min(MIN_RELATIVE_DEVIATION * deviations.max().item()).to(self.measurement.values)


def get_pixel_scale(model: Autoencoder) -> float:
    """Return the standard deviation of pixels around the decoder's image, in units of the [-1, 1] range.

    That of the model's p(x | z); of families without one, `DEFAULT_SCALE`.
    """
    noise = get_observation_model(model)
    return DEFAULT_SCALE if noise is None else noise.deviation


@torch.no_grad()
def draw_starts(posterior: CodePosterior, restarts: int, seed: int, images: Tensor | None = None) -> Tensor:
    """Return the codes that a search starts from, shape (restarts, N, d).

    The first is the encoder's code of an image that has the measurement, the others are draws of the prior, the same
    ones for each image.

    Args:
        posterior: The posterior.
        restarts: Number R of starts, at least 1.
        seed: Root of the draws.
        images: Images that the first starts are the codes of, shape (N, C, S, S); None: `LinearOperator.fill`.
    """
    measurement, model = posterior.measurement, posterior.model
    images = measurement.operator.fill(measurement.values) if images is None else images
    first = model.encode(images.clamp(-1, 1).to(measurement.values), posterior.labels).mean
    draws = posterior.prior.draw_codes(0, restarts - 1, derive_seed(seed, "restarts")).to(first)
    return torch.cat([first[None], draws[:, None].expand(-1, len(first), -1)])


def find_map_codes(
    posterior: CodePosterior, starts: Tensor, steps: int, progress: ProgressCallback = ignore_progress
) -> Tensor:
    """Return the most probable code of each image that Adam finds, shape (N, d); no image changes another's.

    Args:
        posterior: The posterior.
        starts: Codes that it starts from, shape (R, N, d); of each image the best result is returned.
        steps: Steps from each.
        progress: Called with (steps done, steps in all).
    """
    deviations = posterior.estimate_prior_deviations()
    with torch.enable_grad():
        position = (starts.detach() / deviations).requires_grad_()
        optimizer = torch.optim.Adam([position], lr=LEARNING_RATE, betas=BETAS)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for step in range(steps):
            log_density = posterior.compute_log_density(position * deviations)
            (position.grad,) = torch.autograd.grad(-log_density.sum(), [position])
            optimizer.step()
            schedule.step()
            progress(step + 1, steps)
    found = position.detach() * deviations
    with torch.no_grad():
        best = posterior.compute_log_density(found).argmax(0)
    return found[best, torch.arange(len(best), device=best.device)]


@dataclass(frozen=True)
class Laplace:
    """The Gaussian N(mean, root root^T) with the posterior's maximum and its curvature there."""

    mean: Tensor
    """Shape (N, d)."""
    root: Tensor
    """Shape (N, d, d)."""

    @property
    def covariance(self) -> Tensor:
        """Shape (N, d, d)."""
        return self.root @ self.root.mT


def approximate_posterior(posterior: CodePosterior, codes: Tensor) -> Laplace:
    """Return the Laplace approximation at the most probable codes, with the Gauss-Newton form of the curvature.

    The precision is J^T J - (second derivatives of log p(z)), J the Jacobian of the whitened residuals. It is exact
    where the decoder is linear and the prior Gaussian. A direction in which it is less than 1/d of the prior's
    precision gets that.

    Args:
        posterior: The posterior.
        codes: Its maximum, shape (N, d).

    Raises:
        UserError: Codes have more than `MAX_CURVATURE_CODE_SIZE` values.
    """
    size = codes.shape[-1]
    if size > MAX_CURVATURE_CODE_SIZE:
        raise UserError(
            f"codes of {size:,} values: several answers need the curvature of at most {MAX_CURVATURE_CODE_SIZE:,};"
            " use a run of a smaller latent_size, or one answer, the most probable"
        )
    deviations = posterior.estimate_prior_deviations()
    with torch.enable_grad():
        point = codes.detach().requires_grad_()
        residuals = posterior.compute_residuals(point)
        cotangent = torch.zeros_like(residuals, requires_grad=True)
        pulled = torch.autograd.grad(residuals, [point], cotangent, create_graph=True)[0]  # J^T u, linear in u
        jacobian = torch.stack(list(_differentiate(pulled, cotangent)), -1).double() * deviations
        log_prior = posterior.prior.compute_log_probability(point).sum()
        slope = torch.autograd.grad(log_prior, [point], create_graph=True)[0]
        curvature = torch.stack(list(_differentiate(slope, point)), 1).double() * deviations[:, None] * deviations
    values, vectors = torch.linalg.eigh(jacobian.mT @ jacobian - curvature)
    root = deviations[:, None] * vectors * values.clamp_min(1 / size).rsqrt()[:, None, :]
    return Laplace(codes, root.to(codes))


def _differentiate(values: Tensor, variable: Tensor) -> Iterator[Tensor]:
    """Yield the gradient of each column of values (N, d), summed over N, with respect to a variable."""
    for column in values.unbind(1):
        yield torch.autograd.grad(column.sum(), [variable], retain_graph=True)[0]
