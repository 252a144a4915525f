"""Evaluation of a classifier: its accuracy and cross-entropy."""

from typing import Any

import torch
import torch.nn.functional as F

from vaegan.config.schema import EvaluateConfig
from vaegan.data import Data
from vaegan.errors import Failure
from vaegan.images import to_float
from vaegan.models import Classifier
from vaegan.progress import ProgressCallback, ignore_progress, nest_progress

from .metrics.metric import Sums, concatenate_in_order, make_rows, reduce_on_main
from .one_pass import ImageSplit, evaluation_mode, pass_over_images
from .protocol import check_same_protocol, describe_computation, describe_images
from .result import EvaluationResult


@torch.no_grad()
def evaluate_classifier(
    model: Classifier,
    split: ImageSplit,
    config: EvaluateConfig,
    *,
    seed: int,
    progress: ProgressCallback = ignore_progress,
) -> EvaluationResult:
    """Evaluate a classifier by its logits for a split, in batches that are the same whatever the number of processes.

    All processes of a launch call this together with the same arguments, and all of them get the same result.

    Args:
        model: Classifier; its training mode is restored.
        split: Real images; of more than ``config.samples``, that many, evenly spaced.
        config: Number of images and images of a batch; its metrics are those of an autoencoder.
        seed: Seed of the run, for the protocol; nothing is drawn.
        progress: Called with (images done, images in all) after each round, on every process with the same numbers.

    Returns:
        `accuracy`, the fraction of the images whose largest logit is their label's; `cross_entropy` in nats per image.

    Raises:
        UserError: The images have no labels, or labels of other classes; or the processes have different arguments.
        Failure: A logit is not finite, or an image cannot be read.
    """
    images, count = split.images, split.count(config)
    labels = images.require_labels("model.classes", model.config.classes)
    parameter, indices = next(model.parameters()), images.select_evenly(count)
    protocol: dict[str, Any] = {
        "split": split.name,
        "images": count,
        **describe_images(images, model),
        "classes": model.config.classes,
        "seed": seed,
        **describe_computation(parameter, config.batch_size),
    }
    check_same_protocol(protocol)

    def measure(batch: range) -> Sums:
        chosen = indices[batch.start : batch.stop]
        logits = model(to_float(images[chosen].to(parameter.device), parameter.dtype)).cpu().double()
        if not logits.isfinite().all():
            raise Failure("the classifier's answers are not finite; evaluate a run whose training did not diverge")
        correct = logits.argmax(1) == labels[chosen]
        nats = F.cross_entropy(logits, labels[chosen], reduction="none")
        return {"accuracy": make_rows(batch.start, correct.double()), "cross_entropy": make_rows(batch.start, nats)}

    with evaluation_mode(model):
        sums = pass_over_images([(count, measure)], config.batch_size, progress)

    def compute_result(sums: Sums) -> EvaluationResult:
        scores = {name: concatenate_in_order(parts) for name, parts in sums.items()}
        means = {name: values.mean().item() for name, values in scores.items()}
        return EvaluationResult(means, protocol, scores=scores)

    return reduce_on_main(sums, compute_result)


def evaluate_classifier_splits(
    model: Classifier, data: Data, config: EvaluateConfig, *, seed: int, progress: ProgressCallback = ignore_progress
) -> EvaluationResult:
    """Evaluate a classifier on the split that the config names and on the images that it was trained on.

    Returns:
        Metrics and protocols of both; the names of the metrics begin with the split's, as in ``test/accuracy``.

    Raises:
        UserError: The images have no labels, or labels of other classes; or the processes have different arguments.
        Failure: A logit is not finite, or an image cannot be read.
    """
    splits = [ImageSplit(name, getattr(data, name)) for name in dict.fromkeys((config.split, "train"))]
    both, before, total = EvaluationResult({}, {}), 0, sum(split.count(config) for split in splits)
    for split in splits:
        nested = nest_progress(progress, before, split.count(config), total)
        before += split.count(config)
        result = evaluate_classifier(model, split, config, seed=seed, progress=nested)
        both.metrics.update({f"{split.name}/{name}": value for name, value in result.metrics.items()})
        both.scores.update({f"{split.name}/{name}": values for name, values in result.scores.items()})
        both.protocol[split.name] = result.protocol
    return both
