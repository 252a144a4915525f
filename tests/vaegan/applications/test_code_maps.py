"""Maps of codes show planted directions and clusters."""

import pytest
import torch

from vaegan.applications.code_maps import map_by_pca, map_by_tsne
from vaegan.errors import UserError
from vaegan.randomness import draw_normal


def test_principal_components_are_the_eigenvectors_of_the_covariance() -> None:
    scales = torch.tensor([0.1, 3.0, 0.3, 1.5]).double()
    basis, _ = torch.linalg.qr(draw_normal((4, 4), 0, "basis").double())
    codes = draw_normal((200, 4), 0, "codes").double() * scales @ basis + 7
    coordinates, explained = map_by_pca(codes)
    values, vectors = torch.linalg.eigh(torch.cov(codes.T))
    expected = (codes - codes.mean(0)) @ vectors[:, [3, 2]]
    torch.testing.assert_close(coordinates.abs(), expected.abs())
    torch.testing.assert_close(explained, values[[3, 2]] / values.sum())


def test_neighbours_of_codes_stay_neighbours_in_t_sne_which_is_a_function_of_the_seed() -> None:
    labels = torch.arange(60) % 3
    codes = draw_normal((60, 8), 0, "codes") + 12 * torch.nn.functional.one_hot(labels, 8)
    layout = map_by_tsne(codes, seed=4)
    assert layout.shape == (60, 2) and torch.equal(layout, map_by_tsne(codes, seed=4))
    distances = torch.cdist(layout, layout).fill_diagonal_(torch.inf)
    assert torch.equal(labels[distances.argmin(1)], labels)


@pytest.mark.parametrize("shape", [(3, 5), (9, 1)])
def test_too_few_codes_are_refused(shape: tuple[int, int]) -> None:
    for function in (map_by_pca, lambda codes: map_by_tsne(codes, 0)):
        with pytest.raises(UserError, match="a map needs 4 codes"):
            function(torch.zeros(shape))
