"""Anomaly scores of images by a trained model: the larger, the less an image is like those that it was trained on."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vaegan.config.objectives import ELBOConfig
from vaegan.errors import UserError
from vaegan.images import lay_on_white, to_float, to_pil
from vaegan.losses.adversarial import feature_distance, realness
from vaegan.losses.discrete_likelihood import log_probability
from vaegan.losses.elbo import kl_standard_normal
from vaegan.losses.perceptual import lpips_distance, lpips_map
from vaegan.models import VQVAE, Autoencoder, Classifier, Flow, PixelCNN, Posterior
from vaegan.models.density import MAX_CODE_SIZE, Density
from vaegan.models.inputs import Labels
from vaegan.randomness import draw_normal

POSTERIOR_DRAWS = 16
"""Draws of each image's posterior, of which `elbo` is the mean and `iwae` the importance-weighted mean."""


@dataclass(frozen=True)
class Judges:
    """Networks and densities beside the model, each of which the score of the same name needs."""

    lpips: nn.Module | None = None
    """Network of `vaegan.losses.perceptual`."""
    features: Classifier | None = None
    """Classifier of images of the model's shape."""
    code: Density | None = None
    """Density fitted to the codes of the training images (`vaegan.density_fitting.fit_density_to_images`)."""
    realness: nn.Module | None = None
    """Discriminator of the same run (`vaegan.storage.loading.load_discriminator`)."""


class ScoredImages:
    """Images and what several scores need of them, each computed when first used.

    Args:
        model: Model in evaluation mode.
        pixels: uint8, shape (N, C, S, S).
        judges: Networks and densities beside the model.
        labels: Class of each image, int64, shape (N,), or one class of all; None: the model is unconditional.

    Raises:
        UserError: The pixels are not uint8.
    """

    def __init__(self, model: Autoencoder, pixels: Tensor, judges: Judges, labels: Labels = None) -> None:
        if pixels.dtype != torch.uint8:
            raise UserError(f"pixels: {pixels.dtype}; scores are of 8-bit images, so give uint8, as to_uint8 makes")
        weight = next(model.parameters())
        self.model, self.judges, self.labels = model, judges, model.check_labels(labels, len(pixels))
        self.pixels = pixels.to(weight.device)
        self.real = to_float(self.pixels, weight.dtype)

    @cached_property
    def posterior(self) -> Posterior:
        """Posterior over the codes, shape (N, d)."""
        return self.model.encode(self.real, self.labels)

    @cached_property
    def reconstruction(self) -> Tensor:
        """Decoded posterior means, shape (N, C, S, S) in [-1, 1]."""
        return self.model.decode(self.posterior.mean, self.labels)

    @cached_property
    def log_weights(self) -> tuple[Tensor, Tensor]:
        """log P(x | z) and log p(z) / q(z | x) in nats, float64, each of shape (`POSTERIOR_DRAWS`, N).

        The noise of draw k is the same for all images, so that a score depends on its image alone.
        """
        config = self.model.trained_config
        assert isinstance(config, ELBOConfig), "checked by check_score"
        likelihoods, ratios = list[Tensor](), list[Tensor]()
        for draw in range(POSTERIOR_DRAWS):
            noise = draw_normal((self.model.code_size,), 0, "anomaly", draw).to(self.real)
            codes = self.posterior.sample(noise.expand_as(self.posterior.mean))
            mean = self.model.decode(codes, self.labels)
            likelihood = log_probability(self.pixels, mean, config.likelihood, config.scale)
            log_variance = self.posterior.log_variance.double()
            ratios.append(0.5 * (noise.double().square() + log_variance - codes.double().square()).sum(1))
            likelihoods.append(likelihood.flatten(1).sum(1))
        return torch.stack(likelihoods), torch.stack(ratios)


def negative_elbo(images: ScoredImages) -> Tensor:
    """Compute KL(q(z | x) || N(0, I)) - mean log P(x | z) in nats, shape (N,) (Kingma & Welling 2014, eq. 3)."""
    posterior = images.posterior
    divergence = kl_standard_normal(posterior.mean.double(), posterior.log_variance.double()).sum(1)
    return divergence - images.log_weights[0].mean(0)


def negative_importance_bound(images: ScoredImages) -> Tensor:
    """Compute -log 1/K sum P(x | z_k) p(z_k) / q(z_k | x) in nats, shape (N,) (Burda et al. 2016, eq. 8)."""
    likelihoods, ratios = images.log_weights
    return math.log(POSTERIOR_DRAWS) - (likelihoods + ratios).logsumexp(0)


def complexity_corrected_elbo(images: ScoredImages) -> Tensor:
    """Compute the bits that the model needs for an image beyond those of a PNG file, shape (N,).

    S(x) = -log2 p(x) - L(x) with the length L of a lossless compressor (Serra et al. 2020, section 4, for whole images
    where they divide both by the number of values).
    """
    return negative_elbo(images) / math.log(2) - count_png_bits(images.pixels).to(images.pixels.device)


def count_png_bits(pixels: Tensor) -> Tensor:
    """Count the bits of each image as a PNG file: uint8 (N, C, S, S) => float64 (N,), on the CPU."""
    bits = []
    for image in pixels:
        contents = BytesIO()
        to_pil(image).save(contents, "png", optimize=True)
        bits.append(8.0 * contents.tell())
    return torch.tensor(bits, dtype=torch.float64)


def pixel_error(images: ScoredImages) -> Tensor:
    """Compute the mean squared error of the reconstructions, in the square of the units of [-1, 1], shape (N,)."""
    return pixel_error_map(images).double().mean((1, 2))


def lpips_error(images: ScoredImages) -> Tensor:
    """Compute the LPIPS of images and their reconstructions, shape (N,)."""
    assert images.judges.lpips is not None
    return lpips_distance(images.judges.lpips, images.real, images.reconstruction).double()


def feature_error(images: ScoredImages) -> Tensor:
    """Compute half the mean squared distance of images and reconstructions in a classifier's features, shape (N,)."""
    classifier = images.judges.features
    assert classifier is not None
    real, fake = (classifier.features(each.float()) for each in (images.real, images.reconstruction))
    return feature_distance(real, fake).double()


def negative_code_density(images: ScoredImages) -> Tensor:
    """Compute -log p(code) in nats, shape (N,).

    The code is the posterior mean, and p the density fitted to the codes of the training images, which approximates the
    aggregate posterior; a PixelCNN has its own, of the indices.
    """
    if isinstance(images.model, PixelCNN):
        return images.model.prior_nll(images.model.encode_indices(images.real)).double()
    assert images.judges.code is not None
    return -images.judges.code.compute_log_probability(images.posterior.mean.double())


def negative_realness(images: ScoredImages) -> Tensor:
    """Compute the discriminator's log-odds against being real, shape (N,)."""
    discriminator = images.judges.realness
    assert discriminator is not None
    return -realness(discriminator(images.real, labels=images.labels).scores).double()


SCORES: dict[str, Callable[[ScoredImages], Tensor]] = {
    "elbo": negative_elbo, "iwae": negative_importance_bound, "elbo_complexity": complexity_corrected_elbo,
    "pixels": pixel_error, "lpips": lpips_error, "features": feature_error, "code": negative_code_density,
    "realness": negative_realness,
}  # fmt: skip
"""Scores by name."""
LIKELIHOOD_SCORES = ("elbo", "iwae", "elbo_complexity")
"""Scores that are bounds of the log-probability of 8-bit images."""
UNITS = {"elbo": "nats", "iwae": "nats", "elbo_complexity": "bits", "code": "nats", "realness": "log-odds"}
"""Unit of each score that has one."""


def check_score(name: str, model: Autoencoder) -> None:
    """Check that a model's family can have a score.

    Raises:
        UserError: There is no such score, or the family cannot have it.
    """
    if name not in SCORES:
        raise UserError(f"score {name}: no such score; allowed: {', '.join(SCORES)}")
    config, family = model.trained_config, type(model).__name__
    if name in LIKELIHOOD_SCORES and not (isinstance(config, ELBOConfig) and config.likelihood != "bernoulli"):
        raise UserError(f"score {name}: this {family} has no likelihood of 8-bit images; use pixels or features")
    if name == "code" and isinstance(model, VQVAE):
        raise UserError(f"score {name}: codes of a VQVAE have no density; use pixels, or train a PixelCNN over them")
    if name == "code" and isinstance(model, Flow):
        raise UserError(f"score {name}: a flow has no density of codes to read; use the run of its autoencoder")
    if name == "code" and isinstance(model, PixelCNN) and model.classes is not None:
        raise UserError(f"score {name}: this PixelCNN knows codes by their class alone; use pixels, or one without")
    if name == "code" and not isinstance(model, PixelCNN) and model.code_size > MAX_CODE_SIZE:
        problem = f"codes of {model.code_size:,} dimensions, and a density is fitted to {MAX_CODE_SIZE:,} at most"
        raise UserError(f"score {name}: {problem}; use pixels or features")


@torch.no_grad()
def compute_anomaly_scores(
    names: Sequence[str], model: Autoencoder, pixels: Tensor, judges: Judges | None = None, labels: Labels = None
) -> dict[str, Tensor]:
    """Compute anomaly scores of images, each of which depends on its image alone.

    Args:
        names: Names of `SCORES`.
        model: Model in evaluation mode.
        pixels: uint8, shape (N, C, S, S).
        judges: What the scores lpips, features, code and realness need beside the model; None: none is named.
        labels: Class of each image, int64, shape (N,), or one class of all; None: the model is unconditional.

    Returns:
        Scores by name, float64, shape (N,); the larger, the more anomalous.

    Raises:
        UserError: The model's family cannot have a score, its judge is missing, or the labels or the pixels are not the
            model's.
    """
    images = _prepare(names, model, pixels, judges, labels)
    return {name: SCORES[name](images) for name in names}


def compute_anomaly_maps(
    name: str, model: Autoencoder, pixels: Tensor, judges: Judges | None = None, labels: Labels = None
) -> Tensor:
    """Compute where images are anomalous, values at least 0, float32, shape (N, S, S).

    Of `features` and `lpips` it is the distance from the reconstruction at each place of their features, enlarged; of
    `code` and `realness`, which are not sums over places, the size of the score's gradient at each pixel (Zimmerer et
    al. 2019, section 2.3); of all others the squared error of the reconstruction.

    Args:
        name: A name of `SCORES`.
        model: Model in evaluation mode.
        pixels: uint8, shape (N, C, S, S).
        judges: What the score needs beside the model.
        labels: Class of each image, int64, shape (N,), or one class of all; None: the model is unconditional.

    Raises:
        UserError: The model's family cannot have the score, its judge is missing, or the labels are not the model's.
    """
    images = _prepare([name], model, pixels, judges, labels)
    if name in ("code", "realness") and not isinstance(model, PixelCNN):
        return gradient_map(images, SCORES[name])
    with torch.no_grad():
        if name == "lpips" and images.judges.lpips is not None:
            return lpips_map(images.judges.lpips, images.real, images.reconstruction)
        if name == "features" and images.judges.features is not None:
            return feature_error_map(images, images.judges.features)
        return pixel_error_map(images).float()


def pixel_error_map(images: ScoredImages) -> Tensor:
    """Compute the squared error of each pixel's reconstruction, a mean over the channels, shape (N, S, S)."""
    real, fake = (lay_on_white(each) for each in (images.real, images.reconstruction))
    return (real - fake).square().mean(1)


def feature_error_map(images: ScoredImages, classifier: Classifier) -> Tensor:
    """Compute the squared distance from the reconstruction at each place of a classifier's last layer, (N, S, S)."""
    real, fake = (classifier.trunk(each.float())[-1] for each in (images.real, images.reconstruction))
    distances = (real - fake).square().mean(1, keepdim=True)
    return F.interpolate(distances, images.real.shape[-2:], mode="bilinear")[:, 0]


def gradient_map(images: ScoredImages, score: Callable[[ScoredImages], Tensor]) -> Tensor:
    """Compute the size of a score's gradient at each pixel, the largest of its channels, shape (N, S, S)."""
    images.real.requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(score(images).sum(), images.real)
    return gradient.abs().amax(1).float()


def _prepare(
    names: Sequence[str], model: Autoencoder, pixels: Tensor, judges: Judges | None, labels: Labels
) -> ScoredImages:
    judges = judges or Judges()
    for name in names:
        check_score(name, model)
        own = name == "code" and isinstance(model, PixelCNN)
        if name in vars(judges) and getattr(judges, name) is None and not own:
            raise UserError(f"score {name}: judges.{name} is missing; give it, or name another score")
    return ScoredImages(model, pixels, judges, labels)
