"""Real images with defects, judged as if a model had made them: what a figure that can be trusted must see."""

from collections.abc import Callable
from hashlib import sha256

import torch
from torch import Tensor, nn
from torchvision.transforms.functional import gaussian_blur

from vaegan.config.models import AutoencoderConfig
from vaegan.data import Images
from vaegan.images import to_float, to_uint8
from vaegan.models import Autoencoder, Posterior
from vaegan.models.posterior import make_deterministic
from vaegan.progress import ProgressCallback, ignore_progress
from vaegan.randomness import draw_normal

Defect = Callable[[Tensor], Tensor]
"""Images (N, C, S, S) in [-1, 1] => the same with a defect."""

REAL = "real images"
"""The control without a defect: its samples are other real images, and their figures the floor."""
BLUR_SIGMA_PIXELS = 0.7
"""Standard deviation of the blur in pixels."""
NOISE_DEVIATION = 0.2
"""Standard deviation of the noise."""
CHECKERBOARD_AMPLITUDE = 0.05
"""Half the difference of neighbouring fields."""
SHARPENING_AMOUNT = 1.5
"""How much of what the blur takes away is added."""


def blur(images: Tensor) -> Tensor:
    """A Gaussian blur of `BLUR_SIGMA_PIXELS`."""
    soft: Tensor = gaussian_blur(images, [7, 7], [BLUR_SIGMA_PIXELS, BLUR_SIGMA_PIXELS])
    return soft


def add_noise(images: Tensor) -> Tensor:
    """White noise of `NOISE_DEVIATION`, a function of each image."""
    pixels = to_uint8(images).cpu()
    noise = [draw_normal(tuple(each.shape), 0, "defect", sha256(each.numpy().tobytes()).hexdigest()) for each in pixels]
    return images + NOISE_DEVIATION * torch.stack(noise).to(images)


def add_checkerboard(images: Tensor) -> Tensor:
    """A checkerboard of `CHECKERBOARD_AMPLITUDE`, as transposed convolutions leave it."""
    places = torch.arange(images.shape[-1], device=images.device)
    return images + CHECKERBOARD_AMPLITUDE * (1 - 2 * ((places[:, None] + places) % 2))


def oversharpen(images: Tensor) -> Tensor:
    """An unsharp mask of `SHARPENING_AMOUNT`."""
    return images + SHARPENING_AMOUNT * (images - blur(images))


NEGATIVE_CONTROLS: dict[str, Defect] = {
    REAL: lambda images: images,
    "blurred": blur,
    "noisy": add_noise,
    "checkered": add_checkerboard,
    "over-sharpened": oversharpen,
}
"""By name."""


class DistortedImages(Autoencoder):
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
        return make_deterministic(self.defect(images).flatten(1))

    def _decode(self, codes: Tensor, labels: Tensor | None) -> Tensor:
        """Pixels as images."""
        return codes.reshape(-1, *self.image_shape)

    def prior_codes(
        self,
        start: int,
        stop: int,
        seed: int,
        labels: Tensor | None = None,
        progress: ProgressCallback = ignore_progress,
    ) -> Tensor:
        """The pixels of other real images with the defect, at even distances."""
        chosen = self.others.select_evenly(self.count)[start:stop]
        return self.defect(to_float(self.others[chosen]).to(self.somewhere)).flatten(1)
