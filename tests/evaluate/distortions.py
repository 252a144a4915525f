"""A model that reconstructs and samples images through a given distortion, and distortions."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from vaegan.config.models import VAEConfig
from vaegan.config.schema import EvaluateConfig
from vaegan.data import Images
from vaegan.evaluate.model_evaluation import evaluate_model
from vaegan.evaluate.one_pass import ImageSplit
from vaegan.evaluate.result import EvaluationResult
from vaegan.images import to_float
from vaegan.models import VAE, Posterior
from vaegan.progress import ProgressCallback, ignore_progress

Distortion = Callable[[Tensor], Tensor]


class DistortingModel(VAE):
    """A VAE whose codes are pixels: posterior means are distorted images, and the prior draws them in order."""

    def __init__(self, pixels: Tensor, distort: Distortion, log_variance: float, **config: object) -> None:
        shape = tuple(pixels.shape[1:])
        super().__init__(VAEConfig(network="mlp", width=8, latent_size=pixels[0].numel(), **config), shape, 0)
        self.real, self.distort, self.log_variance = to_float(pixels), distort, log_variance

    def _encode(self, images: Tensor, labels: Tensor | None) -> Posterior:
        mean = self.distort(images).flatten(1)
        return Posterior(mean, torch.full_like(mean, self.log_variance))

    def _decode(self, codes: Tensor, labels: Tensor | None) -> Tensor:
        return codes.unflatten(1, self.image_shape)

    def draw_prior_codes(
        self, start: int, stop: int, seed: int, labels: Tensor | None = None,
        progress: ProgressCallback = ignore_progress,
    ) -> Tensor:  # fmt: skip
        return self.distort(self.real[start:stop]).flatten(1)


def to_images(pixels: Tensor) -> Images:
    """Return uint8 images (N, C, S, S) as the images of a split, without labels."""
    return Images(pixels, torch.arange(len(pixels)), None, ())


def to_split(pixels: Tensor, fingerprint: str | None = None) -> ImageSplit:
    """Return uint8 images (N, C, S, S) as the test split that a model is evaluated on."""
    return ImageSplit("test", to_images(pixels), fingerprint)


def evaluate(
    pixels: Tensor,
    distort: Distortion,
    *metrics: str,
    log_variance: float = -10.0,
    features: str = "inception",
    **config: object,
) -> EvaluationResult:
    """Evaluate, in one batch, reconstructions and samples that are the distorted images."""
    model = DistortingModel(pixels, distort, log_variance, **config)
    settings = EvaluateConfig(metrics=metrics or ("sharpness",), batch_size=len(pixels), features=features)
    return evaluate_model(model, to_split(pixels), settings, seed=0, notify=lambda _: None)


def blur(images: Tensor, sigma: float) -> Tensor:
    offsets = torch.arange(-6, 7, dtype=images.dtype)
    kernel = torch.exp(-offsets.square() / (2 * sigma**2))
    kernel = kernel[:, None] * kernel[None] / kernel.sum() ** 2
    padded = F.pad(images, (6, 6, 6, 6), mode="replicate")
    return F.conv2d(padded, kernel.expand(images.shape[1], 1, 13, 13), groups=images.shape[1])


def add_noise(images: Tensor, amount: float, seed: int = 0) -> Tensor:
    return images + amount * torch.randn(images.shape, generator=torch.Generator().manual_seed(seed))


def add_checkerboard(images: Tensor, amount: float) -> Tensor:
    index = torch.arange(images.shape[-1])
    return images + amount * (1 - 2 * ((index[:, None] + index) % 2))


def oversharpen(images: Tensor, amount: float, sigma: float = 1.0) -> Tensor:
    return images + amount * (images - blur(images, sigma))
