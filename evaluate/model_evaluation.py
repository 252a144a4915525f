"""Evaluation of an autoencoder: one pass over real images and samples that feeds every metric."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from vaegan.config.schema import EvaluateConfig
from vaegan.data import Images
from vaegan.data.sources import warn_on_stderr
from vaegan.density_fitting import fit_density_to_images
from vaegan.distributed import get_rank, run_on_all_ranks
from vaegan.models import Autoencoder
from vaegan.models import density as densities
from vaegan.models.autoencoder import Sampler
from vaegan.progress import ProgressCallback, ignore_progress, nest_progress

from .metrics.build import build_metrics
from .metrics.metric import Metric, ModelPairs, Sums, round_to_8_bits
from .one_pass import ImageSplit, collect_result, evaluation_mode, pass_over_images
from .protocol import check_same_protocol, describe_computation, describe_images
from .result import EvaluationResult


def warn_on_main(message: str) -> None:
    """Print a one-line warning to standard error, on the main process alone."""
    if get_rank() == 0:
        warn_on_stderr(message)


@torch.no_grad()
def evaluate_model(
    model: Autoencoder,
    split: ImageSplit,
    config: EvaluateConfig,
    *,
    seed: int,
    training: Images | None = None,
    mirrored: bool = False,
    discriminator: nn.Module | None = None,
    progress: ProgressCallback = ignore_progress,
    notify: Callable[[str], None] = warn_on_main,
) -> EvaluationResult:
    """Evaluate a model by its reconstructions of a split and its samples from the prior, or from ``config.density``.

    Every image is computed once and shown to every metric, in batches that are the same whatever the metrics and the
    number of processes. What the batches give is summed, so that memory does not grow with the number of images.

    All processes of a launch call this together with the same arguments, and all of them get the same result.

    Args:
        model: Model; its training mode is restored.
        split: Real images; of more than ``config.samples``, that many, evenly spaced.
        config: What to measure and how.
        seed: Root of samples and posterior noise.
        training: Training images, to whose codes ``config.density`` is fitted, and for `memorisation`; None where
            neither is measured.
        mirrored: Whether the model has been trained on mirrored images too, for `memorisation`.
        discriminator: Discriminator of the same run, for `confusion` and `anomaly`; None: there is none.
        progress: Called with (images done, images in all) after each round, on every process with the same numbers. It
            may call collectives. What it raises ends the evaluation and is passed on; it must then raise on all
            processes.
        notify: Called with one-line notices.

    Raises:
        UserError: A file of weights is damaged, the processes have different arguments, the images lack the labels of
            a conditional model, or the density cannot be fitted.
        Failure: The model's images are not finite, or an image cannot be read.
    """
    real_images = split.describe_inputs(config, next(model.parameters()).device)
    build = partial(build_metrics, config, model.trained_config, model.image_shape, seed, discriminator)
    others = training if split.name != "train" else None
    metrics = run_on_all_ranks(lambda: build(real_images, notify, others, mirrored))
    with evaluation_mode(model):
        for metric in metrics.values():
            metric.prepare(next(model.parameters()).device)
    protocol = _describe_protocol(model, split, config, seed, training, metrics)
    check_same_protocol(protocol)
    pair_count, sample_count = protocol["reconstructions"], protocol["samples"]
    if sample_count and config.density is None and (problem := model.describe_weak_prior()):
        notify(problem)
    density, fit_images = None, training if sample_count and config.density is not None else None
    fit_count = len(fit_images or ())
    total = fit_count + pair_count + sample_count
    with evaluation_mode(model):
        if fit_images is not None and config.density is not None:
            nested = nest_progress(progress, 0, fit_count, total)
            density = fit_density_to_images(config.density, model, fit_images, seed, config.batch_size, nested)
        sampler, indices = Sampler(model, seed, density), split.images.select_evenly(pair_count)

        def measure_pairs(batch: range) -> Sums:
            chosen = indices[batch.start : batch.stop]
            labels = split.images.get_labels(chosen, model.classes)
            pairs = ModelPairs(model, split.images[chosen], batch.start, seed, labels, pair_count)
            return {name: metric.measure_pairs(pairs) for name, metric in metrics.items()}

        def measure_samples(batch: range) -> Sums:
            images = round_to_8_bits(sampler.draw(batch.start, batch.stop))
            return {name: metric.measure_set("sample", images, batch.start) for name, metric in metrics.items()}

        sums = pass_over_images(
            [(pair_count, measure_pairs), (sample_count, measure_samples)], config.batch_size,
            nest_progress(progress, fit_count, pair_count + sample_count, total),
        )  # fmt: skip

        sums = {name: metric.combine(sums.get(name, {})) for name, metric in metrics.items()}

    return collect_result(metrics, sums, protocol, notify)


def _describe_protocol(
    model: Autoencoder, split: ImageSplit, config: EvaluateConfig, seed: int, training: Images | None,
    metrics: Mapping[str, Metric[ModelPairs]],
) -> dict[str, Any]:  # fmt: skip
    """Return every choice that the result depends on, with the numbers of reconstructions and samples."""
    source = Sampler(model).source
    if config.density is not None:
        assert training is not None, "a density is fitted to training images"
        source = densities.describe_density(config.density, len(training))
    needs_samples = source is not None and any(metric.uses_samples for metric in metrics.values())
    return {
        "split": split.name,
        "reconstructions": split.count(config),
        "samples": (config.samples or len(split.images)) if needs_samples else 0,
        "samples_from": source,
        "density": None if config.density is None else densities.get_density_protocol(config.density),
        **describe_images(split.images, model),
        "pixels": "rounded and clamped to 8 bits",
        "code": "posterior mean",
        "labels": None if model.classes is None else f"the images' own; sample i: i modulo {model.classes}",
        "seed": seed,
        **describe_computation(next(model.parameters()), config.batch_size),
        **{name: metric.protocol for name, metric in metrics.items()},
    }
