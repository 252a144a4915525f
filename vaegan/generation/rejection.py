"""The choice among several draws of each image: those under a threshold are drawn again."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vaegan.images import to_float, to_uint8
from vaegan.losses.adversarial import realness
from vaegan.models.autoencoder import Sampler
from vaegan.nearest_images import find_nearest_distances_and_indices
from vaegan.precision import full_precision
from vaegan.randomness import derive_seed

PILOT_ROWS = 1000
"""Draws that the threshold is measured on."""
MAX_DRAWS = 100
"""Most draws of an image; if all of them are rejected, the one of the best score is kept."""

Score = Callable[[Tensor, Tensor | None], Tensor]
"""Returns the score of each image, float64, shape (N,), the larger, the better, of pixels, uint8, shape (N, C, S, S),
and their classes, int64, shape (N,), or None."""


@dataclass(frozen=True)
class Rejection:
    """A score, and the threshold under which a draw is rejected."""

    score: Score
    threshold: float


def draw_rows(sampler: Sampler, rows: range, label: int | None, rejection: Rejection | None) -> Tensor:
    """Draw the images of some rows, uint8, shape (n, C, S, S), on the CPU.

    Image i depends only on the seed, i, its class and the rejection. Its further draws are those of other seeds, which
    are functions of the sampler's and of their number.

    Args:
        sampler: The model, the seed and the density.
        rows: The rows.
        label: Class of all of them; None: image i of a conditional model is of class i modulo its classes.
        rejection: Rejection of draws; None: the first one is kept.
    """
    model = sampler.model
    labels = sampler.get_labels(rows.start, rows.stop, label)
    pixels = _draw(sampler, rows, labels, torch.arange(len(rows)))
    if rejection is None:
        return pixels.cpu()
    scores = rejection.score(pixels, labels)
    for number in range(1, MAX_DRAWS):
        pending = (scores < rejection.threshold).nonzero()[:, 0]
        if not len(pending):
            break
        further = Sampler(model, derive_seed(sampler.seed, "draw", number), sampler.density)
        drawn = _draw(further, rows, labels, pending)
        found = rejection.score(drawn, None if labels is None else labels[pending])
        better = found > scores[pending]
        pixels[pending[better]], scores[pending[better]] = drawn[better], found[better]
    return pixels.cpu()


def measure_threshold(sampler: Sampler, label: int | None, score: Score, share: float, batch_size: int) -> float:
    """Measure the score under which a share of the draws lies, the quantile over `PILOT_ROWS` draws of another seed.

    Args:
        sampler: The model, the seed and the density.
        label: Class of all draws; None: the classes of a conditional model in turn.
        score: The score.
        share: Share of the draws, between 0 and 1.
        batch_size: Images at a time.
    """
    pilot = Sampler(sampler.model, derive_seed(sampler.seed, "pilot"), sampler.density)
    scores = []
    for start in range(0, PILOT_ROWS, batch_size):
        rows = range(start, min(start + batch_size, PILOT_ROWS))
        labels = pilot.get_labels(rows.start, rows.stop, label)
        scores.append(score(_draw(pilot, rows, labels, torch.arange(len(rows))), labels).cpu())
    return float(torch.cat(scores).quantile(share))


def make_realness_score(discriminator: nn.Module) -> Score:
    """Return the score that a discriminator gives, its log-odds of being real.

    Args:
        discriminator: Discriminator of the model's run, in evaluation mode.
    """

    @torch.no_grad()
    def score(pixels: Tensor, labels: Tensor | None) -> Tensor:
        parameter = next(discriminator.parameters())
        images = to_float(pixels.to(parameter.device), parameter.dtype)
        with full_precision(parameter.device, deterministic=False):
            return realness(discriminator(images, labels=labels).scores).double()

    return score


def make_distance_score(compute_features: Callable[[Tensor], Tensor], training: Tensor) -> Score:
    """Return the score that is minus the distance to the nearest training image in features.

    Args:
        compute_features: Returns the features, shape (N, d), of images (N, C, S, S) in [-1, 1].
        training: Features of the training images, shape (M, d).
    """

    @torch.no_grad()
    def score(pixels: Tensor, labels: Tensor | None) -> Tensor:
        features = compute_features(to_float(pixels))
        return -find_nearest_distances_and_indices(features, training.to(features.device))[0]

    return score


@torch.no_grad()
def _draw(sampler: Sampler, rows: range, labels: Tensor | None, wanted: Tensor) -> Tensor:
    """Draw the images at some places of rows, uint8, on the model's device."""
    with full_precision(next(sampler.model.parameters()).device, deterministic=False):
        codes = sampler.draw_codes(rows.start, rows.stop, labels)
        return to_uint8(sampler.model.decode(codes[wanted], None if labels is None else labels[wanted]))
