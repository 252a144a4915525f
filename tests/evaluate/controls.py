"""A real model that reconstructs and samples images through a given distortion, and distortions."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from vaegan.config.models import VAEConfig
from vaegan.config.schema import EvaluateConfig
from vaegan.data import Images
from vaegan.evaluate.model import evaluate_model
from vaegan.evaluate.result import EvaluationResult
from vaegan.images import to_float
from vaegan.models import VAE, Posterior
from vaegan.progress import ProgressCallback, ignore_progress

Distortion = Callable[[Tensor], Tensor]


class Distorting(VAE):
    """Codes are pixels: the posterior mean is the distorted image, the prior draws distorted images in order."""

    def __init__(self, pixels: Tensor, distort: Distortion, log_variance: float, **config: object) -> None:
        shape = tuple(pixels.shape[1:])
        super().__init__(VAEConfig(network="mlp", width=8, latent_size=pixels[0].numel(), **config), shape, 0)
        self.real, self.distort, self.log_variance = to_float(pixels), distort, log_variance

    def _encode(self, images: Tensor, labels: Tensor | None) -> Posterior:
        mean = self.distort(images).flatten(1)
        return Posterior(mean, torch.full_like(mean, self.log_variance))

    def _decode(self, codes: Tensor, labels: Tensor | None) -> Tensor:
        return codes.unflatten(1, self.image_shape)

    def prior_codes(
        self,
        start: int,
        stop: int,
        seed: int,
        labels: Tensor | None = None,
        progress: ProgressCallback = ignore_progress,
    ) -> Tensor:
        return self.distort(self.real[start:stop]).flatten(1)


def split_of(pixels: Tensor) -> Images:
    return Images(pixels, torch.arange(len(pixels)), None, ())


def judge(
    pixels: Tensor,
    distort: Distortion,
    *metrics: str,
    log_variance: float = -10.0,
    features: str = "inception",
    **config: object,
) -> EvaluationResult:
    """Evaluate, in one batch, reconstructions and samples that are the distorted images."""
    model = Distorting(pixels, distort, log_variance, **config)
    settings = EvaluateConfig(metrics=metrics or ("sharpness",), batch_size=len(pixels), features=features)
    return evaluate_model(model, split_of(pixels), settings, split="test", seed=0, notify=lambda _: None)


def blur(images: Tensor, sigma: float) -> Tensor:
    places = torch.arange(-6, 7, dtype=images.dtype)
    kernel = torch.exp(-places.square() / (2 * sigma**2))
    kernel = kernel[:, None] * kernel[None] / kernel.sum() ** 2
    padded = F.pad(images, (6, 6, 6, 6), mode="replicate")
    return F.conv2d(padded, kernel.expand(images.shape[1], 1, 13, 13), groups=images.shape[1])


def noisy(images: Tensor, amount: float, seed: int = 0) -> Tensor:
    return images + amount * torch.randn(images.shape, generator=torch.Generator().manual_seed(seed))


def checkered(images: Tensor, amount: float) -> Tensor:
    places = torch.arange(images.shape[-1])
    return images + amount * (1 - 2 * ((places[:, None] + places) % 2))


def oversharpened(images: Tensor, amount: float, sigma: float = 1.0) -> Tensor:
    return images + amount * (images - blur(images, sigma))
