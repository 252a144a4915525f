"""How often a classifier is right."""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F

from vaegan.config.schema import EvaluateConfig, Split
from vaegan.data import Data, Images
from vaegan.distributed import deal_batches, run_on_all_ranks
from vaegan.errors import Failure
from vaegan.images import to_float
from vaegan.models import Classifier
from vaegan.progress import ProgressCallback, ignore_progress

from .metrics.accumulate import Sums, add_sums, concatenate_in_order, make_rows, reduce_on_main
from .model import check_same_protocol, evaluation_mode, get_versions
from .result import EvaluationResult


@torch.no_grad()
def evaluate_classifier(
    model: Classifier,
    images: Images,
    config: EvaluateConfig,
    *,
    split: str,
    seed: int,
    progress: ProgressCallback = ignore_progress,
) -> EvaluationResult:
    """Measure a classifier by its answers to a split, in batches that are the same whatever the number of processes.

    All processes of a launch that have met call this with the same arguments and get the same answer.

    Args:
        model: Left in the mode in which it came.
        images: The split; of more than ``config.samples`` images, so many are taken at even distances.
        config: How many, and how many at a time; its metrics are an autoencoder's.
        split: Name of the split, for the protocol.
        seed: The run's, for the protocol; nothing is drawn.
        progress: As of `runner.evaluate_classifier`.

    Returns:
        `accuracy`, the share of the images whose largest logit is their label's; `cross_entropy` in nats per image.

    Raises:
        UserError: The images have no labels, or of other classes; or the processes were not asked for the same.
        Failure: An answer is not finite, or an image cannot be read.
    """
    labels = images.require_labels("model.classes", model.config.classes)
    count = min(len(images), config.samples or len(images))
    some = next(model.parameters())
    dtype = str(some.dtype).removeprefix("torch.")
    protocol: dict[str, Any] = {
        "split": split,
        "images": count,
        "of": len(images),
        "subset": "even distances",
        "resolution": model.image_shape[1],
        "channels": model.image_shape[0],
        "classes": model.config.classes,
        "seed": seed,
        "batch_size": config.batch_size,
        "dtype": dtype,
        "arithmetic": "float32, without TF32" if some.dtype == torch.float32 else dtype,
        "device": some.device.type,
        "versions": get_versions(),
    }
    check_same_protocol(protocol)

    def answers(places: range) -> Sums:
        chosen = images.select_evenly(count)[places.start : places.stop]
        logits = model(to_float(images[chosen].to(some.device), some.dtype)).cpu().double()
        if not logits.isfinite().all():
            raise Failure("the classifier's answers are not finite; evaluate a run whose training did not diverge")
        right = logits.argmax(1) == labels[chosen]
        surprise = F.cross_entropy(logits, labels[chosen], reduction="none")
        return {"accuracy": make_rows(places.start, right.double()), "cross_entropy": make_rows(places.start, surprise)}

    sums: Sums = {}
    with evaluation_mode(model):
        for places, done in deal_batches(count, config.batch_size):
            sums = add_sums(sums, run_on_all_ranks(partial(answers, places) if places else dict))
            progress(done, count)

    def conclude(sums: Sums) -> EvaluationResult:
        scores = {name: concatenate_in_order(parts) for name, parts in sums.items()}
        return EvaluationResult(
            {name: values.mean().item() for name, values in scores.items()}, protocol, scores=scores
        )

    return reduce_on_main(sums, conclude)


def evaluate_classifier_splits(
    model: Classifier, data: Data, config: EvaluateConfig, *, seed: int, progress: ProgressCallback = ignore_progress
) -> EvaluationResult:
    """Measure a classifier on the split that the config names and on the images that it was trained on.

    Returns:
        Figures and protocols of both; the names of the figures begin with the split's, as in ``test/accuracy``.

    Raises:
        UserError: As `evaluate_classifier`.
        Failure: As `evaluate_classifier`.
    """
    splits: dict[Split, Images] = {split: getattr(data, split) for split in (config.split, "train")}
    total = sum(min(len(images), config.samples or len(images)) for images in splits.values())
    whole, before = EvaluationResult({}, {}), 0
    for split, images in splits.items():
        on_top = partial(_on_top, progress, before, total)
        found = evaluate_classifier(model, images, config, split=split, seed=seed, progress=on_top)
        before += found.protocol["images"]
        whole.metrics.update({f"{split}/{name}": figure for name, figure in found.metrics.items()})
        whole.scores.update({f"{split}/{name}": values for name, values in found.scores.items()})
        whole.protocol[split] = found.protocol
    return whole


def _on_top(progress: ProgressCallback, before: int, total: int, done: int, of: int) -> None:
    progress(before + done, total)
