"""Linear probes: accuracy of classes read off codes by logistic regression, beside pixels and their PCA."""

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from vaegan.errors import UserError
from vaegan.extras import check_packages
from vaegan.randomness import derive_seed

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Values of scikit-learn's C, the inverse of the penalty on the weights, of which a held-out part chooses."""
HELD_OUT_EVERY = 5
"""Every fifth training image chooses the penalty."""
MAX_ITERATIONS = 200
"""Most iterations of the optimizer."""
CONFIDENCE = 0.95
"""Probability that the interval of an accuracy contains the true value."""


@dataclass(frozen=True, eq=False)
class LinearProbe:
    """A logistic regression on features of training images, judged on images that it has not seen."""

    correct: Tensor
    """True for held-out images whose class was found, bool, shape (N,)."""
    penalty: float
    """The chosen value of scikit-learn's C."""

    @property
    def accuracy(self) -> float:
        """Fraction of the held-out images whose class was found."""
        return self.correct.double().mean().item()

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the accuracy (Wilson 1927)."""
        from scipy.stats import binomtest

        interval = binomtest(int(self.correct.sum()), len(self.correct)).proportion_ci(CONFIDENCE, method="wilson")
        return interval.low, interval.high


def fit_linear_probe(features: Tensor, labels: Tensor, test_features: Tensor, test_labels: Tensor) -> LinearProbe:
    """Fit a logistic regression to features of training images, and apply it to those of other images.

    Features are standardised by the training images. The penalty is that of `PENALTIES` with the most correct answers
    on every fifth training image, fitted to the others; then all of them are fitted.

    Args:
        features: Features of the training images, shape (M, d).
        labels: Their classes, int64, shape (M,).
        test_features: Features of the held-out images, shape (N, d).
        test_labels: Their classes, int64, shape (N,).

    Raises:
        UserError: The training images are of one class, too few, or scikit-learn is not installed.
    """
    check_packages(["sklearn"])
    held_out = torch.arange(len(labels)) % HELD_OUT_EVERY == 0
    if len(labels[~held_out].unique()) < 2:
        raise UserError(f"{len(labels)} training images: a linear probe needs images of two classes")
    chosen = max(
        PENALTIES,
        key=lambda penalty: _fit(
            penalty, features[~held_out], labels[~held_out], features[held_out], labels[held_out]
        ).sum(),
    )
    return LinearProbe(_fit(chosen, features, labels, test_features, test_labels), chosen)


def fit_probes(
    codes: Tensor, pixels: Tensor, labels: Tensor, test_codes: Tensor, test_pixels: Tensor, test_labels: Tensor,
    seed: int,
) -> dict[str, LinearProbe]:  # fmt: skip
    """Fit linear probes to codes and, as baselines, to pixels and to as many principal components of pixels.

    Args:
        codes: Posterior means of the training images, shape (M, d).
        pixels: The training images, shape (M, ...).
        labels: Their classes, int64, shape (M,).
        test_codes: Posterior means of the held-out images, shape (N, d).
        test_pixels: The held-out images, shape (N, ...).
        test_labels: Their classes, int64, shape (N,).
        seed: Root of the randomised PCA.

    Returns:
        The probes of "codes", "PCA of pixels" and "pixels".

    Raises:
        UserError: The training images are of one class, too few, or scikit-learn is not installed.
    """
    check_packages(["sklearn"])
    from sklearn.decomposition import PCA

    pixels, test_pixels = pixels.flatten(1), test_pixels.flatten(1)
    components = min(codes.shape[1], *pixels.shape)
    analysis = PCA(n_components=components, random_state=derive_seed(seed, "PCA") % 2**32).fit(pixels.numpy())
    projected, test_projected = (torch.from_numpy(analysis.transform(part.numpy())) for part in (pixels, test_pixels))
    pairs = {
        "codes": (codes, test_codes),
        "PCA of pixels": (projected, test_projected),
        "pixels": (pixels, test_pixels),
    }
    return {name: fit_linear_probe(train, labels, test, test_labels) for name, (train, test) in pairs.items()}


def _fit(penalty: float, features: Tensor, labels: Tensor, test_features: Tensor, test_labels: Tensor) -> Tensor:
    """Return whether a logistic regression finds the class of each held-out image, bool, shape (N,)."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), LogisticRegression(C=penalty, max_iter=MAX_ITERATIONS))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # stopping early penalises too
        probe.fit(features.numpy(), labels.numpy())
    return torch.from_numpy(probe.predict(test_features.numpy())) == test_labels
