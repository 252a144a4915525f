"""One pass over the images that feeds every metric."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from vaegan.checkpoints import write_text
from vaegan.config.models import VAEConfig
from vaegan.config.schema import EvaluateConfig
from vaegan.config.schema import Metric as MetricName
from vaegan.console import Console, Update, silent
from vaegan.data import Images
from vaegan.models import Autoencoder

from .likelihood import ELBO
from .metric import Metric, Pairs, rounded
from .perceptual import LPIPS
from .pixels import PSNR, SSIM
from .sharpness import Sharpness


@dataclass(frozen=True)
class Evaluation:
    """What a model is worth, and how that was measured."""

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

    Every image is made once and shown to every metric, in batches that are the same whatever the metrics; the
    metrics keep sums, so that memory does not grow with the number of images.

    Args:
        model: Left in the mode in which it came.
        images: The split; of more than ``config.samples`` images, so many are taken at even distances.
        config: What to measure and how.
        split: Name of the split, for the protocol.
        seed: Root of samples and posterior noise.
        progress: Called with (images done, images in all) after each batch.
        notify: Told one-line notices; None: the standard error stream.

    Raises:
        Mistake: A file of weights is damaged.
        Failure: The model's images are not finite.
    """
    notify = notify or Console().note
    made = [make_metric(name, model, notify) for name in dict.fromkeys(config.metrics)]
    metrics = [metric for metric in made if metric is not None]
    pair_count = min(len(images), config.samples or len(images))
    sampled = model.has_prior and any(metric.uses_samples for metric in metrics)
    sample_count = (config.samples or len(images)) if sampled else 0
    total = pair_count + sample_count

    with evaluating(model):
        for start in range(0, pair_count, config.batch_size):
            stop = min(start + config.batch_size, pair_count)
            pairs = Pairs(model, images[images.spread(pair_count)[start:stop]], start, seed)
            for metric in metrics:
                metric.pairs(pairs)
            progress(stop, total)
        for start in range(0, sample_count, config.batch_size):
            stop = min(start + config.batch_size, sample_count)
            samples = rounded(model.decode(model.prior_codes(start, stop, seed)))
            for metric in metrics:
                metric.samples(samples)
            progress(pair_count + stop, total)

    results = [metric.result() for metric in metrics]
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
    }
    evaluation = Evaluation({}, protocol, {})
    for result in results:
        evaluation.metrics.update(result.metrics)
        evaluation.protocol.update(result.protocol)
        evaluation.curves.update(result.curves)
    return evaluation


@contextmanager
def evaluating(model: Autoencoder) -> Iterator[None]:
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


def make_metric(name: MetricName, model: Autoencoder, notify: Callable[[str], None]) -> Metric | None:
    """The metric of a name in the config, or None where the model's family cannot have it."""
    match name:
        case "psnr":
            return PSNR()
        case "ssim":
            return SSIM()
        case "lpips":
            return LPIPS(notify)
        case "sharpness":
            return Sharpness()
        case "elbo":
            return ELBO(model.config) if isinstance(model.config, VAEConfig) else None


def write_metrics(evaluation: Evaluation, path: Path) -> None:
    """Write ``metrics.json``; whoever looks finds the old file or the new one, never half of one."""
    write_text(path, json.dumps(asdict(evaluation), indent=2, allow_nan=False))


def read_metrics(path: Path) -> Evaluation:
    """The evaluation that `write_metrics` wrote."""
    return Evaluation(**json.loads(path.read_text()))
