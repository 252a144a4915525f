"""The Fréchet distance against its closed forms and against the packages that others use."""

import math

import numpy as np
import pytest
import torch
from pytorch_fid.fid_score import calculate_frechet_distance
from torch import Tensor
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torchmetrics.image.fid import FrechetInceptionDistance

from vaegan.evaluate.metrics.frechet import compute_moments, fit_gaussian, frechet
from vaegan.evaluate.metrics.metric import add_sums
from vaegan.randomness import draw_normal


def features(count: int, size: int, name: str, decay: float = 2.0) -> Tensor:
    """Correlated features whose variances fall over orders of magnitude, as a network's do."""
    mixing = draw_normal((size, size), 0, "mixing").double() / math.sqrt(size)
    scale = torch.logspace(0, -decay, size, dtype=torch.float64)
    shift = 0.1 * draw_normal((size,), 0, name).double()
    return ((draw_normal((count, size), 1, name).double() * scale) @ mixing + shift + 0.4).float()


def distance(one: Tensor, other: Tensor) -> float:
    return frechet(fit_gaussian(compute_moments(one)), fit_gaussian(compute_moments(other)))


class FixedFeatures(torch.nn.Module):
    """Features in the place of images, as torchmetrics takes a network."""

    num_features = 64

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1).double()


@pytest.mark.parametrize("size", [8, 64])
def test_it_is_that_of_the_reference_packages(size: int) -> None:
    one, other = features(500, size, "one"), features(400, size, "other")
    value = distance(one, other)
    statistics = [fid_features_to_statistics(each.double()) for each in (one, other)]
    fidelity_value = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    pytorch_fid_value = calculate_frechet_distance(*(each[name] for each in statistics for name in ("mu", "sigma")))
    assert value == pytest.approx(fidelity_value, rel=1e-6) and value == pytest.approx(pytorch_fid_value, rel=1e-6)
    if size == FixedFeatures.num_features:
        metric = FrechetInceptionDistance(feature=FixedFeatures(), input_img_size=(1, 8, 8), normalize=True)
        metric.set_dtype(torch.float64)
        metric.update(one.double().unflatten(1, (1, 8, 8)), real=True)
        metric.update(other.double().unflatten(1, (1, 8, 8)), real=False)
        assert value == pytest.approx(metric.compute().item(), rel=1e-6)
    assert value > 0.01


def test_it_has_the_closed_form_of_independent_features() -> None:
    scale = torch.tensor([1.0, 3.0, 0.5], dtype=torch.float64)
    exact = torch.cat([torch.eye(3), -torch.eye(3)]).double() * math.sqrt(2.5)  # of mean 0 and covariance I
    value = distance(exact, exact * scale + torch.tensor([0.0, 2.0, 0.0]))
    assert value == pytest.approx(4.0 + ((1 - scale) ** 2).sum().item(), abs=1e-12)


@pytest.mark.parametrize(
    ("count", "size", "dead", "decay"),
    [(500, 64, 0, 2), (500, 64, 0, 5), (500, 64, 0, 8), (30, 64, 0, 2), (500, 64, 20, 2), (2, 64, 0, 2), (1, 64, 0, 2),
     (65, 64, 0, 2)],
)  # fmt: skip
def test_identical_sets_are_at_no_distance(count: int, size: int, dead: int, decay: float) -> None:
    """Whatever the order in which they were added, and also where the covariance has not full rank, or nearly not."""
    some = features(count, size, "one", decay)
    some[:, :dead] = 0
    whole, parts = compute_moments(some), [compute_moments(part) for part in some.flip(0).split(7)]
    again = parts[0]
    for part in parts[1:]:
        again = add_sums(again, part)
    one, other = fit_gaussian(whole), fit_gaussian(again)
    assert 0 <= frechet(one, other) <= 1e-8 * max(one.trace, 1e-30)
    assert one.trace == pytest.approx(some.double().var(0).sum().item() if count > 1 else 0, rel=1e-9)


@pytest.mark.parametrize(("count", "dead"), [(30, 0), (200, 20), (64, 0), (65, 0)])
def test_with_fewer_images_than_features_it_is_still_right(count: int, dead: int) -> None:
    one, other = features(count, 64, "one"), features(count + 5, 64, "other")
    one[:, :dead], other[:, :dead] = 0, 0.3
    assert distance(one, other) == pytest.approx(by_singular_values(one, other), rel=1e-9)


def test_what_sets_have_in_common_only_in_part_is_not_lost_to_rounding() -> None:
    one, other = features(300, 256, "one", decay=0), features(300, 256, "other", decay=0)
    one[:, 144:], other[:, :112] = 0, 0
    assert distance(one, other) == pytest.approx(by_singular_values(one, other), rel=1e-12)


def by_singular_values(one: Tensor, other: Tensor) -> float:
    """Compute the distance from the features themselves, without a covariance."""
    centred = [((each - each.mean(0)).double() / math.sqrt(len(each) - 1)) for each in (one.double(), other.double())]
    shared = np.linalg.svd((centred[0] @ centred[1].mT).numpy(), compute_uv=False).sum()
    means = (one.double().mean(0) - other.double().mean(0)).square().sum().item()
    return float(means + sum(each.square().sum().item() for each in centred) - 2 * shared)


def test_it_is_never_negative_and_falls_with_nothing() -> None:
    for seed in range(20):
        some = draw_normal((40, 16), seed, "some")
        assert distance(some, some + 1e-9) >= 0
    assert distance(torch.zeros(5, 4), torch.zeros(9, 4)) == 0
    assert distance(torch.zeros(5, 4), torch.ones(9, 4)) == pytest.approx(4)
    one, other = features(100, 16, "one"), features(100, 16, "other")
    assert distance(one, other) == pytest.approx(distance(other, one), rel=1e-9)
