"""The adversarial games: two classes (real, fake) and three (real, reconstructed, generated).

Every function takes the discriminator's scores of images and returns one value per image, so that losses stay means
of per-sample terms. The number of scores says which game it is: one, D, of real against fake; three, the logits of the
classes in the order of `CLASS_NAMES`; or two, (r, p), of real against fake and of reconstructed against generated.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from vaegan.config.models import AdversarialLoss

REAL, RECONSTRUCTED, GENERATED = range(3)
"""The classes of the three-way discriminator, in the order of its logits."""

CLASS_NAMES = ("real", "reconstructed", "generated")
"""Their names, in the same order."""

PREDICTED_NAMES = {2: ("real", "fake"), 3: CLASS_NAMES}
"""Names of what a discriminator can say, by the number of `count_predictions`."""

ORIGIN_NAMES = {2: ("real", "generated"), 3: CLASS_NAMES}
"""Names of what a discriminator is shown, by how many kinds that are."""


def discriminator_loss(game: AdversarialLoss, scores: Sequence[Tensor]) -> Tensor:
    """What the discriminator minimises.

    A mean over the classes where there are three; of one score the real images' loss and the mean of the fakes'.

    Args:
        game: The form of the loss.
        scores: Of N real images, and of N fakes of each kind in the order of the classes, each of shape (N, 1 to 3).

    Returns:
        Shape (N,).
    """
    real, *fakes = scores
    if game == "relativistic":
        return relativistic_loss(real, fakes)
    term = classification_loss if game == "cross_entropy" else hinge_loss
    terms = torch.stack([term(each, origin) for origin, each in enumerate(scores)])
    return terms.mean(0) if real.shape[1] == len(CLASS_NAMES) else terms[REAL] + terms[1:].mean(0)


def generator_loss(game: AdversarialLoss, scores: Sequence[Tensor]) -> Tensor:
    """What the generator minimises, a mean over the kinds of fakes; all of them are drawn to real.

    The non-saturating cross-entropy (Goodfellow et al. 2014, section 3), the hinge game's -`margin`
    (Miyato et al. 2018, eq. 17), or the relativistic loss of the mirrored differences.

    Args:
        game: The form of the loss.
        scores: As of `discriminator_loss`; those of real images matter to relativistic games only.

    Returns:
        Shape (N,).
    """
    real, *fakes = scores
    if game == "relativistic":
        return relativistic_loss(-real, [-each for each in fakes])
    if game == "cross_entropy":
        return torch.stack([classification_loss(each, REAL) for each in fakes]).mean(0)
    return torch.stack([-margin(each, REAL) for each in fakes]).mean(0)


def classification_loss(logits: Tensor, origin: int) -> Tensor:
    """-log p(origin | image), what the discriminator minimises of every image.

    With three logits p is their softmax. With one logit D it is sigmoid(D) of a real and sigmoid(-D) of a
    reconstructed or generated image (Goodfellow et al. 2014, eq. 1, with the fakes of Larsen et al. 2016, eq. 8).
    The generator minimises the same loss of its fakes with ``origin=REAL`` (the non-saturating form).

    Args:
        logits: Shape (N, 3), in the order real, reconstructed, generated; or (N, 1).
        origin: `REAL`, `RECONSTRUCTED` or `GENERATED`.

    Returns:
        Nats, shape (N,).
    """
    if logits.shape[1] == 1:
        return F.softplus(-logits[:, 0] if origin == REAL else logits[:, 0])
    return -F.log_softmax(logits, dim=1)[:, origin]


def margin(scores: Tensor, origin: int) -> Tensor:
    """By how much the right class leads: D of real and -D of other images, or l_origin - max of the others, (N,)."""
    if scores.shape[1] == 1:
        return scores[:, 0] if origin == REAL else -scores[:, 0]
    others = [scores[:, other] for other in range(scores.shape[1]) if other != origin]
    return scores[:, origin] - torch.stack(others).amax(0)


def hinge_loss(scores: Tensor, origin: int) -> Tensor:
    """max(0, 1 - `margin`), shape (N,).

    With one score that of Lim & Ye 2017 and Miyato et al. 2018, eq. 16; with three the multi-class hinge loss of
    Crammer & Singer 2001, as Kavalerov et al. 2021, eq. 5, play it.
    """
    return F.relu(1 - margin(scores, origin))


def relativistic_loss(real: Tensor, fakes: Sequence[Tensor]) -> Tensor:
    """softplus(-d), a mean over differences d of scores: an image should score above another, and not above a bound.

    The differences are those of r between each real image and a fake of each kind, the first of which is its own
    reconstruction, and with two scores that of p between the reconstructed and the generated one (Jolicoeur-Martineau
    2019, the pairing of Huang et al. 2024 for three kinds of images).

    Args:
        real: Scores (r) or (r, p), shape (N, 1) or (N, 2).
        fakes: Those of N fakes of each kind.

    Returns:
        Nats, shape (N,); log 2 where nothing is told apart.
    """
    differences = [real[:, 0] - each[:, 0] for each in fakes]
    if real.shape[1] == 2:
        reconstructed, generated = fakes
        differences.append(reconstructed[:, 1] - generated[:, 1])
    return F.softplus(-torch.stack(differences)).mean(0)


def class_logits(scores: Tensor) -> Tensor:
    """Scores as logits of what they tell apart.

    Args:
        scores: Shape (N, 1 to 3).

    Returns:
        (D, 0) of real, fake; or of real, reconstructed, generated (r, -r + p, -r - p), or the three as they are.
        A relativistic game learns differences of D, or r, between images alone, and where their zero lies is luck.
    """
    if scores.shape[1] == 1:
        return torch.cat([scores, torch.zeros_like(scores)], 1)
    if scores.shape[1] == 2:
        realness, posterior = scores.unbind(1)
        return torch.stack([realness, posterior - realness, -realness - posterior], 1)
    return scores


def realness(scores: Tensor) -> Tensor:
    """How real an image is, shape (N,): D, r, or the log-odds l_real - logsumexp(l_rec, l_gen)."""
    if scores.shape[1] == len(CLASS_NAMES):
        return scores[:, REAL] - scores[:, RECONSTRUCTED:].logsumexp(1)
    return scores[:, 0]


def ada_overfitting_heuristic(game: AdversarialLoss, scores: Sequence[Tensor]) -> Tensor:
    """1 where the discriminator is right about a real image, -1 where it is not (Karras et al. 2020, eq. 1, r_t).

    That is the sign of its `realness`, and in a relativistic game, where only differences mean something, a mean of the
    signs of those from the fakes; arguments as of `discriminator_loss`, shape (N,).
    """
    real, *fakes = (realness(each) for each in scores)
    if game == "relativistic":
        return torch.stack([(real - each).sign() for each in fakes]).mean(0)
    return real.sign()


def lecam_penalty(real: Tensor, fake: Tensor, real_average: Tensor, fake_average: Tensor) -> Tensor:
    """(D(x) - a_fake)^2 + (D(x') - a_real)^2, where a are averages of D over the past (Tseng et al. 2021, eq. 5).

    Args:
        real: `realness` of real images, shape (N,).
        fake: That of fakes, shape (N,).
        real_average: What `real` was on average, a scalar.
        fake_average: What `fake` was on average, a scalar.

    Returns:
        Shape (N,).
    """
    return (real - fake_average).square() + (fake - real_average).square()


def count_predictions(scores: Tensor) -> Tensor:
    """How many images the discriminator takes for each class: one row of the confusion matrix.

    Args:
        scores: Shape (N, 1 to 3).

    Returns:
        int64, shape (3,) of real, reconstructed, generated; or (2,) of real, fake for one score.
    """
    logits = class_logits(scores)
    return (logits.argmax(1, keepdim=True) == torch.arange(logits.shape[1], device=logits.device)).sum(0)


def balanced_accuracy(counts: Tensor) -> float:
    """Share of images, balanced over their origins, whose class the discriminator says.

    Args:
        counts: Shape (3 or 2 origins, 3 or 2 predictions); all fakes of a two-way discriminator are class 1.
    """
    origins = torch.arange(len(counts), device=counts.device)
    right = counts[origins, origins.clamp_max(counts.shape[1] - 1)]
    return float((right / counts.sum(1)).mean())


def gradient_penalty(realness: Tensor, images: Tensor) -> Tensor:
    """1/2 |d realness / d image|^2: R1 of real images, R2 of fakes (Mescheder et al. 2018, eq. 9 and 10).

    Args:
        realness: Shape (N,), of `images`, with its graph.
        images: Shape (N, C, S, S), requiring a gradient.

    Returns:
        Shape (N,), differentiable by the discriminator's parameters.
    """
    (slope,) = torch.autograd.grad(realness.sum(), images, create_graph=True)
    return 0.5 * slope.square().flatten(1).sum(1)


def feature_distance(real: Tensor, fake: Tensor) -> Tensor:
    """Learned similarity: 1/2 mean squared distance of two images' features, shape (N,).

    The negative log-likelihood of Larsen et al. 2016, eq. 7, up to its constant, per feature.
    """
    return 0.5 * (real - fake).square().flatten(1).mean(1)
