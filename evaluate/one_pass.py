"""The one pass over images that evaluates autoencoders and classifiers alike, in batches dealt to all processes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from vaegan.config.schema import EvaluateConfig
from vaegan.data import Images
from vaegan.distributed import deal_batches, run_on_all_ranks
from vaegan.precision import full_precision
from vaegan.progress import ProgressCallback, ignore_progress

from .metrics.metric import Metric, Sums, add_sums, reduce_on_main
from .protocol import get_versions
from .result import EvaluationResult, format_left_out

Stage = tuple[int, Callable[[range], Sums]]
"""Number of images, and the function that returns what those of a range of indices add to the sums."""


@dataclass(frozen=True)
class ImageSplit:
    """A split of a data set that a model is evaluated on."""

    name: str
    """Name of the split, for the protocol."""
    images: Images
    """Images of the split."""
    fingerprint: str | None = None
    """`Data.fingerprint` of the data set, by which the features of real images are cached for all models; None: they
    are computed in each evaluation."""

    def count(self, config: EvaluateConfig) -> int:
        """Return how many images are evaluated: at most ``config.samples``, evenly spaced."""
        return min(len(self.images), config.samples or len(self.images))

    def describe_inputs(self, config: EvaluateConfig, device: torch.device) -> dict[str, Any] | None:
        """Return everything that the evaluated images and their batches are a function of; None: no fingerprint."""
        if not self.fingerprint:
            return None
        return {
            "data": self.fingerprint, "split": self.name, "count": self.count(config),
            "batch_size": config.batch_size, "device": device.type, "versions": get_versions(),
        }  # fmt: skip


def pass_over_images(stages: Sequence[Stage], batch_size: int, progress: ProgressCallback = ignore_progress) -> Sums:
    """Return the sums of this process over its batches of all stages, one stage after the other.

    All processes of a launch call this together. They work in rounds, in each of which a process has one batch or, in
    the last round, none. The batches are the same whatever the number of processes.

    Args:
        stages: Parts of the pass.
        batch_size: Images of a batch.
        progress: Called with (images done, images in all) after each round, on every process with the same numbers. It
            may call collectives; what it raises, it must raise on all processes.

    Raises:
        UserError: A process raised it for one of its batches.
        Failure: A process raised it for one of its batches.
    """
    sums: Sums = {}
    before, total = 0, sum(count for count, _ in stages)
    for count, evaluate_batch in stages:
        for indices, done in deal_batches(count, batch_size):
            sums = add_sums(sums, run_on_all_ranks(partial(evaluate_batch, indices) if indices else dict))
            progress(before + done, total)
        before += count
    return sums


def collect_result(
    metrics: Mapping[str, Metric[Any]], sums: Mapping[str, Sums], protocol: dict[str, Any],
    notify: Callable[[str], None], left_out: Mapping[str, str] | None = None,
) -> EvaluationResult:  # fmt: skip
    """Return the result of all metrics from the sums of each process, on all of them, which call this together.

    Args:
        metrics: The metrics, by name.
        sums: What the process has measured, by the metric's name.
        protocol: Every choice that the result depends on; what is left out is added to it.
        notify: Called with one line about what is left out.
        left_out: Reason why a metric was not measured, by its name.
    """

    def compute_result(sums: Sums) -> EvaluationResult:
        collected, reasons = EvaluationResult({}, protocol), dict(left_out or {})
        for name, metric in metrics.items():
            kinds = {**vars(metric.compute_result(sums[name]))}
            reasons.update(kinds.pop("left_out"))
            for kind, values in kinds.items():
                getattr(collected, kind).update(values)
        if reasons:
            protocol["left_out"] = reasons
        return collected

    result = reduce_on_main(dict(sums), compute_result)
    if result.metrics and (reasons := result.protocol.get("left_out")):
        notify(f"evaluate.metrics: left out are {format_left_out(reasons)}")
    return result


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Keep a model in evaluation mode, in full precision without TF32, inside the block; restore both afterwards."""
    training = model.training
    model.eval()
    try:
        with full_precision(next(model.parameters()).device, deterministic=False):
            yield
    finally:
        model.train(training)


def get_device() -> str:
    """Return the device on which models are evaluated: `cuda` if there is a GPU, else `cpu`."""
    return "cuda" if torch.cuda.is_available() else "cpu"
