"""Evaluation of runs: of the exported model in a run's folder, on the images that the run's config names.

A study calls `evaluate_finished_run`, `vaegan evaluate` calls `evaluate_run`. The former calls the latter, which looks
for a stored result by `load_or_evaluate`; without one, `evaluate_on_data` picks the split and `evaluate_model` computes
the metrics (for a classifier, `evaluate_classifier_splits`).
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

import vaegan
from vaegan.config import Config
from vaegan.config.adversarial import get_packing
from vaegan.config.architectures import ContinuousConfig
from vaegan.config.models import GANConfig
from vaegan.config.schema import EvaluateConfig
from vaegan.data import Data
from vaegan.density_fitting import fit_density_to_images
from vaegan.distributed import broadcast_from_main, run_on_all_ranks
from vaegan.errors import UserError
from vaegan.io import hash_file
from vaegan.losses.perceptual import get_evaluation_lpips_name
from vaegan.models import Autoencoder, Classifier
from vaegan.models.density import Density, check_density_fits
from vaegan.networks.given import GivenNetworks
from vaegan.progress import Reporter
from vaegan.storage.loading import load, load_class_names, load_discriminator
from vaegan.storage.run_folder import WEIGHTS_FILE, Run
from vaegan.storage.training_cost import read_training_cost
from vaegan.text import get_reason, to_one_line

from .augmentation import AUGMENTATION, describe_augmentation, measure_augmentation
from .classifier_evaluation import evaluate_classifier_splits
from .complete_runs import Train
from .metrics.build import get_feature_network
from .metrics.feature_extractors import INCEPTION
from .model_evaluation import evaluate_model
from .one_pass import ImageSplit, evaluation_mode, get_device
from .protocol import get_versions
from .result import EvaluatedRun, EvaluationResult, add_left_out, format_left_out, load_or_evaluate
from .training_cost import count_run_parameters

DISCRIMINATOR_METRICS = {"confusion", "anomaly"}
"""Metrics that look at the discriminator of the same run, if it has one."""
LPIPS_METRICS = {"lpips", "anomaly", "completion"}
"""Metrics that take random features in the place of AlexNet's where its weights are missing."""


def evaluate_finished_run(
    run: Run, config: Config, data: Data, train: Train, folder_of_real: Path, reporter: Reporter
) -> EvaluatedRun:
    """Evaluate a finished run and return it with its metrics and its cost; all processes do this together.

    Args:
        run: Run.
        config: Its config, with the evaluation.
        data: Images.
        train: Function that trains the classifiers of `augmentation`.
        folder_of_real: Folder of the classifier of real images, which the runs of a study share.
        reporter: Receiver of notes and progress.
    """
    model = run_on_all_ranks(lambda: load(run.path)).to(get_device())
    evaluation = evaluate_run(run, model, config.evaluate, data, reporter, train=train, folder_of_real=folder_of_real)
    cost = broadcast_from_main(lambda: read_training_cost(run.timing_file, reporter.note) if config.train.steps else {})
    return EvaluatedRun(run, config, evaluation, cost, count_run_parameters(model, config))


def evaluate_run(
    run: Run,
    model: Autoencoder | Classifier,
    config: EvaluateConfig,
    data: Data,
    reporter: Reporter,
    *,
    force: bool = False,
    networks: GivenNetworks | None = None,
    train: Train | None = None,
    folder_of_real: Path | None = None,
    show: Callable[[EvaluationResult], None] | None = None,
) -> EvaluationResult:
    """Evaluate a run's exported model and keep the result in the run's folder; all processes do this together.

    A stored result is used if it was computed with the same weights, images, settings and versions, on the same
    kind of device.

    Args:
        run: Run.
        model: Its model, on the device where it is evaluated.
        config: What is measured, of which split.
        data: Images.
        reporter: Receiver of notes and progress.
        force: Whether to evaluate even if the folder has a valid result; the new one must then have a metric, since it
            replaces the old one.
        networks: The modules of a run that was given modules.
        train: Function that trains the classifiers of `augmentation`; None: that metric is left out.
        folder_of_real: Folder of the classifier of real images; None: one of its own in the run's folder.
        show: Called with a new result before it is written; None: nothing is.

    Raises:
        UserError: The result has no metric (the stored one is kept), the classes of a conditional model are not those
            of the images, or the features are those that the discriminator was trained on.
    """
    if isinstance(model, Autoencoder):
        check_classes(run, model, data)
    if (digest := run.config.train.discriminator_features_sha256) is not None:
        run_on_all_ranks(lambda: check_features(digest, config))
    title = f"Evaluating {Path(*run.path.parts[-2:])}"

    def evaluate() -> EvaluationResult:
        result = measure()
        if data.differences:
            result.protocol["other_data"] = data.differences.describe()
        return result

    def measure() -> EvaluationResult:
        if isinstance(model, Classifier):
            with reporter.progress(title, "images") as progress:
                return evaluate_classifier_splits(model, data, config, seed=run.config.seed, progress=progress)
        discriminator, left_out = None, dict[str, str]()
        if get_packing(run.config.model) > 1:
            if "confusion" in config.metrics:
                left_out["confusion"] = "the discriminator scores pairs of images"
        elif DISCRIMINATOR_METRICS & set(config.metrics):
            discriminator = run_on_all_ranks(lambda: load_discriminator(run, reporter.note, networks))
            if discriminator is None and "confusion" in config.metrics and isinstance(run.config.model, GANConfig):
                left_out["confusion"] = "no checkpoint has the discriminator"
        result = evaluate_on_data(
            model, config, data, run.config.seed, title, reporter, discriminator, run.config.data.horizontal_flip
        )
        if AUGMENTATION in config.metrics and train is not None:
            measured = measure_augmentation(run, model, config, data, train, folder_of_real, reporter)
            result.metrics.update(measured.metrics)
            result.scores.update(measured.scores)
            result.protocol[AUGMENTATION] = describe_augmentation(config, data)
            left_out |= measured.left_out
        add_left_out(result, left_out, reporter.note_once)
        if force and not result.metrics:
            names, left_out = ", ".join(config.metrics), result.protocol.get("left_out", {})
            problem = f"cannot be measured of {run.path}" + (f": {format_left_out(left_out)}" if left_out else "")
            raise UserError(f"evaluate.metrics: {names}: {problem}; name others", on_all_ranks=True)
        return result

    return load_or_evaluate(
        run, lambda: describe_origin(config, data, hash_file(run.model_folder / WEIGHTS_FILE)), evaluate, force,
        show,
    )  # fmt: skip


def evaluate_on_data(
    model: Autoencoder,
    config: EvaluateConfig,
    data: Data,
    seed: int,
    title: str,
    reporter: Reporter,
    discriminator: nn.Module | None = None,
    mirrored: bool = False,
) -> EvaluationResult:
    """Evaluate a model on the split of a data set that the config names, with progress under a title.

    Args:
        model: The model.
        config: What is measured, of which split.
        data: The images.
        seed: Root of samples and posterior noise.
        title: Name of the work, for the progress bar.
        reporter: Receiver of notes and progress.
        discriminator: Discriminator of the same run; None: there is none.
        mirrored: Whether the model has been trained on mirrored images too.
    """
    split = ImageSplit(config.split, getattr(data, config.split), data.fingerprint)
    with reporter.progress(title, "images") as progress:
        return evaluate_model(
            model, split, config, seed=seed, training=data.train, mirrored=mirrored,
            discriminator=discriminator, progress=progress, notify=reporter.note_once,
        )  # fmt: skip


def refit_density(evaluated: EvaluatedRun, data: Data, reporter: Reporter) -> Density | None:
    """Return the density that a run's samples are drawn from, refitted to its training codes; None: it is the prior.

    All processes do this together.
    """
    config = evaluated.config.evaluate
    if config.density is None:
        return None
    path = evaluated.run.path
    model = run_on_all_ranks(lambda: load(path)).to(get_device())
    with reporter.progress(f"Encoding for {path.parent.name}", "images") as progress, evaluation_mode(model):
        return fit_density_to_images(
            config.density, model, data.train, evaluated.config.seed, config.batch_size, progress
        )


def check_images(config: Config, data: Data, option: str = "evaluate.split:") -> None:
    """Check that the evaluated split has images, and that the density can be fitted to the training images' codes.

    Args:
        config: Config of the run.
        data: Images.
        option: Setting that names the split, for the message.

    Raises:
        UserError: The split is empty, or `evaluate.density` cannot be fitted to so few or such large codes.
    """
    split = config.evaluate.split
    if not len(getattr(data, split)):
        members = data.members.members if data.members is not None else ()
        count = sum(member.split == split for member in members)
        problem = f"the run keeps no image in it (data.{split} is 0)"
        if count:
            problem = f"none of the images that the run keeps in it ({count:,}) can be used; restore them"
        raise UserError(f"{option} {split}: {problem}", on_all_ranks=True)
    if (spec := config.evaluate.density) is not None:
        assert isinstance(config.model, ContinuousConfig)
        size = math.prod(config.model.get_code_shape(config.data.image_shape))
        run_on_all_ranks(lambda: check_density_fits(spec, len(data.train), size))


def check_classes(run: Run, model: Autoencoder, data: Data) -> None:
    """Check that the images have the classes that a conditional model was trained on; all processes do this together.

    Raises:
        UserError: The images have other classes, or the same ones in another order.
    """
    names = broadcast_from_main(lambda: load_class_names(run.path)) if model.classes is not None else ()
    if names and names != data.classes:
        trained, current = (to_one_line(", ".join(classes)) for classes in (names, data.classes))
        raise UserError(
            f"{run.path}: knows the classes {trained}, and the images of data.source are {current};"
            " evaluate it on those that it was trained on",
            on_all_ranks=True,
        )


def check_features(digest: str, config: EvaluateConfig, source: str = "evaluate.features") -> None:
    """Check that a model is not evaluated by the features that its discriminator was trained on.

    Args:
        digest: SHA-256 of the weights of the classifier of these features.
        config: What is measured.
        source: Setting that names the network of the evaluation, for the message.

    Raises:
        UserError: It would be; the distances would be too small.
    """
    if hash_feature_network(config) == digest:
        problem = "is what the discriminator was trained on (train.discriminator_features), and would flatter the model"
        raise UserError(f"{source}: {config.features}: {problem}; name another classifier")


def describe_origin(config: EvaluateConfig, data: Data, weights: str | None) -> dict[str, Any]:
    """Return everything that the result of a model is a function of.

    Args:
        config: Settings of the evaluation.
        data: Images.
        weights: Hash of the model's weights; None: the model has none.
    """
    return {
        "weights": weights,
        "data": data.fingerprint,
        "settings": config.model_dump(mode="json", exclude={"features"}),
        "trained_lpips": not LPIPS_METRICS.isdisjoint(config.metrics) and get_evaluation_lpips_name("alex") == "alex",
        "features": hash_feature_network(config),
        "versions": {"vaegan": vaegan.__version__, **get_versions()},
        "device": get_device(),
    }


def hash_feature_network(config: EvaluateConfig) -> str | None:
    """Return what identifies the network of `evaluate.features`; None: no metric uses one.

    Raises:
        UserError: `evaluate.features` is not the folder of a finished classifier.
    """
    network = get_feature_network(config)
    if network is None or network == INCEPTION:
        return network
    try:
        return hash_file(Run(Path(network)).model_folder / WEIGHTS_FILE)
    except OSError as error:
        raise UserError(
            f"evaluate.features: {network}: no run of `vaegan train-features` ({WEIGHTS_FILE}: {get_reason(error)});"
            " name one, as with --features"
        ) from None
