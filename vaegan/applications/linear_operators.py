"""Linear operators A on images, of which a measurement y = A x is known: parts of an image, fewer pixels, blur, grey.

Every operator takes any leading dimensions, (..., C, H, W), so that one measurement of N images, (N, ...), is compared
with many candidates of each, (K, N, ...).
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from vaegan.errors import UserError

LUMA_WEIGHTS = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey (ITU-R BT.601), which image libraries use."""


class LinearOperator(ABC):
    """A linear map of images to measurements, with A A^T = row_norm^2 I unless `whiten` and `fill` are overridden.

    An operator of one's own defines `apply` and `adjoint`, and `row_norm` if its rows are orthogonal and of one norm.
    """

    row_norm: float = 1.0
    """Euclidean norm of each row of A."""

    @abstractmethod
    def apply(self, images: Tensor) -> Tensor:
        """Return the measurements A x of images, shape (..., C, H, W)."""

    @abstractmethod
    def adjoint(self, measurements: Tensor) -> Tensor:
        """Return A^T y, shape (..., C, H, W), with <A x, y> = <x, A^T y>."""

    def whiten(self, residuals: Tensor, scale: float, noise: float) -> Tensor:
        """Multiply residuals of measurements by (scale^2 A A^T + noise^2 I)^(-1/2), so that their noise is N(0, I).

        Args:
            residuals: Of the measurements' shape.
            scale: Standard deviation of the pixels x around their mean, in units of the [-1, 1] range.
            noise: Standard deviation of what is added to A x.
        """
        return residuals / math.hypot(scale * self.row_norm, noise)

    def fill(self, measurements: Tensor) -> Tensor:
        """Return images, shape (..., C, H, W), that have the measurements: A^T (A A^T)^-1 y, the ones of least norm."""
        return self.adjoint(measurements) / self.row_norm**2


class Identity(LinearOperator):
    """All pixels; with noise on them, the operator of denoising."""

    def apply(self, images: Tensor) -> Tensor:
        """Return the images."""
        return images

    def adjoint(self, measurements: Tensor) -> Tensor:
        """Return the measurements."""
        return measurements


class Mask(LinearOperator):
    """Some values of an image, in the image's shape; the others are 0 in a measurement.

    Args:
        visible: Whether a value is known, bool, of a shape that broadcasts with (N, C, H, W).

    Raises:
        UserError: No value is known.
    """

    def __init__(self, visible: Tensor) -> None:
        if not visible.any():
            raise UserError("visible: no value of the image is known; leave some")
        self.visible = visible

    def apply(self, images: Tensor) -> Tensor:
        """Return the known values, and 0 for the others."""
        return torch.where(self.visible.to(images.device), images, 0)

    def adjoint(self, measurements: Tensor) -> Tensor:
        """Return the known values, and 0 for the others."""
        return self.apply(measurements)

    def fill(self, measurements: Tensor) -> Tensor:
        """Return the known values, and their mean over an image for the others."""
        visible = self.visible.to(measurements.device).expand_as(measurements)
        known, dimensions = self.apply(measurements), (-3, -2, -1)
        count = visible.sum(dimensions, keepdim=True).clamp_min(1)
        return torch.where(visible, known, known.sum(dimensions, keepdim=True) / count)


def keep_channels(kept: Sequence[int], channels: int) -> Mask:
    """Return the mask of images of which some channels are missing.

    Args:
        kept: Channels that are known.
        channels: C, channels of an image.

    Raises:
        UserError: There is no such channel, or none is kept.
    """
    if not kept or any(not 0 <= channel < channels for channel in kept):
        raise UserError(f"kept: {list(kept)}; give channels of 0 to {channels - 1}")
    visible = torch.zeros(channels, 1, 1, dtype=torch.bool)
    visible[list(kept)] = True
    return Mask(visible)


class Reduce(LinearOperator):
    """The mean of each box of ``factor`` x ``factor`` pixels: an image of fewer pixels.

    Args:
        factor: At least 1; it divides height and width.
    """

    def __init__(self, factor: int) -> None:
        self.factor = factor
        self.row_norm = 1 / factor

    def apply(self, images: Tensor) -> Tensor:
        """Return the reduced images, shape (..., C, H / factor, W / factor)."""
        boxes: Tensor = images.unflatten(-1, (-1, self.factor)).unflatten(-3, (-1, self.factor))
        return boxes.mean((-1, -3))

    def adjoint(self, measurements: Tensor) -> Tensor:
        """Return A^T y, each value spread evenly over its box."""
        spread = measurements.repeat_interleave(self.factor, -1).repeat_interleave(self.factor, -2)
        return spread / self.factor**2


class Grey(LinearOperator):
    """A weighted sum of the channels, shape (..., 1, H, W): with colours as unknown, the operator of colourisation.

    Args:
        weights: Weight of each channel.
    """

    def __init__(self, weights: Sequence[float] = LUMA_WEIGHTS) -> None:
        self.weights = tuple(weights)
        self.row_norm = math.hypot(*self.weights)

    def apply(self, images: Tensor) -> Tensor:
        """Return the grey images."""
        return (images * self._get_weights(images)).sum(-3, keepdim=True)

    def adjoint(self, measurements: Tensor) -> Tensor:
        """Return A^T y, each value times the weight of each channel."""
        return measurements * self._get_weights(measurements)

    def _get_weights(self, values: Tensor) -> Tensor:
        return torch.tensor(self.weights, dtype=values.dtype, device=values.device)[:, None, None]


class Blur(LinearOperator):
    """A Gaussian blur, with images mirrored at their borders.

    On a mirrored image it multiplies the power at each frequency f, in cycles per pixel, by exp(-2 pi^2 sigma^2 |f|^2),
    which makes A symmetric and every function of A A^T another such filter. Some frequencies are all but lost, so that
    measurements need noise.

    Args:
        sigma: Standard deviation in pixels.
    """

    def __init__(self, sigma: float) -> None:
        self.sigma = sigma

    def apply(self, images: Tensor) -> Tensor:
        """Return the blurred images, of the same shape."""
        return _filter_mirrored(images, self._get_transfer(images))

    def adjoint(self, measurements: Tensor) -> Tensor:
        """Return the blurred measurements: A is symmetric."""
        return self.apply(measurements)

    def whiten(self, residuals: Tensor, scale: float, noise: float) -> Tensor:
        """Divide each frequency of residuals by sqrt(scale^2 transfer^2 + noise^2)."""
        transfer = self._get_transfer(residuals)
        return _filter_mirrored(residuals, ((scale * transfer).square() + noise**2).rsqrt())

    def fill(self, measurements: Tensor) -> Tensor:
        """Return the blurred images themselves: what is lost cannot be divided out."""
        return measurements

    def _get_transfer(self, images: Tensor) -> Tensor:
        vertical, horizontal = (
            torch.fft.fftfreq(2 * side, dtype=images.dtype, device=images.device) for side in images.shape[-2:]
        )
        squares = vertical[:, None].square() + horizontal.square()
        transfer: Tensor = (-2 * (math.pi * self.sigma) ** 2 * squares).exp()
        return transfer


def _filter_mirrored(images: Tensor, transfer: Tensor) -> Tensor:
    """Multiply the frequencies of images (..., H, W), mirrored at their borders, by a transfer function (2 H, 2 W)."""
    mirrored = torch.cat([images, images.flip(-1)], -1)
    mirrored = torch.cat([mirrored, mirrored.flip(-2)], -2)
    filtered: Tensor = torch.fft.ifft2(torch.fft.fft2(mirrored) * transfer).real
    return filtered[..., : images.shape[-2], : images.shape[-1]]
