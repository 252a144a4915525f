"""The base of the metrics: each sees every image of an evaluation once, and its result is a function of sums."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, reduce
from operator import itemgetter
from typing import Any, Generic, TypeVar, cast

import torch
from torch import Tensor

from vaegan.distributed import all_gather_object, gather_to_main
from vaegan.errors import Failure
from vaegan.images import lay_on_white, to_float, to_uint8
from vaegan.long_work import run_long_on_main
from vaegan.models import Autoencoder, Posterior
from vaegan.randomness import draw_normal

T = TypeVar("T")

Sums = dict[str, Any]
"""Accumulated values by name: numbers and float64 tensors, which are added; lists, which are joined; further sums."""
Rows = list[tuple[int, Tensor]]
"""Values of single images in parts, each with the index of its first image."""


class ImagePairs:
    """Consecutive real images of an evaluation and their counterparts, each computed when first used.

    Both are what image files would hold: rounded to 8 bits.

    Args:
        start: Index of the first pair among the evaluated ones.
    """

    def __init__(self, start: int) -> None:
        self.start = start

    @cached_property
    def real(self) -> Tensor:
        """Real images, shape (B, C, S, S) in [-1, 1], of the device and dtype that they are evaluated in."""
        raise NotImplementedError

    @cached_property
    def reconstruction(self) -> Tensor:
        """The counterpart of each real image, of the same shape, range, device and dtype."""
        raise NotImplementedError

    @cached_property
    def seen(self) -> tuple[Tensor, Tensor]:
        """Real images and counterparts as they are seen: those with alpha are laid on white, (B, C', S, S)."""
        return lay_on_white(self.real), lay_on_white(self.reconstruction)


class PixelPairs(ImagePairs):
    """Real images and counterparts that are given as pixels.

    Args:
        real: Real images, uint8, shape (B, C, S, S).
        other: Their counterparts, of the same type and shape.
        start: Index of the first pair among the evaluated ones.
        device: Where they are evaluated, in float32.
    """

    def __init__(self, real: Tensor, other: Tensor, start: int, device: torch.device) -> None:
        super().__init__(start)
        self.pixels, self.other_pixels = real.to(device), other.to(device)

    @cached_property
    def real(self) -> Tensor:
        """Real images, shape (B, C, S, S) in [-1, 1], float32."""
        return to_float(self.pixels)

    @cached_property
    def reconstruction(self) -> Tensor:
        """Counterparts, shape (B, C, S, S) in [-1, 1], float32."""
        return to_float(self.other_pixels)


class ModelPairs(ImagePairs):
    """Real images and what a model makes of them.

    Args:
        model: Model in evaluation mode.
        pixels: Real images, uint8, shape (B, C, S, S).
        start: Index of the first one among the evaluated images.
        seed: Root of the posterior noise.
        labels: Classes of the images, int64, shape (B,), where the model is conditional.
        count: Number of evaluated images; None: these are all.
    """

    def __init__(
        self, model: Autoencoder, pixels: Tensor, start: int, seed: int, labels: Tensor | None = None,
        count: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__(start)
        self.model, self.seed = model, seed
        self.pixels = pixels.to(next(model.parameters()).device)
        self.labels = None if labels is None else labels.to(self.pixels.device)
        self.count = start + len(pixels) if count is None else count

    @cached_property
    def real(self) -> Tensor:
        """Real images, shape (B, C, S, S) in [-1, 1], of the model's device and dtype."""
        return to_float(self.pixels, next(self.model.parameters()).dtype)

    @cached_property
    def posterior(self) -> Posterior:
        """Posterior of the B codes."""
        return self.model.encode(self.real, self.labels)

    @cached_property
    def reconstruction(self) -> Tensor:
        """Decoded posterior means, shape (B, C, S, S) in [-1, 1], of the model's device and dtype."""
        return round_to_8_bits(self.decode(self.posterior.mean))

    @cached_property
    def likelihood_mean(self) -> Tensor:
        """Decoded `codes`, neither clamped nor rounded, shape (B, C, S, S), of the model's device and dtype."""
        return self.decode(self.codes)

    @cached_property
    def codes(self) -> Tensor:
        """One draw of each image's posterior, shape (B, d)."""
        return self.posterior.sample(self.draw_noise("evaluate posterior").to(self.posterior.mean))

    def decode(self, codes: Tensor) -> Tensor:
        """Return the decoder's output for codes (B, d) of these images, neither clamped nor rounded, (B, C, S, S)."""
        return check_finite(self.model.decode(codes, self.labels))

    def draw_noise(self, *purpose: str | int) -> Tensor:
        """Draw standard normal noise, shape (B, d), on the CPU; an image's is a function of seed, purpose and index."""
        shape = (self.posterior.mean.shape[1],)
        indices = range(self.start, self.start + len(self.pixels))
        return torch.stack([draw_normal(shape, self.seed, *purpose, index) for index in indices])


PairsT = TypeVar("PairsT", bound=ImagePairs, contravariant=True)
"""Type of the pairs that a metric looks at."""


@dataclass
class MetricResult:
    """The values of one metric for all images."""

    metrics: dict[str, float]
    """Values by key, all finite."""
    curves: dict[str, list[float]] = field(default_factory=dict)
    """Values per radial frequency band, or per level of intervals."""
    matrices: dict[str, list[list[int]]] = field(default_factory=dict)
    """Counts."""
    scores: dict[str, Tensor] = field(default_factory=dict)
    """Values of single images, float64, shape (N,) or (N, k), in the order of the images."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Reason why a metric could not be computed, by its name."""


class Metric(Generic[PairsT]):
    """Base of the metrics; each overrides the methods for the images that it looks at.

    A metric of `ImagePairs` needs images alone, and one of `ModelPairs` the model as well.

    A metric keeps nothing of the images itself: what it measures of each batch is added up, over the batches of a
    process and then over the processes. Values of single images are kept as `Rows`, which are put in order at the end.
    """

    uses_samples: bool = False
    """True if samples must be drawn for the metric."""
    protocol: dict[str, Any]
    """Choices of the metric."""

    def prepare(self, device: torch.device) -> None:
        """Prepare for the first image; all processes call this together.

        Args:
            device: Device of the images.
        """

    def measure_pairs(self, pairs: PairsT) -> Sums:
        """Return what real images and their reconstructions add to the sums; tensors may be on the model's device."""
        return {}

    def measure_set(self, name: str, images: Tensor, start: int) -> Sums:
        """Return what images that are no pairs add to the sums; tensors may be on the model's device.

        Args:
            name: Set that they belong to: ``sample``; for images without a model also ``real`` or ``reconstruction``,
                in which pairs, if there are any, come first.
            images: Images rounded to 8 bits, shape (B, C, S, S) in [-1, 1].
            start: Index of the first one in the set.
        """
        return {}

    def combine(self, sums: Sums) -> Sums:
        """Return sums that one process can gather, in the place of values that are too many for one process.

        All processes call this together when all images are measured; a process that had none has empty sums.
        """
        return sums

    def compute_result(self, sums: Sums) -> MetricResult:
        """Return the result from the sums of all images, which are on the CPU; the main process alone calls this."""
        raise NotImplementedError


class PerImage(Metric[ImagePairs]):
    """Mean of a value of each image and its reconstruction.

    Args:
        key: Key of the metric.
        compute: Function of images and their reconstructions, shape (N, C, S, S) in [-1, 1], which returns the value of
            each pair, shape (N,).
        protocol: Choices of the metric.
    """

    def __init__(self, key: str, compute: Callable[[Tensor, Tensor], Tensor], protocol: dict[str, Any]) -> None:
        self.key, self.compute, self.protocol = key, compute, protocol

    def measure_pairs(self, pairs: ImagePairs) -> Sums:
        """Return the value of each pair."""
        return {"values": make_rows(pairs.start, self.compute(*pairs.seen).double())}

    def compute_result(self, sums: Sums) -> MetricResult:
        """Return the mean of the values."""
        values = concatenate_in_order(sums["values"])
        return MetricResult({self.key: values.mean().item()}, scores={self.key: values})


def describe_too_few(count: int, least: int) -> str:
    """Return why a metric is left out: it needs at least ``least`` images, and there are only ``count``."""
    return f"fewer than {least} images ({count})"


def round_to_8_bits(images: Tensor) -> Tensor:
    """Round images of any shape in [-1, 1] to what a file of 8 bits per value would hold, in the same dtype.

    Raises:
        Failure: A value is not finite.
    """
    return to_float(to_uint8(check_finite(images)), images.dtype)


def check_finite(images: Tensor) -> Tensor:
    """Check that the decoder's images are finite, and return them.

    Raises:
        Failure: A value is not finite.
    """
    if not images.isfinite().all():
        raise Failure("the model makes pixels that are not finite; evaluate a run whose training did not diverge")
    return images


def make_rows(start: int, values: Tensor) -> Rows:
    """Return the values of consecutive images from index ``start``, shape (N, ...), as rows on the CPU."""
    return [(start, values.cpu())]


def concatenate_in_order(rows: Rows) -> Tensor:
    """Return the values of all images in the order of their indices, shape (N, ...)."""
    return torch.cat([values for _, values in sorted(rows, key=itemgetter(0))])


def add_sums(sums: Sums, other: Sums) -> Sums:
    """Return the totals of two sums, name by name; a name that only one of them has is kept."""
    return sums | {name: _add(sums[name], value) if name in sums else value for name, value in other.items()}


def reduce_on_main(sums: Sums, compute: Callable[[Sums], T]) -> T:
    """Return to all processes what the main one computes from the totals, which it adds on the CPU in order of rank.

    The main process alone holds the values of all images, and computes once, however long that takes.
    """
    gathered = gather_to_main(_to_cpu(sums))
    result = run_long_on_main(lambda: compute(reduce(add_sums, gathered, {})))
    return cast("T", all_gather_object(result)[0])


def _add(value: Any, other: Any) -> Any:
    return add_sums(value, other) if isinstance(value, dict) else value + other


def _to_cpu(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _to_cpu(item) for name, item in value.items()}
    return value.cpu() if isinstance(value, Tensor) else value
