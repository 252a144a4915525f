"""A model whose decoder is linear, so that the posterior of a code given any linear measurement is a Gaussian."""

import torch
from torch import Tensor

from vaegan.applications.linear_operators import LinearOperator
from vaegan.models import AE, VAE, Posterior
from vaegan.models.continuous import ContinuousAutoencoder
from vaegan.randomness import draw_normal

SIZE = 3


class LinearDecoder(ContinuousAutoencoder):
    """G(z) = W z + b of images (C, 8, 8) and codes of `SIZE` values; its encoder is a poor guess."""

    def make_linear(self) -> None:
        values = self.image_shape[0] * 64
        self.weight = 0.15 * draw_normal((values, SIZE), 0, "weight").double()
        self.bias = 0.2 * draw_normal((values,), 0, "bias").double()

    def _encode(self, images: Tensor, labels: Tensor | None) -> Posterior:
        mean = images.flatten(1)[:, :SIZE]
        return Posterior(mean, torch.zeros_like(mean))

    def _decode(self, codes: Tensor, labels: Tensor | None) -> Tensor:
        return (codes @ self.weight.T + self.bias).unflatten(1, self.image_shape)


class LinearVAE(LinearDecoder, VAE):
    """With the prior N(0, I) and pixels of standard deviation 0.4."""


class LinearAE(LinearDecoder, AE):
    """Without a prior."""


def build_linear(family: type[LinearDecoder] = LinearVAE, channels: int = 1) -> LinearDecoder:
    settings = {"scale": 0.4} if family is LinearVAE else {}
    model = family(image_shape=(channels, 8, 8), network="mlp", width=8, latent_size=SIZE, **settings).double().eval()
    model.make_linear()
    return model.requires_grad_(False)


def compute_posterior(
    model: LinearDecoder, operator: LinearOperator, values: Tensor, scale: float, noise: float,
    prior_mean: Tensor | None = None, prior_covariance: Tensor | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Return mean (N, d) and covariance (d, d) of p(z | y) in closed form, with the operator's matrix."""
    count = model.bias.numel()
    basis = torch.eye(count, dtype=torch.float64).unflatten(1, model.image_shape)
    matrix = operator.apply(basis).flatten(1).T
    matrix = matrix[used := matrix.abs().sum(1) > 0]
    covariance = scale**2 * matrix @ matrix.T + noise**2 * torch.eye(len(matrix)).double()
    mean = torch.zeros(SIZE).double() if prior_mean is None else prior_mean
    precision = torch.eye(SIZE).double() if prior_covariance is None else torch.linalg.inv(prior_covariance)
    design = matrix @ model.weight
    weighted = torch.linalg.solve(covariance, design)
    posterior = torch.linalg.inv(precision + design.T @ weighted)
    residual = values.flatten(1)[:, used] - matrix @ model.bias
    return (residual @ weighted + precision @ mean) @ posterior, posterior
