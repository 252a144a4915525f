"""The adversarial losses against their definitions, identities and finite differences."""

import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Categorical, Normal

from tests.tensors import draw_gaussian
from vaegan.losses.adversarial import (
    GENERATED,
    REAL,
    RECONSTRUCTED,
    ada_overfitting_heuristic,
    balanced_accuracy,
    count_predictions,
    cross_entropy_loss,
    discriminator_loss,
    feature_distance,
    generator_loss,
    gradient_penalty,
    hinge_loss,
    lecam_penalty,
    margin,
    origin_logits,
    realness,
    relativistic_loss,
)

LOSS_FORMS = [
    ("cross_entropy", 1), ("cross_entropy", 3), ("hinge", 1), ("hinge", 3), ("relativistic", 1), ("relativistic", 2),
]  # fmt: skip


@pytest.mark.parametrize("origin", [REAL, RECONSTRUCTED, GENERATED])
def test_three_way_loss_is_the_cross_entropy(origin: int) -> None:
    logits = 5 * draw_gaussian(7, 3)
    torch.testing.assert_close(
        cross_entropy_loss(logits, origin), -Categorical(logits=logits).log_prob(torch.tensor(origin))
    )
    probabilities = logits.exp() / logits.exp().sum(1, keepdim=True)
    torch.testing.assert_close(cross_entropy_loss(logits, origin), -probabilities[:, origin].log())


def test_two_way_loss_is_the_binary_cross_entropy() -> None:
    logits = 5 * draw_gaussian(7, 1)
    for origin, target in ((REAL, 1.0), (RECONSTRUCTED, 0.0), (GENERATED, 0.0)):
        expected = F.binary_cross_entropy_with_logits(logits[:, 0], torch.full((7,), target).double(), reduction="none")
        torch.testing.assert_close(cross_entropy_loss(logits, origin), expected)
    assert cross_entropy_loss(torch.tensor([[-500.0], [500.0]]), REAL).tolist() == [500, 0]  # no overflow


def test_fakes_share_one_weight_and_three_classes_are_balanced() -> None:
    one, three = ([draw_gaussian(7, size, seed=seed) for seed in range(3)] for size in (1, 3))
    for form, term in (("cross_entropy", cross_entropy_loss), ("hinge", hinge_loss)):
        losses = [term(each, origin) for origin, each in enumerate(one)]
        torch.testing.assert_close(discriminator_loss(form, one), losses[0] + losses[1] / 2 + losses[2] / 2)
        torch.testing.assert_close(discriminator_loss(form, one[:2]), losses[0] + losses[1])
        losses = [term(each, origin) for origin, each in enumerate(three)]
        torch.testing.assert_close(discriminator_loss(form, three), sum(losses) / 3)


@pytest.mark.parametrize(("form", "size"), LOSS_FORMS)
def test_the_generator_makes_its_fakes_more_real_and_the_discriminator_less(form: str, size: int) -> None:
    """The gradients of the two losses at the score of every fake have opposite signs."""
    scores = [(0.1 * draw_gaussian(5, size, seed=seed)).requires_grad_() for seed in range(3)]
    for side, sign in ((discriminator_loss, 1), (generator_loss, -1)):
        slopes = torch.autograd.grad(side(form, scores).sum(), scores, allow_unused=True)
        assert side(form, scores).shape == (5,)
        for slope in slopes[1:]:
            assert (sign * slope[:, 0] >= 0).all() and (slope[:, 0] != 0).any()
        if size == 2:  # the reconstructed should look drawn from the prior, and the generated as if reconstructed
            assert (sign * slopes[1][:, 1] < 0).all() and (sign * slopes[2][:, 1] > 0).all()


def test_the_margin_is_that_over_the_best_of_the_others() -> None:
    scores = torch.tensor([[2.0, -1.0, 0.5]])
    assert [margin(scores, origin).item() for origin in (REAL, RECONSTRUCTED, GENERATED)] == [1.5, -3, -1.5]
    assert [margin(torch.tensor([[0.7]]), origin).item() for origin in (REAL, GENERATED)] == pytest.approx([0.7, -0.7])
    assert hinge_loss(scores, REAL).item() == 0 and hinge_loss(scores, RECONSTRUCTED).item() == 4


def test_lecam_holds_scores_to_past_ones_of_the_other_kind() -> None:
    real, fake = draw_gaussian(6), draw_gaussian(6, seed=1)
    result = lecam_penalty(real, fake, torch.tensor(0.4), torch.tensor(-0.2))
    torch.testing.assert_close(result, (real + 0.2) ** 2 + (fake - 0.4) ** 2)


def test_the_ada_heuristic_is_the_sign_of_the_realness_of_real_images() -> None:
    scores = [torch.tensor([[1.0], [2.0], [-1.0]]), torch.tensor([[3.0], [0.0], [-2.0]]), torch.zeros(3, 1)]
    assert (
        ada_overfitting_heuristic("cross_entropy", scores).tolist()
        == ada_overfitting_heuristic("hinge", scores).tolist()
        == [1, 1, -1]
    )
    assert ada_overfitting_heuristic("relativistic", scores).tolist() == [0, 1, 0]  # of two comparisons each


def test_accuracy_is_balanced_over_origins() -> None:
    three = torch.tensor([[8.0, 1, 1], [0, 3, 3], [0, 0, 5]])
    assert balanced_accuracy(three) == pytest.approx((0.8 + 0.5 + 1) / 3)
    assert balanced_accuracy(torch.tensor([[6.0, 4], [1, 3], [0, 2]])) == pytest.approx((0.6 + 0.75 + 1) / 3)
    assert balanced_accuracy(torch.tensor([[6.0, 4], [1, 3]])) == pytest.approx((0.6 + 0.75) / 2)


def test_realness_is_the_log_odds_of_real() -> None:
    logits = 3 * draw_gaussian(7, 3)
    real = logits.softmax(1)[:, REAL]
    torch.testing.assert_close(realness(logits), (real / (1 - real)).log())
    one = draw_gaussian(7, 1)
    probability = one[:, 0].sigmoid()
    torch.testing.assert_close(realness(one), (probability / (1 - probability)).log())


def test_predictions_are_counted() -> None:
    three = torch.tensor([[3.0, 1, 2], [0, 5, 1], [0, 1, 5], [0, 2, 9]])
    assert count_predictions(three).tolist() == [1, 1, 2]
    assert count_predictions(torch.tensor([[2.0], [-1.0], [-3.0]])).tolist() == [1, 2]
    assert count_predictions(torch.tensor([[2.0, 0.3], [-1.0, 0.5], [-1.0, -0.5], [-3, -1]])).tolist() == [1, 1, 2]


def test_r1_of_a_quadratic_is_known() -> None:
    """Realness 1/2 x'Ax has slope Ax, so the penalty is 1/2 |Ax|^2 with gradient Axx' by a symmetric A."""
    matrix = draw_gaussian(12, 12)
    matrix = ((matrix + matrix.T) / 2).requires_grad_()
    images = draw_gaussian(5, 3, 2, 2, seed=1).requires_grad_()
    rows = images.flatten(1)
    penalty = gradient_penalty(0.5 * ((rows @ matrix) * rows).sum(1), images)
    slope = rows @ (matrix + matrix.T) / 2
    torch.testing.assert_close(penalty, 0.5 * slope.square().sum(1))
    (result,) = torch.autograd.grad(penalty.sum(), matrix)
    outer = slope.T @ rows
    torch.testing.assert_close(result, (outer + outer.T) / 2)


def test_r1_equals_finite_differences() -> None:
    layers = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 6), torch.nn.Softplus(), torch.nn.Linear(6, 3))
    layers.double()
    images = draw_gaussian(4, 3, 2, 2).requires_grad_()
    penalty = gradient_penalty(realness(layers(images)), images)
    step = 1e-5
    for index in range(4):
        squares = 0.0
        for place in range(12):
            shift = torch.zeros(12).double()
            shift[place] = step
            up, down = (realness(layers(images[index] + sign * shift.reshape(1, 3, 2, 2))) for sign in (1, -1))
            squares += ((up - down) / (2 * step)).item() ** 2
        assert penalty[index].item() == pytest.approx(squares / 2, rel=1e-6)
    assert all(each is not None for each in torch.autograd.grad(penalty.sum(), layers[1].weight))


def test_feature_distance_is_half_the_mean_square() -> None:
    a, b = draw_gaussian(4, 2, 3, 3), draw_gaussian(4, 2, 3, 3, seed=1)
    expected = [
        0.5 * sum((x - y) ** 2 for x, y in zip(p.flatten(), q.flatten(), strict=True)) / 18
        for p, q in zip(a, b, strict=True)
    ]
    torch.testing.assert_close(feature_distance(a, b), torch.stack(expected))
    normal = Normal(a.flatten(1), 1.0)
    likelihood = -normal.log_prob(b.flatten(1)).mean(1) - 0.5 * math.log(2 * math.pi)
    torch.testing.assert_close(feature_distance(a, b), likelihood)


def test_the_hinge_loss_is_zero_beyond_the_margin() -> None:
    logits = torch.tensor([[2.0], [0.5], [-3.0]], requires_grad=True)
    assert hinge_loss(logits, REAL).tolist() == [0, 0.5, 4]
    assert hinge_loss(logits, GENERATED).tolist() == hinge_loss(logits, RECONSTRUCTED).tolist() == [3, 1.5, 0]
    (slope,) = torch.autograd.grad(hinge_loss(logits, REAL).sum(), logits)
    assert slope[:, 0].tolist() == [0, -1, -1]


def test_the_relativistic_loss_depends_on_differences_alone() -> None:
    real, reconstructed, generated = (draw_gaussian(7, 2, seed=seed) for seed in range(3))
    result = relativistic_loss(real, [reconstructed, generated])
    pairs = ((real, reconstructed, 0), (real, generated, 0), (reconstructed, generated, 1))
    expected = sum(-torch.log(torch.sigmoid(a[:, k] - b[:, k])) for a, b, k in pairs) / 3
    torch.testing.assert_close(result, expected, rtol=1e-12, atol=1e-12)
    shifted = [each + torch.tensor([3.0, -5.0]) for each in (real, reconstructed, generated)]
    torch.testing.assert_close(relativistic_loss(shifted[0], shifted[1:]), result, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(relativistic_loss(real, [real, real]), torch.full((7,), math.log(2)).double())
    mirrored = relativistic_loss(-real, [-reconstructed, -generated])
    logits = [(a[:, k] - b[:, k]) for a, b, k in pairs]
    torch.testing.assert_close(mirrored - result, torch.stack(logits).mean(0), rtol=1e-9, atol=1e-9)


def test_scores_are_logits_of_the_three_classes() -> None:
    """Real images have the largest r; of fakes p tells the origin."""
    scores = torch.tensor([[2.0, 0.3], [-1.0, 0.5], [-1.0, -0.5]])
    assert origin_logits(scores).argmax(1).tolist() == [REAL, RECONSTRUCTED, GENERATED]
    assert origin_logits(scores)[1].tolist() == [-1, 1.5, 0.5]


@pytest.mark.parametrize("loss", ["three", "two", "features"])
def test_a_loss_of_an_image_does_not_depend_on_its_neighbours(loss: str) -> None:
    a, b = draw_gaussian(8, 3), draw_gaussian(8, 3, seed=1)

    def value(a: Tensor, b: Tensor) -> Tensor:
        return {
            "three": lambda: cross_entropy_loss(a, REAL),
            "two": lambda: cross_entropy_loss(a[:, :1], REAL),
            "features": lambda: feature_distance(a, b),
        }[loss]()

    torch.testing.assert_close(value(a, b), torch.cat([value(a[i : i + 1], b[i : i + 1]) for i in range(8)]))


@pytest.mark.parametrize(("form", "size"), LOSS_FORMS)
def test_the_loss_of_an_image_is_the_mean_over_its_patches(form: str, size: int) -> None:
    """One patch alone gives the bits of a score of the whole image."""
    origins = 3 if size == 2 else 2
    patches = [3 * draw_gaussian(5, size, 2, 3, seed=seed) for seed in range(origins)]
    functions = [partial(discriminator_loss, form), partial(generator_loss, form)]
    if form != "relativistic":
        term = cross_entropy_loss if form == "cross_entropy" else hinge_loss
        functions += [lambda scores, origin=origin: term(scores[0], origin) for origin in range(size)]
    functions += [lambda scores: realness(scores[0])]
    for function in functions:
        values = function(patches)
        each = [function([scores[:, :, i, j] for scores in patches]) for i in range(2) for j in range(3)]
        assert values.shape == (5,)
        torch.testing.assert_close(values, torch.stack(each).mean(0), rtol=1e-12, atol=1e-12)
        assert torch.equal(function([scores[:, :, 1:, 2:] for scores in patches]), each[-1])
    heuristic = ada_overfitting_heuristic(form, patches)
    assert heuristic.shape == (5,) and set(heuristic.tolist()) <= {-1, 0, 1}  # of an image, not of its patches
    one = ada_overfitting_heuristic(form, [scores[:, :, :1, :1] for scores in patches])
    assert torch.equal(one, ada_overfitting_heuristic(form, [scores[:, :, 0, 0] for scores in patches]))


def test_predictions_of_patches_are_counted() -> None:
    for size, columns in ((1, 2), (2, 3), (3, 3)):
        scores = draw_gaussian(5, size, 2, 3)
        counts = count_predictions(scores)
        assert counts.shape == (columns,) and counts.sum() == 5 * 6
        each = [count_predictions(scores[:, :, i, j]) for i in range(2) for j in range(3)]
        assert torch.equal(counts, torch.stack(each).sum(0))


def test_values_that_are_not_of_images_are_no_loss() -> None:
    """A mean would hide them."""
    real, fake, average = draw_gaussian(4), draw_gaussian(4, 2, 2), torch.tensor(0.1)
    for call in (
        lambda: lecam_penalty(real, fake, average, average),
        lambda: lecam_penalty(real[:, None], real, average, average),
        lambda: feature_distance(draw_gaussian(4, 3, 2, 2), draw_gaussian(4, 3, 2)),
        lambda: discriminator_loss("hinge", [draw_gaussian(4, 1), draw_gaussian(1, 1)[0, 0].expand(1, 1, 4)]),
        lambda: relativistic_loss(draw_gaussian(4, 1), [draw_gaussian(1, 1, 1, 4).expand(3, 1, 1, 4)]),
    ):
        with pytest.raises((AssertionError, RuntimeError)):
            call().mean()
