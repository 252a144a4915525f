"""One pass over the images that feeds every metric."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn

from vaegan.cli.console import Console
from vaegan.config.differences import describe_differences, flatten
from vaegan.config.schema import Config, EvaluateConfig
from vaegan.data import Data, Images
from vaegan.distributed import all_gather_object, deal_batches, get_group_rank_and_size, run_on_all_ranks
from vaegan.errors import UserError
from vaegan.models import Autoencoder
from vaegan.models import density as densities
from vaegan.progress import ProgressCallback, ignore_progress
from vaegan.sampling import fit_density_to_images

from .metrics.accumulate import Sums, add_sums, reduce_on_main
from .metrics.build import build_metrics
from .metrics.metric import ImagePairs, round_to_8_bits
from .result import EvaluationResult


@torch.no_grad()
def evaluate_model(
    model: Autoencoder,
    images: Images,
    config: EvaluateConfig,
    *,
    split: str,
    seed: int,
    training: Images | None = None,
    discriminator: nn.Module | None = None,
    fingerprint: str | None = None,
    progress: ProgressCallback = ignore_progress,
    notify: Callable[[str], None] | None = None,
) -> EvaluationResult:
    """Measure a model by its reconstructions of a split and its samples from the prior, or from ``config.density``.

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
        training: The images to whose codes ``config.density`` is fitted; None: it is None.
        discriminator: That of the same run, for `confusion`; None: there is none.
        fingerprint: What tells the set from others (`Data.fingerprint`), so that the features of its real images are
            made once for all models; None: they are made each time.
        progress: Called with (images done, images in all) after each round, on every process with the same numbers.
            It may itself be something that all processes do together. What it raises ends the evaluation and passes
            through as it is; it must then raise on all of them.
        notify: Told one-line notices; None: the standard error stream.

    Raises:
        UserError: A file of weights is damaged, the processes were not asked for the same, the images have not the
            labels of a conditional model, or as `fit_density_to_images`.
        Failure: The model's images are not finite, or an image of the split cannot be read.
    """
    notify = notify or Console(shown=get_group_rank_and_size()[0] == 0).note
    pair_count = min(len(images), config.samples or len(images))
    device = next(model.parameters()).device.type
    real = fingerprint and {
        "data": fingerprint, "split": split, "count": pair_count, "batch_size": config.batch_size, "device": device,
        "versions": get_versions(),
    }  # fmt: skip
    metrics = run_on_all_ranks(
        lambda: build_metrics(config, model.described, model.image_shape, seed, discriminator, real or None, notify)
    )
    for metric in metrics.values():
        metric.prepare()
    asked, source = config.density, model.prior_name if model.has_prior else None
    if asked is not None:
        assert training is not None, "a density is fitted to training images"
        source = densities.describe_density(asked, len(training))
    sampled = source is not None and any(metric.uses_samples for metric in metrics.values())
    sample_count = (config.samples or len(images)) if sampled else 0
    to_fit = training if sampled and asked is not None else None
    some = next(model.parameters())
    dtype = str(some.dtype).removeprefix("torch.")
    protocol: dict[str, Any] = {
        "split": split,
        "reconstructions": pair_count,
        "samples": sample_count,
        "samples_from": source,
        "density": None if asked is None else densities.get_density_protocol(asked),
        "of": len(images),
        "subset": "even distances",
        "resolution": model.image_shape[1],
        "channels": model.image_shape[0],
        "pixels": "rounded and clamped to 8 bits",
        "code": "posterior mean",
        "labels": None if model.classes is None else f"the images' own; sample i: i modulo {model.classes}",
        "seed": seed,
        "batch_size": config.batch_size,
        "dtype": dtype,
        "arithmetic": "float32, without TF32" if some.dtype == torch.float32 else dtype,
        "device": device,
        "versions": get_versions(),
        **{name: metric.protocol() for name, metric in metrics.items()},
    }
    check_same_protocol(protocol)

    def of_pairs(places: range) -> Sums:
        chosen = images.select_evenly(pair_count)[places.start : places.stop]
        pairs = ImagePairs(model, images[chosen], places.start, seed, images.get_labels(chosen, model.classes))
        return {name: metric.pairs(pairs) for name, metric in metrics.items()}

    def of_samples(places: range) -> Sums:
        samples = round_to_8_bits(model.sample_range(places.start, places.stop, seed, density))
        return {name: metric.samples(samples, places.start) for name, metric in metrics.items()}

    sums: Sums = {}
    density, fit_count = None, len(to_fit or ())
    total = fit_count + pair_count + sample_count
    with evaluation_mode(model):
        if to_fit is not None and asked is not None:
            density = fit_density_to_images(
                asked, model, to_fit, seed, config.batch_size, lambda done, _: progress(done, total)
            )
        for work, before, count in (
            (of_pairs, fit_count, pair_count),
            (of_samples, total - sample_count, sample_count),
        ):
            for places, done in deal_batches(count, config.batch_size):
                sums = add_sums(sums, run_on_all_ranks(partial(work, places) if places else dict))
                progress(before + done, total)

    def conclude(sums: Sums) -> EvaluationResult:
        evaluation = EvaluationResult({}, protocol)
        for name, metric in metrics.items():
            result = metric.result(sums[name])
            evaluation.metrics.update(result.metrics)
            evaluation.curves.update(result.curves)
            evaluation.matrices.update(result.matrices)
            evaluation.scores.update(result.scores)
        return evaluation

    return reduce_on_main(sums, conclude)


def check_images(config: Config, data: Data, asked: str = "evaluate.split:") -> None:
    """See that there are images that a run can be judged by, and enough to fit its density to.

    Args:
        config: The run.
        data: Its images.
        asked: What names the split, for the message.

    Raises:
        UserError: There are not.
    """
    split = config.evaluate.split
    if not len(getattr(data, split)):
        raise UserError(f"{asked} {split}: the run keeps no image in it (data.{split} is 0)", on_all_ranks=True)
    if (density := config.evaluate.density) is not None:
        run_on_all_ranks(lambda: densities.check_enough_codes(density, len(data.train)))


def check_same_protocol(protocol: Mapping[str, Any]) -> None:
    """See that all processes measure the same.

    Raises:
        UserError: They do not.
    """
    first, *others = all_gather_object(flatten(protocol))
    for number, other in enumerate(others, start=1):
        differing = describe_differences(first, other)
        if differing:
            raise UserError(
                f"process {number} would not measure what process 0 does: {differing};"
                " give all of them the same arguments, packages and files of weights"
            )


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
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


def get_device() -> str:
    """Where models are judged: on a GPU if there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def get_versions() -> dict[str, str]:
    """Of the packages that figures depend on, as far as they are installed."""
    names = ("torch", "torchvision", "torchmetrics", "lpips", "torch-fidelity")
    found = {name: version(name) for name in names if find_spec(name.replace("-", "_"))}
    return {**found, "scikit-learn": version("scikit-learn")}
