"""A density fitted to the codes of real images, from which codes are drawn instead of from a prior."""

import math
import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vaegan.errors import Failure, UserError
from vaegan.randomness import derive_seed, draw_normal, make_generator
from vaegan.text import to_one_line

GAUSSIAN = "gaussian"
"""Specification of a single Gaussian; the others are `gmm:K`."""
EM_TOLERANCE_NATS = 1e-3
"""Gain in mean log-likelihood, in nats, at which the EM algorithm ends, as in the code of Ghosh et al."""
MAX_EM_ITERATIONS = 2000
"""Iterations after which the EM algorithm counts as not converging, as in the code of Ghosh et al."""
COVARIANCE_REGULARISATION = 1e-6
"""Value that scikit-learn adds to the diagonal of each covariance of a mixture."""
MAX_CODE_SIZE = 2048
"""Most dimensions of a code whose full covariance is fitted: it takes d^2 values, and d^3 operations, a component."""
MIN_RELATIVE_VARIANCE = 1e-9
"""Least variance of a direction, relative to the largest one of its component, where probabilities are computed; codes
of a deterministic encoder may not vary at all in some directions."""


@dataclass(frozen=True, eq=False)
class Density:
    """A Gaussian or a mixture of Gaussians, of full covariance, fitted to codes (Ghosh et al. 2020, section 4)."""

    spec: str
    """`gaussian` or `gmm:K`."""
    code_count: int
    """Number of codes that it was fitted to."""
    weights: Tensor
    """Weights of the K components, of sum 1, float64, shape (K,), on the CPU."""
    means: Tensor
    """Means of the components, float64, shape (K, d), on the CPU."""
    roots: Tensor
    """Symmetric square roots of the components' covariances, float64, shape (K, d, d), on the CPU."""

    def __str__(self) -> str:
        return describe_density(self.spec, self.code_count)

    @property
    def covariances(self) -> Tensor:
        """Covariances of the components, float64, shape (K, d, d)."""
        return self.roots @ self.roots

    def compute_log_probability(self, codes: Tensor) -> Tensor:
        """Compute log p(z) of codes in nats, of their dtype and device, differentiable: (N, d) => (N,).

        log sum_k w_k N(z; mean_k, covariance_k), where no variance is less than `MIN_RELATIVE_VARIANCE`.
        """
        scales, vectors = (part.to(codes.device) for part in torch.linalg.eigh(self.roots))
        variances = scales.square()
        variances = torch.maximum(variances, variances.amax(1, keepdim=True) * MIN_RELATIVE_VARIANCE)
        centred = codes.double()[:, None] - self.means.to(codes.device)
        distances = torch.einsum("nkd,kde->nke", centred, vectors).square() / variances
        constant = variances.log().sum(1) + self.means.shape[1] * math.log(2 * math.pi)
        logs = self.weights.log().to(codes.device) - 0.5 * (distances.sum(2) + constant)
        return logs.logsumexp(1).to(codes)

    def draw_codes(self, start: int, stop: int, seed: int) -> Tensor:
        """Draw the codes of indices ``start`` to ``stop - 1``, float64, shape (n, d), on the CPU.

        Code i depends only on ``seed`` and i. It is made of the same noise as code i of the prior N(0, I), so that both
        give the same image where the density is the prior.
        """
        codes = torch.empty(max(0, stop - start), self.means.shape[1], dtype=torch.float64)
        for row, index in enumerate(range(start, stop)):
            codes[row] = self._draw_code(index, seed)
        return codes

    def _draw_code(self, index: int, seed: int) -> Tensor:
        uniform = torch.rand((), generator=make_generator(seed, "component", index), dtype=torch.float64)
        component = int(torch.searchsorted(self.weights.cumsum(0), uniform, right=True))
        component = min(component, len(self.weights) - 1)  # the rounded weights may sum up to less than 1
        noise = draw_normal(self.means.shape[1:], seed, "codes", index).double()
        return self.means[component] + self.roots[component] @ noise


def describe_density(spec: str, code_count: int) -> str:
    """Return a density in words, as every metric of its samples names it.

    Args:
        spec: `gaussian` or `gmm:K`.
        code_count: Number of codes that it is fitted to.
    """
    name = "Gaussian" if spec == GAUSSIAN else f"GMM of {_count_components(spec)}"
    return f"{name}, fitted to {code_count:,} codes"


def get_density_protocol(spec: str) -> dict[str, Any]:
    """Return the protocol of the fit of a density to the codes of training images.

    Args:
        spec: `gaussian` or `gmm:K`.
    """
    codes = "one draw of the posterior of each training image, unmirrored"
    # "asked" is the key in results on disk.
    protocol = {"asked": spec, "codes": codes, "covariance": "full, maximum likelihood"}
    if spec == GAUSSIAN:
        return protocol
    em = {"start": "k-means", "tolerance": EM_TOLERANCE_NATS, "most_rounds": MAX_EM_ITERATIONS}
    return {**protocol, "added_to_diagonal": COVARIANCE_REGULARISATION, **em}


def check_density_fits(spec: str, code_count: int, code_size: int) -> None:
    """Check that there will be more codes than components, and that codes are not too large; it needs no codes.

    Args:
        spec: `gaussian` or `gmm:K`.
        code_count: Number of codes.
        code_size: Dimensions of a code.

    Raises:
        UserError: There are too few codes, or they have too many dimensions.
    """
    if code_size > MAX_CODE_SIZE:
        problem = f"a full covariance of codes of {code_size:,} dimensions is too large, {MAX_CODE_SIZE:,} at most"
        remedy = "leave the density out, or train a model with a smaller code"
        raise UserError(f"density: {spec}: {problem}; {remedy}")
    components = _count_components(spec)
    if code_count <= components:
        remedy = "name fewer, as in gmm:2, or gaussian" if components > 1 else "train on more"
        raise UserError(f"density: {spec}: {code_count} training images are too few for {components}; {remedy}")


def fit_density(spec: str, codes: Tensor, seed: int) -> Density:
    """Fit the density of greatest likelihood to codes: a function of all arguments and nothing else.

    Args:
        spec: `gaussian`, or `gmm:K` for a mixture of K components, fitted by scikit-learn's EM algorithm.
        codes: Codes, shape (N, d).
        seed: Root of the mixture's start.

    Raises:
        UserError: There are too few codes, they have more than `MAX_CODE_SIZE` dimensions, or no mixture of so many
            components can be fitted to them.
        Failure: A code is not finite.
    """
    check_density_fits(spec, *codes.shape)
    codes = codes.double().cpu()
    if not codes.isfinite().all():
        raise Failure("the codes of the training images are not finite; use a run whose training did not diverge")
    size = codes.shape[1]
    if spec == GAUSSIAN:
        weights, means = codes.new_ones(1), codes.mean(0, keepdim=True)
        covariances = torch.cov(codes.T, correction=0).reshape(1, size, size)
    else:
        weights, means, covariances = _fit_mixture(spec, codes, seed)
    return Density(spec, len(codes), weights, means, _compute_roots(covariances))


def _count_components(spec: str) -> int:
    return 1 if spec == GAUSSIAN else int(spec.removeprefix("gmm:"))


def _fit_mixture(spec: str, codes: Tensor, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return weights (K,), means (K, d) and covariances (K, d, d) of a Gaussian mixture."""
    from sklearn.mixture import GaussianMixture  # which takes a second to import

    mixture = GaussianMixture(
        _count_components(spec), covariance_type="full", tol=EM_TOLERANCE_NATS, reg_covar=COVARIANCE_REGULARISATION,
        max_iter=MAX_EM_ITERATIONS, random_state=derive_seed(seed, "density") % 2**32,
    )  # fmt: skip
    remedy = "name fewer components, as in gmm:2, or gaussian"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # convergence is checked below
            mixture.fit(codes.numpy())
    except ValueError as error:
        reason = to_one_line(error, 80)
        raise UserError(f"density: {spec}: cannot be fitted to these codes ({reason}); {remedy}") from None
    if not mixture.converged_:
        raise UserError(f"density: {spec}: EM has not converged in {MAX_EM_ITERATIONS:,} iterations; {remedy}")
    weights, means, covariances = map(torch.from_numpy, (mixture.weights_, mixture.means_, mixture.covariances_))
    return weights, means, covariances


def _compute_roots(covariances: Tensor) -> Tensor:
    """Return the symmetric square roots of covariances (K, d, d), which may be singular."""
    values, vectors = torch.linalg.eigh(covariances)
    roots: Tensor = (vectors * values.clamp_min(0).sqrt()[:, None, :]) @ vectors.mT
    return roots
