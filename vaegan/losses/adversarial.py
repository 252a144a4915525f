"""The adversarial games: two classes (real, fake) and three (real, reconstructed, generated).

Every function takes the discriminator's logits and returns one value per image, so that losses stay means
of per-sample terms.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

REAL, RECONSTRUCTED, GENERATED = range(3)
"""The classes of the three-way discriminator, in the order of its logits."""

NAMES = ("real", "reconstructed", "generated")
"""Their names, in the same order."""

PREDICTED = {2: ("real", "fake"), 3: NAMES}
"""Names of what a discriminator can say, by the number of `predicted_counts`."""

DISCRIMINATOR_WEIGHTS = {"two": (1.0, 0.5, 0.5), "three": (1 / 3, 1 / 3, 1 / 3)}
"""Weight of each origin's term in the discriminator's loss: the two-way game's fakes share one weight, the
three-way game's classes are balanced."""


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


def hinge_loss(logits: Tensor, origin: int) -> Tensor:
    """max(0, 1 - D) of real and max(0, 1 + D) of other images (Lim & Ye 2017; Miyato et al. 2018, eq. 16).

    The generator minimises -D of its fakes (eq. 17), which is `realness` with the sign turned.

    Args:
        logits: Shape (N, 1).
        origin: As of `classification_loss`.

    Returns:
        Shape (N,).
    """
    return F.relu(1 - logits[:, 0] if origin == REAL else 1 + logits[:, 0])


def relativistic_loss(real: Tensor, reconstructed: Tensor, generated: Tensor) -> Tensor:
    """What the discriminator minimises of triples: each image should score above another, and not above a bound.

    softplus(-d), a mean over three differences d of scores: of realness r between a real image and its own
    reconstruction, and between it and a generated image, and of p, posterior against prior, between the reconstructed
    and the generated one (Jolicoeur-Martineau 2019, the pairing of Huang et al. 2024 for three kinds of images). The
    generator minimises the same of the mirrored differences: `relativistic_loss` of the scores with the sign turned.

    Args:
        real: Scores (r, p), shape (N, 2).
        reconstructed: Those of the reconstructions of the same images.
        generated: Those of as many generated images.

    Returns:
        Nats, shape (N,); log 2 where nothing is told apart.
    """
    differences = (
        real[:, 0] - reconstructed[:, 0],
        real[:, 0] - generated[:, 0],
        reconstructed[:, 1] - generated[:, 1],
    )
    return torch.stack([F.softplus(-each) for each in differences]).mean(0)


def class_logits(scores: Tensor) -> Tensor:
    """Scores (r, p) of shape (N, 2) as logits of real, reconstructed, generated: (r, -r + p, -r - p)."""
    realness, posterior = scores.unbind(1)
    return torch.stack([realness, posterior - realness, -realness - posterior], 1)


def realness(logits: Tensor) -> Tensor:
    """Log-odds that the image is real, shape (N,): the logit, or l_real - logsumexp(l_rec, l_gen)."""
    if logits.shape[1] == 1:
        return logits[:, 0]
    return logits[:, REAL] - logits[:, RECONSTRUCTED:].logsumexp(1)


def predicted_counts(logits: Tensor) -> Tensor:
    """How many images the discriminator takes for each class: one row of the confusion matrix.

    Returns:
        int64, shape (3,) of real, reconstructed, generated; or (2,) of real, fake for one logit.
    """
    scores = logits if logits.shape[1] > 1 else torch.cat([logits, torch.zeros_like(logits)], 1)
    classes = torch.arange(scores.shape[1], device=scores.device)
    return (scores.argmax(1, keepdim=True) == classes).sum(0)


def balanced_accuracy(counts: Tensor) -> float:
    """Share of images, balanced over real, reconstructed and generated, whose class the discriminator says.

    Args:
        counts: Shape (3 origins, 3 or 2 predictions); both fakes of a two-way discriminator are class 1.
    """
    right = counts.diagonal() if counts.shape[1] == 3 else counts[[0, 1, 2], [0, 1, 1]]
    return float((right / counts.sum(1)).mean())


def r1_penalty(realness: Tensor, images: Tensor) -> Tensor:
    """1/2 |d realness / d image|^2 of each real image (Mescheder et al. 2018, eq. 9).

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
