"""What a metric is: it sees every image of an evaluation once, and its figures are a function of sums."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor

from vaegan.errors import Failure
from vaegan.images import to_float, to_uint8
from vaegan.models import Autoencoder, Posterior
from vaegan.randomness import draw_normal

from .accumulate import Sums, concatenate_in_order, make_rows


class ImagePairs:
    """Consecutive real images of an evaluation and what the model makes of them, each made when first asked for.

    Reconstructions are what an image file would hold: clamped and rounded to 8 bits.

    Args:
        model: In evaluation mode.
        pixels: The real images, uint8 of shape (B, C, S, S).
        start: Place of the first one among the evaluated images.
        seed: Root of the posterior noise.
        labels: Classes of the images, int64, shape (B,), where the model is conditional.
    """

    def __init__(self, model: Autoencoder, pixels: Tensor, start: int, seed: int, labels: Tensor | None = None) -> None:
        self.model = model
        self.start = start
        self.seed = seed
        self.pixels = pixels.to(next(model.parameters()).device)
        self.labels = None if labels is None else labels.to(self.pixels.device)

    @cached_property
    def real(self) -> Tensor:
        """Shape (B, C, S, S) in [-1, 1], of the model's device and dtype."""
        return to_float(self.pixels, next(self.model.parameters()).dtype)

    @cached_property
    def posterior(self) -> Posterior:
        """Of the B codes."""
        return self.model.encode(self.real, self.labels)

    @cached_property
    def reconstruction(self) -> Tensor:
        """The decoded posterior means, as `real`."""
        return round_to_8_bits(self.decode(self.posterior.mean))

    @cached_property
    def likelihood_mean(self) -> Tensor:
        """The decoder's output, neither clamped nor rounded, for `codes`, as `real`."""
        return self.decode(self.codes)

    @cached_property
    def codes(self) -> Tensor:
        """One draw of each image's posterior, shape (B, d)."""
        return self.posterior.sample(self.draw_noise("evaluate posterior").to(self.posterior.mean))

    def decode(self, codes: Tensor) -> Tensor:
        """What the decoder makes of codes (B, d) of these images, neither clamped nor rounded, as `real`."""
        return check_finite(self.model.decode(codes, self.labels))

    def draw_noise(self, *purpose: str | int) -> Tensor:
        """Standard normal on the CPU, shape (B, d); that of an image is a function of seed, purpose and its place."""
        shape = (self.posterior.mean.shape[1],)
        places = range(self.start, self.start + len(self.pixels))
        return torch.stack([draw_normal(shape, self.seed, *purpose, place) for place in places])


@dataclass
class MetricResult:
    """What a metric has to say in the end."""

    metrics: dict[str, float]
    """Figures by name, all finite."""
    curves: dict[str, list[float]] = field(default_factory=dict)
    """Figures per radial frequency band."""
    matrices: dict[str, list[list[int]]] = field(default_factory=dict)
    """Counts."""
    scores: dict[str, Tensor] = field(default_factory=dict)
    """What each image has to say, float64, shape (N,) or (N, k), in the order of the images."""


class Metric:
    """Base of the metrics; each overrides what it looks at.

    It keeps nothing of the images itself: what each batch gives is added up, over the batches of a process and then
    over the processes. What single images have to say is kept as `make_rows`, which are put in order in the end.
    """

    uses_samples: ClassVar[bool] = False
    """Whether samples must be drawn for it."""

    def get_protocol(self) -> dict[str, Any]:
        """Its own choices."""
        raise NotImplementedError

    def prepare(self) -> None:
        """What all processes do together before the first image."""

    def measure_pairs(self, pairs: ImagePairs) -> Sums:
        """What some real images and their reconstructions add; tensors may lie on the model's device."""
        return {}

    def measure_samples(self, images: Tensor, start: int) -> Sums:
        """What images from the prior add, as `pairs`.

        Args:
            images: Rounded to 8 bits, shape (B, C, S, S) in [-1, 1].
            start: Place of the first one among the samples of the evaluation.
        """
        return {}

    def compute_result(self, sums: Sums) -> MetricResult:
        """The figures of all images, whose ``sums`` are on the CPU; the first process alone asks for them."""
        raise NotImplementedError


class PerImage(Metric):
    """Base of the metrics that are the mean of one figure of each image and its reconstruction."""

    key: str
    """Name of the figure."""

    def measure(self, pairs: ImagePairs) -> Tensor:
        """The figure of each pair, shape (N,)."""
        raise NotImplementedError

    def measure_pairs(self, pairs: ImagePairs) -> Sums:
        """The images' own figures."""
        return {"values": make_rows(pairs.start, self.measure(pairs).double())}

    def compute_result(self, sums: Sums) -> MetricResult:
        """Their mean."""
        values = concatenate_in_order(sums["values"])
        return MetricResult({self.key: values.mean().item()}, scores={self.key: values})


def round_to_8_bits(images: Tensor) -> Tensor:
    """Images of any shape in [-1, 1] as a file of 8 bits per value would hold them, in the same dtype.

    Raises:
        Failure: A value is not finite.
    """
    return to_float(to_uint8(check_finite(images)), images.dtype)


def check_finite(images: Tensor) -> Tensor:
    """The decoder's images as they are.

    Raises:
        Failure: A value is not finite.
    """
    if not images.isfinite().all():
        raise Failure("the model makes pixels that are not finite; evaluate a run whose training did not diverge")
    return images
