"""Negative controls: real images with known defects, evaluated in the place of a model.

A metric that can be trusted must see each defect, and none may count as sharper than the untouched images.
"""

import math
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.transforms.functional import gaussian_blur

from vaegan.config.architectures import AutoencoderConfig
from vaegan.config.schema import EvaluateConfig
from vaegan.data import Data, Images
from vaegan.images import to_float, to_uint8
from vaegan.models import Autoencoder, Posterior
from vaegan.models.posterior import make_deterministic
from vaegan.progress import ProgressCallback, Reporter, ignore_progress
from vaegan.randomness import draw_normal
from vaegan.storage.run_folder import Run

from .one_pass import get_device
from .result import EvaluationResult, load_or_evaluate
from .run_evaluation import describe_origin, evaluate_on_data

Defect = Callable[[Tensor], Tensor]
"""Function that returns images (N, C, S, S) in [-1, 1] with a defect."""

REAL = "real images"
"""Name of the control without a defect; its samples are other real images, whose metrics are the baseline."""
BLUR_SIGMA_PIXELS = 0.7
"""Standard deviation of the Gaussian blur in pixels."""
NOISE_DEVIATION = 0.2
"""Standard deviation of the white noise, in units of [-1, 1]."""
CHECKERBOARD_AMPLITUDE = 0.05
"""Half the difference of neighbouring fields, in units of [-1, 1]."""
SHARPENING_AMOUNT = 1.5
"""Factor of the unsharp mask, by which the detail that a blur removes is added."""
METRICS_OF_USES = {"anomaly", "calibration", "completion", "memorisation", "augmentation"}
"""Metrics of what a model is used for; the controls, which are no models, are not measured by them."""


def blur(images: Tensor, sigma: float = BLUR_SIGMA_PIXELS) -> Tensor:
    """Blur images (N, C, S, S) by a Gaussian of a standard deviation in pixels."""
    blurred: Tensor = gaussian_blur(images, [7, 7], [sigma, sigma])
    return blurred


def add_noise(images: Tensor) -> Tensor:
    """Add white noise of `NOISE_DEVIATION` to images (N, C, S, S); the noise of an image is a function of the image."""
    pixels = to_uint8(images).cpu()
    seeds = [sha256(image.numpy().tobytes()).hexdigest() for image in pixels]
    noise = [draw_normal(tuple(image.shape), 0, "defect", seed) for image, seed in zip(pixels, seeds, strict=True)]
    return images + NOISE_DEVIATION * torch.stack(noise).to(images)


def add_checkerboard(images: Tensor) -> Tensor:
    """Add a checkerboard of `CHECKERBOARD_AMPLITUDE` to images (N, C, S, S), as transposed convolutions leave it."""
    index = torch.arange(images.shape[-1], device=images.device)
    return images + CHECKERBOARD_AMPLITUDE * (1 - 2 * ((index[:, None] + index) % 2))


def oversharpen(images: Tensor) -> Tensor:
    """Sharpen images (N, C, S, S) by an unsharp mask of `SHARPENING_AMOUNT`."""
    return images + SHARPENING_AMOUNT * (images - blur(images))


NEGATIVE_CONTROLS: dict[str, Defect] = {
    REAL: lambda images: images,
    "blurred": blur,
    "noisy": add_noise,
    "checkered": add_checkerboard,
    "over-sharpened": oversharpen,
}
"""Defects by name."""


class DistortedImages(Autoencoder):
    """A defect in the place of a model: codes are pixels, reconstructions and samples are real images with the defect.

    Args:
        defect: Function that adds the defect.
        image_shape: (C, S, S) of the images.
        other_images: Real images that its samples are made of.
        count: Number of samples that can be drawn; if there are fewer images, it has none.
    """

    prior_name = "other real images"

    def __init__(self, defect: Defect, image_shape: tuple[int, int, int], other_images: Images, count: int) -> None:
        super().__init__(AutoencoderConfig(), image_shape)
        self.code_shape = (math.prod(image_shape),)
        self.defect, self.other_images, self.count = defect, other_images, count
        self.has_prior = len(other_images) >= count
        self.placeholder = nn.Parameter(torch.zeros(()), requires_grad=False)  # has the device and dtype of all images

    def _encode(self, images: Tensor, labels: Tensor | None) -> Posterior:
        """Return the pixels of images (N, C, S, S) with the defect, as codes (N, C S S) with variance 0."""
        return make_deterministic(self.defect(images).flatten(1))

    def _decode(self, codes: Tensor, labels: Tensor | None) -> Tensor:
        """Return codes (N, C S S) as images (N, C, S, S)."""
        return codes.reshape(-1, *self.image_shape)

    def draw_prior_codes(
        self, start: int, stop: int, seed: int, labels: Tensor | None = None,
        progress: ProgressCallback = ignore_progress,
    ) -> Tensor:  # fmt: skip
        """Return the pixels of other real images with the defect, evenly spaced, shape (n, C S S)."""
        indices = self.other_images.select_evenly(self.count)[start:stop]
        return self.defect(to_float(self.other_images[indices]).to(self.placeholder)).flatten(1)


def evaluate_negative_controls(
    folder: Path, config: EvaluateConfig, data: Data, reporter: Reporter
) -> dict[str, EvaluationResult]:
    """Evaluate real images in the place of a model, untouched and with each defect; all processes do this together.

    Their reconstructions are the real images of the split, their samples those of another split.

    Args:
        folder: Folder of the controls; each has a folder with its result, which is reused if nothing has changed.
        config: What is measured, of which split.
        data: Images.
        reporter: Receiver of notes and progress.

    Returns:
        Result of each of `NEGATIVE_CONTROLS`, by name; {} if no metric of images is measured.
    """
    metrics = tuple(name for name in config.metrics if name not in METRICS_OF_USES)
    if not metrics:
        return {}
    config = config.model_copy(update={"density": None, "metrics": metrics})
    images = getattr(data, config.split)
    other_images, count = data.test if config.split == "train" else data.train, config.samples or len(images)
    if len(other_images) < count:
        reporter.note(
            f"real images: {len(other_images)} outside the {config.split} split, fewer than {count}: samples"
            " have no baseline and no controls; hold out fewer images, or give evaluate.samples"
        )
    channels, size, _ = images[torch.zeros(1, dtype=torch.long)].shape[1:]
    results = {}
    for name, defect in NEGATIVE_CONTROLS.items():
        model = DistortedImages(defect, (channels, size, size), other_images, count).to(get_device())
        evaluate = partial(evaluate_on_data, model, config, data, 0, f"Measuring {name}", reporter)
        run = Run(folder / name.replace(" ", "_"))
        results[name] = load_or_evaluate(run, lambda: describe_origin(config, data, None), evaluate)
    return results
