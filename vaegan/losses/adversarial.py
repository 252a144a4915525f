"""Adversarial losses of two-way (real, fake) and three-way (real, reconstructed, generated) discriminators.

Every loss takes the discriminator's scores of images and returns one value per image, so that a loss stays a mean
of per-sample terms. The number of scores of an image tells the discriminators apart: one score D, real against fake;
three logits in the order of `ORIGINS`; or two scores (r, p), real against fake and reconstructed against generated.
A discriminator of patches gives them for each of P = h w patches, shape (N, k, h, w), and several discriminators of an
image and its features one after another, shape (N, k, P); a value of an image is then the mean over its patches.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from . import AdversarialLoss
from .per_image import assert_per_image

REAL, RECONSTRUCTED, GENERATED = range(3)
"""Origins of an image, as the indices of the three-way discriminator's logits."""

ORIGINS = ("real", "reconstructed", "generated")
"""Names of the origins, in the order of the three-way discriminator's logits."""

CONFUSION_COLUMNS = {2: ("real", "fake"), 3: ORIGINS}
"""Predictions of a discriminator, by the number of columns of its confusion matrix."""


def discriminator_loss(form: AdversarialLoss, scores: Sequence[Tensor]) -> Tensor:
    """Compute the discriminator's loss, shape (N,).

    Three logits: the mean of the terms of the three origins. One score: the term of the real images plus the mean of
    the terms of the fakes. The relativistic loss compares the images of different origins.

    Args:
        form: Form of the loss.
        scores: Scores of N real images, then of N fakes of each origin in the order of `ORIGINS`, each of shape
            (N, 1 to 3).
    """
    real, *fakes = scores
    if form == "relativistic":
        return relativistic_loss(real, fakes)
    term = cross_entropy_loss if form == "cross_entropy" else hinge_loss
    terms = torch.stack([term(origin_scores, origin) for origin, origin_scores in enumerate(scores)])
    loss = terms.mean(0) if real.shape[1] == len(ORIGINS) else terms[REAL] + terms[1:].mean(0)
    return assert_per_image(loss, real)


def generator_loss(form: AdversarialLoss, scores: Sequence[Tensor]) -> Tensor:
    """Compute the generator's loss, a mean over the origins of the fakes, all of which are to look real, shape (N,).

    The non-saturating cross-entropy (Goodfellow et al. 2014, section 3), -`margin` of the hinge loss
    (Miyato et al. 2018, eq. 17), or the relativistic loss with the signs of the differences reversed.

    Args:
        form: Form of the loss.
        scores: Scores of N real images, then of N fakes of each origin in the order of `ORIGINS`, each of shape
            (N, 1 to 3); only the relativistic loss uses those of real images.
    """
    real, *fakes = scores
    if form == "relativistic":
        return relativistic_loss(-real, [-fake for fake in fakes])
    if form == "cross_entropy":
        return torch.stack([cross_entropy_loss(fake, REAL) for fake in fakes]).mean(0)
    return assert_per_image(torch.stack([average_patches(-margin(fake, REAL)) for fake in fakes]).mean(0), real)


def cross_entropy_loss(logits: Tensor, origin: int) -> Tensor:
    """Compute -log p(origin | image) in nats, shape (N,), which the discriminator minimises for every image.

    With three logits p is their softmax. With one logit D it is sigmoid(D) of a real and sigmoid(-D) of a
    reconstructed or generated image (Goodfellow et al. 2014, eq. 1, with the fakes of Larsen et al. 2016, eq. 8).
    The generator minimises the same loss of its fakes with ``origin=REAL`` (the non-saturating form).

    Args:
        logits: Shape (N, 3), in the order real, reconstructed, generated; or (N, 1); with patches (N, 3 or 1, h, w).
        origin: `REAL`, `RECONSTRUCTED` or `GENERATED`.
    """
    if logits.shape[1] == 1:
        values = F.softplus(-logits[:, 0] if origin == REAL else logits[:, 0])
    else:
        values = -F.log_softmax(logits, dim=1)[:, origin]
    return assert_per_image(average_patches(values), logits)


def margin(scores: Tensor, origin: int) -> Tensor:
    """Compute the lead of the right origin: D of real and -D of other images, or l_origin - max l_other.

    Args:
        scores: Shape (N, 3), in the order real, reconstructed, generated; or (N, 1); with patches (N, 3 or 1, h, w).
        origin: `REAL`, `RECONSTRUCTED` or `GENERATED`.

    Returns:
        The lead of each image, shape (N,), or of each of its patches, shape (N, h, w).
    """
    if scores.shape[1] == 1:
        return scores[:, 0] if origin == REAL else -scores[:, 0]
    others = [scores[:, other] for other in range(scores.shape[1]) if other != origin]
    return scores[:, origin] - torch.stack(others).amax(0)


def hinge_loss(scores: Tensor, origin: int) -> Tensor:
    """Compute max(0, 1 - `margin`), shape (N,).

    With one score it is the loss of Lim & Ye 2017 and Miyato et al. 2018, eq. 16; with three the multi-class hinge loss
    of Crammer & Singer 2001, as in Kavalerov et al. 2021, eq. 5.

    Args:
        scores: Shape (N, 3), in the order real, reconstructed, generated; or (N, 1).
        origin: `REAL`, `RECONSTRUCTED` or `GENERATED`.
    """
    return assert_per_image(average_patches(F.relu(1 - margin(scores, origin))), scores)


def relativistic_loss(real: Tensor, fakes: Sequence[Tensor]) -> Tensor:
    """Compute softplus(-d) in nats, a mean over differences d of scores, shape (N,); log 2 where all scores are equal.

    An image should score above another, not above a bound. The differences are r(x) - r(x') of each real image x and a
    fake x' of each origin, the first of which is its own reconstruction, and with two scores p(x_rec) - p(x_gen)
    (Jolicoeur-Martineau 2019; the pairing is that of Huang et al. 2024, for three origins).

    Args:
        real: Scores (r) or (r, p) of N real images, shape (N, 1) or (N, 2).
        fakes: Scores of N fakes of each origin, each of the same shape.
    """
    differences = [real[:, 0] - fake[:, 0] for fake in fakes]
    if real.shape[1] == 2:
        reconstructed, generated = fakes
        differences.append(reconstructed[:, 1] - generated[:, 1])
    return assert_per_image(average_patches(F.softplus(-torch.stack(differences)).mean(0)), real)


def origin_logits(scores: Tensor) -> Tensor:
    """Return the logits of the origins that scores tell apart.

    Args:
        scores: Shape (N, 1 to 3).

    Returns:
        (D, 0) of real and fake, shape (N, 2); or (r, -r + p, -r - p) of real, reconstructed and generated, or the three
        logits as they are, shape (N, 3). A relativistic loss trains only differences of D, or r, between images, so
        that the zero of D or r, and with it the predictions, are arbitrary.
    """
    if scores.shape[1] == 1:
        return torch.cat([scores, torch.zeros_like(scores)], 1)
    if scores.shape[1] == 2:
        r, p = scores.unbind(1)
        return torch.stack([r, p - r, -r - p], 1)
    return scores


def realness(scores: Tensor) -> Tensor:
    """Compute the realness of images, shape (N,): D, r, or the log-odds l_real - logsumexp(l_rec, l_gen).

    Args:
        scores: Shape (N, 1 to 3), or (N, 1 to 3, h, w).
    """
    return assert_per_image(average_patches(compute_realness_map(scores)), scores)


def compute_realness_map(scores: Tensor) -> Tensor:
    """Compute the `realness` of each patch, shape (N, h, w), or of images without patches, shape (N,).

    Args:
        scores: Shape (N, 1 to 3, h, w), or (N, 1 to 3).
    """
    if scores.shape[1] == len(ORIGINS):
        return scores[:, REAL] - scores[:, RECONSTRUCTED:].logsumexp(1)
    return scores[:, 0]


def average_patches(values: Tensor) -> Tensor:
    """Return the mean over the patches of each image, shape (N,).

    Args:
        values: Shape (N, h, w), or (N,) without patches, which is returned as it is.
    """
    return values if values.ndim == 1 else values.flatten(1).mean(1)


def ada_overfitting_heuristic(form: AdversarialLoss, scores: Sequence[Tensor]) -> Tensor:
    """Compute the sign of the realness of real images, shape (N,), whose mean is r_t (Karras et al. 2020, eq. 1).

    It is 1 where the discriminator classifies a real image correctly and -1 where it does not. Under the relativistic
    loss, where only differences have a meaning, it is a mean of the signs of the differences from the fakes.

    Args:
        form: Form of the loss.
        scores: Scores of N real images, then of N fakes of each origin, each of shape (N, 1 to 3).
    """
    real, *fakes = (realness(origin_scores) for origin_scores in scores)
    if form == "relativistic":
        return torch.stack([(real - fake).sign() for fake in fakes]).mean(0)
    return real.sign()


def lecam_penalty(real: Tensor, fake: Tensor, real_average: Tensor, fake_average: Tensor) -> Tensor:
    """Compute (D(x) - a_fake)^2 + (D(x') - a_real)^2, shape (N,), with averages a of D (Tseng et al. 2021, eq. 5).

    Args:
        real: `realness` of real images x, shape (N,).
        fake: `realness` of fakes x', shape (N,).
        real_average: Moving average of `real` over the steps before, a scalar.
        fake_average: Moving average of `fake` over the steps before, a scalar.
    """
    assert real.shape == fake.shape == (len(real),)
    return (real - fake_average).square() + (fake - real_average).square()


def count_predictions(scores: Tensor) -> Tensor:
    """Count the images, or patches, that the discriminator assigns to each origin, one row of the confusion matrix.

    Args:
        scores: Shape (N, 1 to 3), or (N, 1 to 3, h, w).

    Returns:
        Counts of real, reconstructed, generated, int64, shape (3,); or of real, fake, shape (2,), for one score.
    """
    logits = origin_logits(scores)
    predictions = logits.argmax(1).flatten()
    return (predictions[:, None] == torch.arange(logits.shape[1], device=logits.device)).sum(0)


def balanced_accuracy(counts: Tensor) -> float:
    """Compute the fraction of images that are classified correctly, a mean over their origins, in [0, 1].

    Args:
        counts: Confusion matrix, shape (3 or 2 origins, 3 or 2 predictions); the right prediction for all fakes of a
            two-way discriminator is 1.
    """
    origins = torch.arange(len(counts), device=counts.device)
    correct = counts[origins, origins.clamp_max(counts.shape[1] - 1)]
    return float((correct / counts.sum(1)).mean())


def gradient_penalty(realness: Tensor, images: Tensor, signs: Tensor | None = None, packing: int = 1) -> Tensor:
    """Compute 1/2 |d realness / d image|^2, shape (N,); with patches an unbiased estimate of their mean.

    R1 is that of real images, R2 that of fakes (Mescheder et al. 2018, eq. 9 and 10). Each patch p counts as a
    discriminator of its own, with the penalty 1/2 |d r_p|^2. The mean over P patches is the expectation of
    1/2 |d sum_p s_p r_p|^2 / P over independent signs s_p, since the products of different patches vanish in it
    (Hutchinson 1990). The penalty of the mean realness would be about P times too weak: 75 to 91 times at 64 patches
    of an untrained network. P times that penalty would contain the products of patches that share pixels, and was 0.70
    to 0.85 of the mean.

    Args:
        realness: Realness of `images`, with its graph, shape (N,), or that of each patch, shape (N, h, w).
        images: Images that require a gradient, shape (N, C, S, S).
        signs: 1 or -1 for each patch, shape (N, h, w); None: there are no patches.
        packing: Number of consecutive images that share one score. The score counts once, and its penalty is that of
            their gradients together.

    Returns:
        The penalty of each image, with a graph to the discriminator's parameters.
    """
    patches, scored = realness[0].numel(), realness if signs is None else signs * realness
    (gradient,) = torch.autograd.grad(scored[::packing].sum(), images, create_graph=True)
    squares = gradient.square().flatten(1).sum(1).view(-1, packing).sum(1).repeat_interleave(packing)
    return assert_per_image(0.5 * squares / patches, realness)


def feature_distance(real: Tensor, fake: Tensor) -> Tensor:
    """Compute 1/2 the mean squared distance of two images' features, shape (N,): the learned similarity.

    It is the negative log-likelihood of Larsen et al. 2016, eq. 7, up to its constant, per feature.

    Args:
        real: Features of N real images, shape (N, ...).
        fake: Features of their N counterparts, shape (N, ...).
    """
    assert real.shape == fake.shape
    return 0.5 * F.mse_loss(fake, real, reduction="none").flatten(1).mean(1)
