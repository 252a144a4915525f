"""Maps of codes in two dimensions: principal components and t-SNE."""

from typing import NamedTuple

import torch
from torch import Tensor

from vaegan.errors import UserError
from vaegan.extras import check_packages
from vaegan.randomness import derive_seed

MAX_PERPLEXITY = 30.0
"""Perplexity of t-SNE, the number of neighbours that count; of few codes a third of them."""
MIN_MAP_CODES = 4
"""Fewest codes of a map."""


class PrincipalMap(NamedTuple):
    """The first two principal components of codes."""

    coordinates: Tensor
    """Coordinates of each code, float64, shape (N, 2)."""
    explained: Tensor
    """Fraction of the variance along each, float64, shape (2,)."""


def map_by_pca(codes: Tensor) -> PrincipalMap:
    """Project codes onto their first two principal components.

    Args:
        codes: Shape (N, d) with N >= 4 and d >= 2.

    Raises:
        UserError: The codes are too few or of one dimension, or scikit-learn is not installed.
    """
    _check_codes(codes)
    from sklearn.decomposition import PCA

    analysis = PCA(n_components=2, svd_solver="full").fit(codes.double().numpy())
    coordinates = torch.from_numpy(analysis.transform(codes.double().numpy()))
    return PrincipalMap(coordinates, torch.from_numpy(analysis.explained_variance_ratio_))


def map_by_tsne(codes: Tensor, seed: int) -> Tensor:
    """Lay out codes so that neighbours stay neighbours (t-SNE, van der Maaten & Hinton 2008), float64, shape (N, 2).

    Distances between clusters, and their sizes, mean nothing.

    Args:
        codes: Shape (N, d) with N >= 4 and d >= 2.
        seed: Root of the layout.

    Raises:
        UserError: The codes are too few or of one dimension, or scikit-learn is not installed.
    """
    _check_codes(codes)
    from sklearn.manifold import TSNE

    perplexity = min(MAX_PERPLEXITY, (len(codes) - 1) / 3)
    layout = TSNE(perplexity=perplexity, init="pca", random_state=derive_seed(seed, "t-SNE") % 2**32)
    return torch.from_numpy(layout.fit_transform(codes.double().numpy())).double()


def _check_codes(codes: Tensor) -> None:
    check_packages(["sklearn"])
    if len(codes) < MIN_MAP_CODES or codes.shape[1] < 2:
        count, size = codes.shape
        raise UserError(f"{count} codes of {size} dimensions: a map needs {MIN_MAP_CODES} codes of two dimensions")
