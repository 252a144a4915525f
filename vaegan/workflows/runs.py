"""The work of the commands and of `vaegan.api`: train and evaluate what a config describes.

All processes of a launch call these functions together. Heavy packages are imported inside them, so that `vaegan.api`
can load models where the packages of trainings and evaluations are not installed.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from vaegan.distributed import run_on_all_ranks, run_on_main
from vaegan.errors import UserError
from vaegan.extras import check_evaluation_packages
from vaegan.paths import check_folder_is_writable, is_searched
from vaegan.progress import ProgressCallback, Reporter

if TYPE_CHECKING:
    from torch.nn import Module

    from vaegan.config import Config
    from vaegan.data import Data
    from vaegan.data.given import GivenImages
    from vaegan.evaluate.result import EvaluationResult
    from vaegan.networks.given import GivenNetworks
    from vaegan.storage.run_folder import Run

T = TypeVar("T")
M = TypeVar("M", bound="Module")


def is_finished(folder: Path, config: "Config", resume: bool, extend: bool) -> bool:
    """Return whether a folder already holds the finished run that is to be resumed.

    Raises:
        UserError: ``extend`` is set without ``resume``.
    """
    from vaegan.config.differences import get_training_settings
    from vaegan.storage.run_folder import Run

    if extend and not resume:
        raise UserError("--extend: makes a resumed run longer; give --resume as well")
    run = Run(folder)
    return resume and run.finished and get_training_settings(run.config) == get_training_settings(config)


def check_step_inputs(config: "Config", networks: "GivenNetworks | None" = None) -> None:
    """Check the inputs that a training step needs besides images, before the images are read.

    Args:
        config: The run.
        networks: Modules in the place of networks of the config.

    Raises:
        UserError: The weights of the perceptual network, or the trained autoencoder of a prior, cannot be read, the
            folder of initial weights does not exist, or the modules are not those of the config, or cannot be trained.
    """
    from vaegan.storage.initial_weights import check_source
    from vaegan.trainers.steps import build_step

    if config.train.init is not None and config.train.init_sha256 is None:  # an existing run no longer needs them
        run_on_all_ranks(lambda: check_source(str(config.train.init)))
    training_step = build_step(config, networks)
    training_step.check_inputs()
    training_step.check_networks()


def check_ema_metric(config: "Config", features: str | None = None) -> None:
    """Check that `train.ema_metric` can choose between two averages of the weights, if it is given.

    Args:
        config: The run.
        features: Name of the network of features, if it is to replace `evaluate.features`.

    Raises:
        UserError: It is not measured, or less of it is not better, or the model is a classifier.
    """
    from vaegan.evaluate.deciding_metric import check_deciding_metric

    source, metric, evaluate = "train.ema_metric", config.train.ema_metric, config.evaluate
    if metric is None:
        return
    if config.model.family == "classifier":
        raise UserError(f"{source}: a classifier has one average of its weights; leave it out")
    if features is not None:
        evaluate = evaluate.model_copy(update={"features": features})
    check_deciding_metric(metric, source, evaluate, config.model, better="lower")


def check_run_destination(folder: Path, *configs: "Config") -> None:
    """Check that a new run or study can be written into a folder, and that its pictures will not lie among its images.

    Raises:
        UserError: The folder lies in that of the images.
        FileFailure: No file can be created there.
    """
    check_folder_is_writable(folder)
    for config in configs:
        root, is_new = config.data.root, next(folder.rglob("config.yaml"), None) is None
        if config.data.source == "folder" and root is not None and is_new and is_searched(folder, root):
            problem = f"inside data.root={root}, whose images would be joined by the pictures that are written"
            raise UserError(f"--output {folder}: {problem}; name a folder elsewhere")


def train_run(
    config: "Config",
    folder: Path,
    reporter: Reporter,
    data: "Data | None" = None,
    networks: "GivenNetworks | None" = None,
    *,
    resume: bool,
    extend: bool = False,
    allow_other_data: bool = False,
) -> "Run":
    """Train a run, and measure it on the validation images every `train.evaluate_every` steps.

    Args:
        config: The run.
        folder: Run folder; created if it does not exist.
        reporter: Shows progress and notes.
        data: The images that `config.data` names; None: they are opened here.
        networks: Modules in the place of networks of the config.
        resume: Resume from the newest checkpoint in ``folder``, if there is one.
        extend: Let a resumed run have more `train.steps` than it was started with.
        allow_other_data: Let a resumed run go on although images are missing or have other labels.

    Raises:
        UserError: The settings or the run folder do not allow this training, or its metrics cannot be computed here.
        Failure: The training could not be finished.
        Interrupted: A signal asked the training to stop, and a checkpoint was written.
    """
    from vaegan.storage.run_data import open_training_data
    from vaegan.trainers import train

    run_on_main(lambda: check_run_destination(folder, config))
    if data is None:
        data, _ = open_training_data(config, folder, reporter, allow_other_data=allow_other_data)
    evaluator = _make_evaluator(config, data, reporter) if config.train.evaluate_every is not None else None
    return train(config, folder, data, evaluator, reporter, resume=resume, extend=extend, networks=networks)


def read_evaluation_config(folder: Path, settings: Mapping[str, object]) -> "Config":
    """Read the config of a run, with other settings in its `evaluate` section; those that are None change nothing.

    Raises:
        UserError: ``folder`` is no run, a setting is wrong, or a classifier is given metrics or features.
    """
    from vaegan.config.load import override_evaluation
    from vaegan.storage.run_folder import Run

    config = Run(folder).config
    if config.model.family == "classifier" and (settings["metrics"] or settings["features"]):
        raise UserError("--metrics, --features: a classifier is measured by its accuracy alone; leave them out")
    return override_evaluation(config, settings, str(folder))


def evaluate_folder(
    folder: Path,
    config: "Config",
    reporter: Reporter,
    data: "Data | None" = None,
    networks: "GivenNetworks | None" = None,
    *,
    images: "GivenImages | None" = None,
    data_root: Path | None = None,
    allow_other_data: bool = False,
    show: "Callable[[EvaluationResult], None] | None" = None,
    native_size: bool = False,
    tile_side: int | None = None,
) -> "EvaluationResult":
    """Evaluate a run's model with all processes, and write `metrics.json` and `scores.safetensors` into its folder.

    Args:
        folder: Run folder.
        config: The run's config, with the settings of the evaluation.
        reporter: Shows progress and notes.
        data: The images that `config.data` names; None: they are opened here.
        networks: Modules in the place of networks of the config.
        images: The images of a run of the source ``given``.
        data_root: Folder that the images have moved to, which is remembered; None: they are where the config says.
        allow_other_data: Whether to evaluate even if the images are not those of the run; the protocol then says so.
        show: Called with the result before it is written; None: nothing is.
        native_size: Whether reconstructions of image files in their own sizes are measured, and nothing else.
        tile_side: Side of the tiles of larger images, in pixels; 0: images stay whole; None: that of `reconstruct`.

    Raises:
        UserError: The folder holds no model, the images are missing or not the run's, or nothing can be measured.
        Failure: A result is not finite, or a file cannot be read or written.
    """
    check_evaluation_packages(config)
    run_on_main(lambda: check_folder_is_writable(folder, "evaluate a copy of the run"))
    from vaegan.evaluate.run_evaluation import check_images, evaluate_run
    from vaegan.storage.loading import load_model
    from vaegan.storage.run_data import open_run_data
    from vaegan.storage.run_folder import Run

    model: Any = load_distributed_model(folder, partial(load_model, networks=networks), reporter)
    if native_size:  # nothing is sampled
        config = config.model_copy(update={"evaluate": config.evaluate.model_copy(update={"density": None})})
    if data is None:
        data, config = open_run_data(
            Run(folder), config, reporter, images, data_root=data_root, allow_other_data=allow_other_data
        )
    check_images(config, data, "--split")
    if native_size:
        from vaegan.applications.native_size import get_tile_side
        from vaegan.evaluate.native_size import evaluate_run_at_native_size

        tile = get_tile_side(tile_side)
        return evaluate_run_at_native_size(Run(folder), model, config, data, tile, reporter, show)

    def train(classifier: "Config", place: Path, others: "Data", resume: bool) -> "Run":
        return train_run(classifier, place, reporter, others, resume=resume)

    return evaluate_run(
        Run(folder), model, config.evaluate, data, reporter, force=True, networks=networks, train=train, show=show
    )


def is_model_alone(folder: Path) -> bool:
    """Return whether a folder is that of an exported model, without its run."""
    from vaegan.storage.run_folder import DESCRIPTION_FILE, Run

    return not Run(folder).exists and (folder / DESCRIPTION_FILE).is_file()


def load_run_model(folder: Path, load: Callable[[Path], T], reporter: Reporter) -> T:
    """Load the model of a run with ``load``, and note if the run is not finished.

    Raises:
        UserError: ``folder`` is no run folder, or ``load`` finds no model of its kind.
    """
    from vaegan.storage.run_folder import Run

    if is_model_alone(folder):
        return load(folder)
    run = Run(folder)
    steps, model = run.config.train.steps, load(folder)
    if not run.finished:
        reporter.note(f"{folder}: not finished; this is its model after {run.exported_step} of {steps} steps")
    return model


def load_distributed_model(folder: Path, load: "Callable[[Path], M]", reporter: Reporter) -> "M":
    """Load the model of a run on every process as `load_run_model` does, and move it to the device of each.

    Raises:
        UserError: ``folder`` is no run folder, or ``load`` finds no model of its kind.
    """
    from vaegan.evaluate.one_pass import get_device

    return run_on_all_ranks(lambda: load_run_model(folder, load, reporter)).to(get_device())


def _make_evaluator(config: "Config", data: "Data", reporter: Reporter) -> Callable[..., Mapping[str, float]]:
    """Return the function that evaluates a model during its training.

    Raises:
        UserError: A metric cannot be computed here, or cannot choose between two averages.
    """
    from vaegan.evaluate.classifier_evaluation import evaluate_classifier
    from vaegan.evaluate.metrics.build import check_metrics
    from vaegan.evaluate.model_evaluation import evaluate_model
    from vaegan.evaluate.one_pass import ImageSplit

    run_on_all_ranks(lambda: check_ema_metric(config))
    evaluate: Callable[..., EvaluationResult] = evaluate_classifier
    if config.model.family != "classifier":
        mirrored = config.data.horizontal_flip
        evaluate = partial(evaluate_model, training=data.train, mirrored=mirrored, notify=reporter.note_once)
        run_on_all_ranks(lambda: check_metrics(config))

    def validate(model: Any, images: "Data", progress: ProgressCallback) -> dict[str, float]:
        split = ImageSplit("validation", images.validation)
        return evaluate(model, split, config.evaluate, seed=config.seed, progress=progress).metrics

    return validate
