"""Augmentation: the accuracy on real images of classifiers that have learnt from real and from generated images.

Of generated images alone it is the classification accuracy score of Ravuri & Vinyals 2019.
"""

from collections.abc import Mapping
from functools import partial
from hashlib import sha256
from pathlib import Path

import torch
from torch import Tensor

from vaegan.config import Config
from vaegan.config.schema import EvaluateConfig, TrackConfig
from vaegan.data import Data, Images
from vaegan.density_fitting import fit_density_to_images
from vaegan.distributed import run_on_all_ranks
from vaegan.errors import UserError
from vaegan.gathered_rows import compute_shared_rows
from vaegan.images import to_uint8
from vaegan.models import Autoencoder
from vaegan.models.autoencoder import Sampler
from vaegan.progress import Reporter
from vaegan.storage.loading import load_classifier, load_weights_hash
from vaegan.storage.run_folder import Run

from .classifier_evaluation import evaluate_classifier
from .complete_runs import Train, check_run_folders, complete_run
from .metrics.metric import MetricResult
from .one_pass import ImageSplit, evaluation_mode, get_device

AUGMENTATION = "augmentation"
"""Name of the metric, and of the folder of the classifiers in that of a run."""
MAX_IMAGES = 50_000
"""Most real images that a classifier learns from, taken at equal distances from all, and as many generated ones."""


def measure_augmentation(
    run: Run, model: Autoencoder, config: EvaluateConfig, data: Data, train: Train, folder_of_real: Path | None,
    reporter: Reporter,
) -> MetricResult:  # fmt: skip
    """Train classifiers on real images, on as many generated ones, and on both, and return their accuracy.

    All three are trained as the run of `evaluate.features` was, for as many steps, but with the seed of the evaluated
    run, so that the seeds of a study show by how much the accuracies vary. Each classifies the real images of the
    evaluated split. Finished classifiers are kept, interrupted ones resumed.

    All processes do this together.

    Args:
        run: The run of the model, whose folder gets the classifiers of generated images.
        model: Its model, in evaluation mode, on the device where it computes.
        config: The evaluation.
        data: The images.
        train: Function that trains a run.
        folder_of_real: Folder of the classifier of the real images; None: one of its own in the run's folder.
        reporter: Shows progress and notes.

    Returns:
        `augmentation/real`, `augmentation/generated` and `augmentation/both`, accuracies from 0 to 1, with the answer
        for each image; left out, with the reason, where the model or the images have no classes, or where the
        evaluated images are those that the classifiers learn from.

    Raises:
        UserError: `evaluate.features` is no run of a classifier of these images.
        Failure: A training failed; what is finished is kept.
        Interrupted: A training was asked to stop.
    """
    result = MetricResult({})
    if reason := _find_obstacle(model, config, data):
        result.left_out[AUGMENTATION] = reason
        return result
    classifier = run_on_all_ranks(lambda: Run(Path(config.features)).config)
    settings = _make_config(run.config, classifier)
    real = _take_real(data.train)
    generated = _generate(model, config, data, run.config.seed, len(real), reporter)
    of_real = (data.fingerprint, len(real), settings)
    of_both = (load_weights_hash(run.path), config.density, *of_real)

    def name_folder(name: str, inputs: tuple[object, ...]) -> Path:
        return run.path / AUGMENTATION / f"{name}-{sha256(repr(inputs).encode()).hexdigest()[:8]}"

    sets = {
        "real": (folder_of_real or name_folder("real", of_real), real),
        "generated": (name_folder("generated", of_both), generated),
        "both": (name_folder("both", of_both), _join(real, generated)),
    }
    split = ImageSplit(config.split, getattr(data, config.split))
    for name, (place, images) in sets.items():
        run_on_all_ranks(partial(check_run_folders, {place: settings}))
        known_by = f"{data.fingerprint} {place.name}"
        others = Data(images, data.validation, data.test, data.classes, known_by)
        trained = complete_run(settings, place, others, train, reporter)
        network = run_on_all_ranks(partial(load_classifier, trained.path)).to(get_device())
        evaluation = evaluate_classifier(network, split, config, seed=settings.seed)
        result.metrics[f"{AUGMENTATION}/{name}"] = evaluation.metrics["accuracy"]
        result.scores[f"{AUGMENTATION}/{name}"] = evaluation.scores["accuracy"]
    return result


def describe_augmentation(config: EvaluateConfig, data: Data) -> dict[str, object]:
    """Return the protocol of the metric.

    Args:
        config: The evaluation.
        data: The images.
    """
    return {
        "images": min(MAX_IMAGES, len(data.train)),
        "classifiers_as": Path(config.features).name,
        "generated": "as many",
    }


def check_classifier(features: str) -> None:
    """Check that `evaluate.features` is the run of a classifier, by whose settings others can be trained.

    Raises:
        UserError: It is not.
    """
    try:
        family = Run(Path(features)).config.model.family
    except UserError:
        family = None
    if family != "classifier":
        problem = "augmentation trains classifiers as that of this run was trained"
        raise UserError(f"evaluate.features: {features}: {problem}; name one of `vaegan train-features`")


def _find_obstacle(model: Autoencoder, config: EvaluateConfig, data: Data) -> str:
    """Return why the metric cannot be measured; empty: it can."""
    if model.classes is None:
        return "the model is unconditional"
    if data.train.labels is None:
        return "the images have no labels"
    return "the evaluated images are the training images" if config.split == "train" else ""


def _make_config(config: Config, classifier: Config) -> Config:
    """Return the config of the classifiers: images and seed of the run, and the other settings of the given one."""
    data = config.data.model_copy(update={"horizontal_flip": classifier.data.horizontal_flip, "crop": "centre"})
    never: Mapping[str, None] = dict.fromkeys(("sample_every", "evaluate_every"))
    training = classifier.train.model_copy(update={**never, "init": None, "init_sha256": None})
    update = {"seed": config.seed, "data": data, "train": training, "track": TrackConfig(wandb="disabled")}
    return classifier.model_copy(update=update)


def _take_real(images: Images) -> Images:
    """Return training images, at most `MAX_IMAGES` of them, in memory."""
    assert images.labels is not None
    positions = images.select_evenly(MAX_IMAGES)
    return _make_images(images[positions], images.labels[positions], images.classes)


@torch.no_grad()
def _generate(
    model: Autoencoder, config: EvaluateConfig, data: Data, seed: int, count: int, reporter: Reporter
) -> Images:
    """Return generated images of the classes in turn, in memory."""
    density = None
    if config.density is not None:
        with reporter.progress("Encoding", "images") as progress, evaluation_mode(model):
            density = fit_density_to_images(config.density, model, data.train, seed, config.batch_size, progress)
    sampler = Sampler(model, seed, density)

    def draw(rows: range) -> Tensor:
        return to_uint8(sampler.draw(rows.start, rows.stop)).cpu()

    with reporter.progress("Generating", "images") as progress, evaluation_mode(model):
        pixels = compute_shared_rows(count, config.batch_size, draw, progress)
    assert model.classes is not None
    return _make_images(pixels, torch.arange(count) % model.classes, data.classes)


def _join(one: Images, other: Images) -> Images:
    parts = [(images.store, images.labels) for images in (one, other)]
    pixels, labels = zip(*parts, strict=True)
    return _make_images(torch.cat(pixels), torch.cat(labels), one.classes)


def _make_images(pixels: Tensor, labels: Tensor, classes: tuple[str, ...]) -> Images:
    return Images(pixels, torch.arange(len(pixels)), labels, classes)
