"""Enlarging of images by a model, and answers that agree with the small image."""

import torch
import torch.nn.functional as F
from torch import Tensor

from vaegan.errors import UserError
from vaegan.images import to_float, to_uint8
from vaegan.models import Autoencoder
from vaegan.models.inputs import Labels
from vaegan.progress import ProgressCallback, ignore_progress

from .code_prior import CodePrior
from .linear_operators import Reduce
from .posterior_inference import CodePosterior, Measurement
from .posterior_sampling import RESTARTS, SEARCH_STEPS, infer_codes

BACK_PROJECTIONS = 20
"""Rounds in which what is missing of the small image is added, enlarged smoothly."""
MAX_PROJECTIONS = 1000
"""Most rounds of the alternating projections."""
CONSISTENCY_TOLERANCE = 0.2 / 255
"""Distance from the small image, in units of the [-1, 1] range, at which they end: a tenth of a level of 8 bits."""


def enlarge_images(
    model: Autoencoder, small: Tensor, *, consistent: bool = False, prior: CodePrior | None = None,
    labels: Labels = None, scale: float | None = None, seed: int = 0, restarts: int = RESTARTS,
    steps: int = SEARCH_STEPS, progress: ProgressCallback = ignore_progress,
) -> Tensor:  # fmt: skip
    """Return images of the model's size, uint8, shape (N, C, S, S): G of the most probable codes given small images.

    A small image is taken for the means of boxes of pixels (`Reduce`).

    Args:
        model: Model in evaluation mode.
        small: uint8, shape (N, C, s, s), s a divisor of S.
        consistent: Whether the answer is brought to the nearest image that gives the small one when it is reduced, up
            to a level of 8 bits (`make_consistent`).
        prior: p(z); None: the prior of the model.
        labels: Class of each image, int64, shape (N,), or one class of all; None: the model is unconditional.
        scale: Standard deviation of the pixels around G(z), see `CodePosterior`.
        seed: Root of the noise.
        restarts: Starts of the search for the most probable code.
        steps: Steps of the search from each start.
        progress: Called with (steps done, steps in all).

    Raises:
        UserError: `small` is of another type or shape, or what `CodePosterior` raises.
    """
    (channels, side, _), parameter = model.image_shape, next(model.parameters())
    shape = tuple(small.shape[1:])
    if small.dtype != torch.uint8 or shape[0] != channels or shape[1] != shape[2] or side % shape[1]:
        problem = f"small: {small.dtype} of shape {tuple(small.shape)}"
        raise UserError(f"{problem}; give uint8 of (N, {channels}, s, s), s a divisor of {side}")
    pixels = to_float(small.to(parameter.device), parameter.dtype)
    measurement = Measurement(Reduce(side // shape[1]), pixels)
    posterior = CodePosterior(model, measurement, prior, labels, scale)
    found = infer_codes(
        posterior, seed=seed, restarts=restarts, steps=steps,
        start_images=enlarge_bicubically(pixels, side), progress=progress,
    )  # fmt: skip
    with torch.no_grad():
        decoded = posterior.decode(found.codes)[0].cpu()
    return to_uint8(make_consistent(decoded, to_float(small.cpu(), torch.float64)) if consistent else decoded)


def enlarge_bicubically(small: Tensor, side: int) -> Tensor:
    """Enlarge images (N, C, s, s) in [-1, 1] by bicubic interpolation to (N, C, S, S), clamped to [-1, 1].

    The kernel is that of Pillow, a = -1/2, which keeps planes (Keys 1981).

    Args:
        small: The images.
        side: S in pixels.
    """
    return _interpolate(small, side).clamp(-1, 1)


def make_consistent(images: Tensor, small: Tensor) -> Tensor:
    """Return images near the given ones, in [-1, 1], whose box means are the small images up to a tenth of a level.

    Rounded to 8 bits, they differ from the small ones by less than a level. First what is missing is added, enlarged
    bicubically, a few times over (Irani & Peleg 1991), since differences that are spread evenly over boxes would show
    their edges; then projections onto the images of these means and onto [-1, 1] alternate.

    Args:
        images: Shape (N, C, S, S) in [-1, 1].
        small: Shape (N, C, s, s) in [-1, 1].

    Returns:
        float64, shape (N, C, S, S).
    """
    side = images.shape[-1]
    reduce = Reduce(side // small.shape[-1])
    images, small = images.double(), small.double()
    for _ in range(BACK_PROJECTIONS):
        missing = small - reduce.apply(images)
        images = (images + _interpolate(missing, side)).clamp(-1, 1)
    for _ in range(MAX_PROJECTIONS):
        missing = small - reduce.apply(images)
        left = missing.abs().amax((1, 2, 3)) > CONSISTENCY_TOLERANCE  # an image does not depend on the others
        if not left.any():
            break
        images[left] = (images[left] + reduce.fill(missing[left])).clamp(-1, 1)
    return images


def _interpolate(images: Tensor, side: int) -> Tensor:
    # Without `antialias`, which changes nothing else of an enlarged image, the kernel's a is -3/4.
    return F.interpolate(images, size=(side, side), mode="bicubic", align_corners=False, antialias=True)
