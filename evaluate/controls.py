"""Real images with defects, judged as if a model had made them: what a figure that can be trusted must see."""

from collections.abc import Callable
from hashlib import sha256

import torch
from torch import Tensor, nn
from torchvision.transforms.functional import gaussian_blur

from vaegan.config.models import AutoencoderConfig
from vaegan.console import Update, silent
from vaegan.data import Images
from vaegan.images import to_float, to_uint8
from vaegan.models import Autoencoder, Posterior
from vaegan.models.posterior import deterministic
from vaegan.randomness import normal

Defect = Callable[[Tensor], Tensor]
"""Images (N, C, S, S) in [-1, 1] => the same with a defect."""

REAL = "real images"
"""The control without a defect: its samples are other real images, and their figures the floor."""
SOFTNESS = 0.7
"""Standard deviation of the blur in pixels."""
NOISE = 0.2
"""Standard deviation of the noise."""
CHECKERBOARD = 0.05
"""Half the difference of neighbouring fields."""
AMOUNT = 1.5
"""How much of what the blur takes away is added."""


def blurred(images: Tensor) -> Tensor:
    """A Gaussian blur of `SOFTNESS`."""
    soft: Tensor = gaussian_blur(images, [7, 7], [SOFTNESS, SOFTNESS])
    return soft


def noisy(images: Tensor) -> Tensor:
    """White noise of `NOISE`, a function of each image."""
    pixels = to_uint8(images).cpu()
    noise = [normal(tuple(each.shape), 0, "defect", sha256(each.numpy().tobytes()).hexdigest()) for each in pixels]
    return images + NOISE * torch.stack(noise).to(images)


def checkered(images: Tensor) -> Tensor:
    """A checkerboard of `CHECKERBOARD`, as transposed convolutions leave it."""
    places = torch.arange(images.shape[-1], device=images.device)
    return images + CHECKERBOARD * (1 - 2 * ((places[:, None] + places) % 2))


def oversharpened(images: Tensor) -> Tensor:
    """An unsharp mask of `AMOUNT`."""
    return images + AMOUNT * (images - blurred(images))


CONTROLS: dict[str, Defect] = {
    REAL: lambda images: images,
    "blurred": blurred,
    "noisy": noisy,
    "checkered": checkered,
    "over-sharpened": oversharpened,
}
"""By name."""


class Distorted(Autoencoder):
    """A defect in the place of a model: its codes are pixels, its reconstructions and samples real images with it.

    Args:
        defect: What is done to the images.
        image_shape: (C, S, S) of the images.
        others: The real images that its samples are made of.
        count: How many of them; with fewer it has no samples.
    """

    prior_name = "other real images"

    def __init__(self, defect: Defect, image_shape: tuple[int, int, int], others: Images, count: int) -> None:
        super().__init__(AutoencoderConfig(), image_shape)
        self.defect = defect
        self.others, self.count = others, count
        self.has_prior = len(others) >= count  # type: ignore[misc]
        self.somewhere = nn.Parameter(torch.zeros(()), requires_grad=False)  # of the device and dtype of all it makes

    def _encode(self, images: Tensor, labels: Tensor | None) -> Posterior:
        """The pixels of the images with the defect."""
        return deterministic(self.defect(images).flatten(1))

    def _decode(self, codes: Tensor, labels: Tensor | None) -> Tensor:
        """Pixels as images."""
        return codes.reshape(-1, *self.image_shape)

    def prior_codes(
        self, start: int, stop: int, seed: int, labels: Tensor | None = None, progress: Update = silent
    ) -> Tensor:
        """The pixels of other real images with the defect, at even distances."""
        chosen = self.others.spread(self.count)[start:stop]
        return self.defect(to_float(self.others[chosen]).to(self.somewhere)).flatten(1)
