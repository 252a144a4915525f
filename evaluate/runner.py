"""One pass over the images that feeds every metric."""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import torch
from pydantic import ConfigDict, TypeAdapter
from torch import nn

from vaegan.checkpoints import write_text
from vaegan.config.comparing import differences, flat
from vaegan.config.models import VAEConfig
from vaegan.config.schema import EvaluateConfig
from vaegan.config.schema import Metric as MetricName
from vaegan.console import Console, Update, silent
from vaegan.data import Images
from vaegan.errors import Mistake
from vaegan.files import contents
from vaegan.models import Autoencoder
from vaegan.processes import gathered, place, together

from .likelihood import ELBO
from .metric import Metric, Pairs, rounded
from .perceptual import LPIPS
from .pixels import PSNR, SSIM
from .sharpness import Sharpness
from .sums import Sums, added, over_processes


@dataclass(frozen=True)
class Evaluation:
    """What a model is worth, and how that was measured."""

    __pydantic_config__: ClassVar[ConfigDict] = {"strict": True, "allow_inf_nan": False, "extra": "forbid"}

    metrics: dict[str, float]
    """Figures by name, all finite: ``reconstruction/...`` of pairs, ``sample/...`` of images from the prior,
    ``elbo`` in nats per image, ``bits_per_dim``."""
    protocol: dict[str, Any]
    """Every choice that the figures depend on."""
    curves: dict[str, list[float]]
    """Figures per radial frequency band, at ``frequency`` cycles per pixel."""


@torch.no_grad()
def evaluate(
    model: Autoencoder,
    images: Images,
    config: EvaluateConfig,
    *,
    split: str,
    seed: int,
    progress: Update = silent,
    notify: Callable[[str], None] | None = None,
) -> Evaluation:
    """Measure a model by its reconstructions of a split and its samples from the prior.

    Every image is made once and shown to every metric, in batches that are the same whatever the metrics and the
    number of processes; what the batches add is summed up, so that memory does not grow with the number of images.

    All processes of a launch that have met call this with the same arguments and get the same answer. They work in
    rounds, in each of which a process has one batch or, at the end, none.

    Args:
        model: Left in the mode in which it came.
        images: The split; of more than ``config.samples`` images, so many are taken at even distances.
        config: What to measure and how.
        split: Name of the split, for the protocol.
        seed: Root of samples and posterior noise.
        progress: Called with (images done, images in all) after each round, on every process with the same numbers.
            It may itself be something that all processes do together. What it raises ends the evaluation and passes
            through as it is; it must then raise on all of them.
        notify: Told one-line notices; None: the standard error stream.

    Raises:
        Mistake: A file of weights is damaged, or the processes were not asked for the same.
        Failure: The model's images are not finite, or an image of the split cannot be read.
    """
    notify = notify or Console().note
    metrics = together(lambda: make_metrics(config, model, notify))
    pair_count = min(len(images), config.samples or len(images))
    sampled = model.has_prior and any(metric.uses_samples for metric in metrics.values())
    sample_count = (config.samples or len(images)) if sampled else 0
    some = next(model.parameters())
    dtype = str(some.dtype).removeprefix("torch.")
    protocol: dict[str, Any] = {
        "split": split,
        "reconstructions": pair_count,
        "samples": sample_count,
        "of": len(images),
        "subset": "even distances",
        "resolution": model.image_shape[1],
        "channels": model.image_shape[0],
        "pixels": "rounded and clamped to 8 bits",
        "code": "posterior mean",
        "seed": seed,
        "batch_size": config.batch_size,
        "dtype": dtype,
        "arithmetic": "float32, without TF32" if some.dtype == torch.float32 else dtype,
        "device": some.device.type,
        "versions": versions(),
        **{name: metric.protocol() for name, metric in metrics.items()},
    }
    check_alike(protocol)

    def of_pairs(places: range) -> Sums:
        chosen = images.spread(pair_count)[places.start : places.stop]
        pairs = Pairs(model, images[chosen], places.start, seed)
        return {name: metric.pairs(pairs) for name, metric in metrics.items()}

    def of_samples(places: range) -> Sums:
        samples = rounded(model.decode(model.prior_codes(places.start, places.stop, seed)))
        return {name: metric.samples(samples, places.start) for name, metric in metrics.items()}

    sums: Sums = {}
    with evaluating(model):
        for work, before, count in ((of_pairs, 0, pair_count), (of_samples, pair_count, sample_count)):
            for places, done in rounds(count, config.batch_size):
                sums = added(sums, together(partial(work, places) if places else dict))
                progress(before + done, pair_count + sample_count)
    sums = over_processes(sums)

    evaluation = Evaluation({}, protocol, {})
    for name, metric in metrics.items():
        result = metric.result(sums[name])
        evaluation.metrics.update(result.metrics)
        evaluation.curves.update(result.curves)
    return evaluation


def rounds(count: int, size: int) -> Iterator[tuple[range, int]]:
    """Deal ``count`` images in batches of ``size`` to the processes in turn, a batch to each of them a round.

    Returns:
        For each round, the places of this process's batch (none are left: empty) and the images done after it.
    """
    number, processes = place()
    for start in range(0, count, processes * size):
        own = start + number * size
        yield range(own, min(own + size, count)), min(start + processes * size, count)


def check_alike(protocol: Mapping[str, Any]) -> None:
    """See that all processes measure the same.

    Raises:
        Mistake: They do not.
    """
    first, *others = gathered(flat(protocol))
    for number, other in enumerate(others, start=1):
        differing = differences(first, other)
        if differing:
            raise Mistake(
                f"process {number} would not measure what process 0 does: {differing};"
                " give all of them the same arguments, packages and files of weights"
            )


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode and float32 without TF32 inside the block; all as it was afterwards.

    TF32, of 10 bits of mantissa, is what newer GPUs convolve float32 in where nobody says otherwise.
    """
    cudnn = torch.backends.cudnn
    mode, precision, tf32 = model.training, torch.get_float32_matmul_precision(), cudnn.allow_tf32
    model.eval()
    torch.set_float32_matmul_precision("highest")
    cudnn.allow_tf32 = False
    try:
        yield
    finally:
        cudnn.allow_tf32 = tf32
        torch.set_float32_matmul_precision(precision)
        model.train(mode)


def device() -> str:
    """Where models are judged: on a GPU if there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def versions() -> dict[str, str]:
    """Of the packages that figures depend on."""
    return {package: version(package) for package in ("torch", "torchvision", "torchmetrics", "lpips")}


def make_metrics(config: EvaluateConfig, model: Autoencoder, notify: Callable[[str], None]) -> dict[MetricName, Metric]:
    """The metrics that the config names, without those that the model's family cannot have."""
    made = {name: make_metric(name, model, notify) for name in dict.fromkeys(config.metrics)}
    return {name: metric for name, metric in made.items() if metric is not None}


def make_metric(name: MetricName, model: Autoencoder, notify: Callable[[str], None]) -> Metric | None:
    """The metric of a name in the config, or None where the model's family cannot have it."""
    size = model.image_shape[-1]
    match name:
        case "psnr":
            return PSNR()
        case "ssim":
            return SSIM(size)
        case "lpips":
            return LPIPS(size, notify)
        case "sharpness":
            return Sharpness(size)
        case "elbo":
            return ELBO(model.config, math.prod(model.image_shape)) if isinstance(model.config, VAEConfig) else None


def write_metrics(evaluation: Evaluation, path: Path) -> None:
    """Write ``metrics.json``; whoever looks finds the old file or the new one, never half of one."""
    write_text(path, json.dumps(asdict(evaluation), indent=2, allow_nan=False))


def read_metrics(path: Path) -> Evaluation:
    """The evaluation that `write_metrics` wrote; ValueError where it is not what that writes."""
    return TypeAdapter(Evaluation).validate_json(contents(path))
