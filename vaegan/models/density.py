"""What codes are drawn from in the place of a prior: a density fitted to those of real images."""

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vaegan.errors import Failure, UserError
from vaegan.randomness import derive_seed, draw_normal, make_generator
from vaegan.text import to_one_line

GAUSSIAN = "gaussian"
EM_TOLERANCE_NATS, MAX_EM_ITERATIONS = 1e-3, 2000
"""Of the EM algorithm, as in the code of Ghosh et al.: the gain in mean log-likelihood, in nats, at which it ends."""
COVARIANCE_REGULARISATION = 1e-6
"""What scikit-learn adds to the diagonal of each covariance of a mixture."""


@dataclass(frozen=True, eq=False)
class Density:
    """A Gaussian or a mixture of Gaussians, of full covariance, fitted to codes (Ghosh et al. 2020, section 4)."""

    asked: str
    """`gaussian` or `gmm:K`."""
    count: int
    """Codes that it was fitted to."""
    weights: Tensor
    """Of the K components, float64, shape (K,), on the CPU as all of it; their sum is 1."""
    means: Tensor
    """Shape (K, d)."""
    roots: Tensor
    """Symmetric square roots of the covariances, shape (K, d, d)."""

    def __str__(self) -> str:
        return describe_density(self.asked, self.count)

    @property
    def covariances(self) -> Tensor:
        """Shape (K, d, d)."""
        return self.roots @ self.roots

    def codes(self, start: int, stop: int, seed: int) -> Tensor:
        """Codes ``start`` to ``stop`` of the endless list that ``seed`` draws, float64, shape (n, d), on the CPU.

        Each is a function of ``seed`` and its place alone, made of the same noise as a code of the prior N(0, I) at
        that place, so that both show the same image where the density is the prior.
        """
        codes = torch.empty(max(0, stop - start), self.means.shape[1], dtype=torch.float64)
        for row, index in enumerate(range(start, stop)):
            codes[row] = self._code(index, seed)
        return codes

    def _code(self, index: int, seed: int) -> Tensor:
        uniform = torch.rand((), generator=make_generator(seed, "component", index), dtype=torch.float64)
        place = int(torch.searchsorted(self.weights.cumsum(0), uniform, right=True))
        component = min(place, len(self.weights) - 1)  # the rounded weights may sum up to less than 1
        noise = draw_normal(self.means.shape[1:], seed, "codes", index).double()
        return self.means[component] + self.roots[component] @ noise


def describe_density(asked: str, count: int) -> str:
    """A density in words, as every figure of its samples names it.

    Args:
        asked: `gaussian` or `gmm:K`.
        count: Codes that it is fitted to.
    """
    name = "Gaussian" if asked == GAUSSIAN else f"GMM of {_components(asked)}"
    return f"{name}, fitted to {count:,} codes"


def get_density_protocol(asked: str) -> dict[str, Any]:
    """How `fit_density` and who gives it the codes of images make a density, ``asked`` as there."""
    how = {
        "asked": asked,
        "codes": "one draw of the posterior of each training image, unmirrored",
        "covariance": "full, maximum likelihood",
    }
    if asked == GAUSSIAN:
        return how
    return {
        **how,
        "added_to_diagonal": COVARIANCE_REGULARISATION,
        "start": "k-means",
        "tolerance": EM_TOLERANCE_NATS,
        "most_rounds": MAX_EM_ITERATIONS,
    }


def check_enough_codes(asked: str, count: int) -> None:
    """See that ``count`` codes are enough for what is ``asked``, as of `fit_density`; before there are any, say.

    Raises:
        UserError: They are not.
    """
    components = _components(asked)
    if count <= components:
        mend = "name fewer, as in gmm:2, or gaussian" if components > 1 else "train on more"
        raise UserError(f"density: {asked}: {count} training images are too few for {components}; {mend}")


def fit_density(asked: str, codes: Tensor, seed: int) -> Density:
    """The density of greatest likelihood: a function of all arguments and nothing else.

    Args:
        asked: `gaussian`, or `gmm:K` for a mixture of K components, found by scikit-learn's EM algorithm.
        codes: Shape (N, d).
        seed: Root of the mixture's start.

    Raises:
        UserError: There are too few codes, or no mixture of so many components can be fitted to them.
        Failure: A code is not finite.
    """
    check_enough_codes(asked, len(codes))
    codes = codes.double().cpu()
    if not codes.isfinite().all():
        raise Failure("the codes of the training images are not finite; use a run whose training did not diverge")
    size = codes.shape[1]
    if asked == GAUSSIAN:
        weights, means = codes.new_ones(1), codes.mean(0, keepdim=True)
        covariances = torch.cov(codes.T, correction=0).reshape(1, size, size)
    else:
        weights, means, covariances = _mixture(asked, codes, seed)
    return Density(asked, len(codes), weights, means, _roots(covariances))


def _components(asked: str) -> int:
    return 1 if asked == GAUSSIAN else int(asked.removeprefix("gmm:"))


def _mixture(asked: str, codes: Tensor, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    from sklearn.mixture import GaussianMixture  # which takes a second to import

    mixture = GaussianMixture(
        _components(asked), covariance_type="full", tol=EM_TOLERANCE_NATS, reg_covar=COVARIANCE_REGULARISATION, max_iter=MAX_EM_ITERATIONS,
        random_state=derive_seed(seed, "density") % 2**32,
    )  # fmt: skip
    mend = "name fewer components, as in gmm:2, or gaussian"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # whether it has converged is asked below
            mixture.fit(codes.numpy())
    except ValueError as error:
        raise UserError(
            f"density: {asked}: cannot be fitted to these codes ({to_one_line(error, 80)}); {mend}"
        ) from None
    if not mixture.converged_:
        raise UserError(f"density: {asked}: EM has found no end in {MAX_EM_ITERATIONS:,} rounds; {mend}")
    weights, means, covariances = (
        torch.from_numpy(values) for values in (mixture.weights_, mixture.means_, mixture.covariances_)
    )
    return weights, means, covariances


def _roots(covariances: Tensor) -> Tensor:
    """Also of singular ones: a direction in which codes do not vary has the root 0."""
    values, vectors = torch.linalg.eigh(covariances)
    roots: Tensor = (vectors * values.clamp_min(0).sqrt()[:, None, :]) @ vectors.mT
    return roots
