"""The commands that train a run: `train` and `train-features`."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vaegan.distributed import run_on_all_ranks
from vaegan.errors import UserError
from vaegan.extras import check_training_packages
from vaegan.progress import ProgressCallback

from .completion import complete_labelled_set, complete_recipe
from .console import Console
from .options import FOLDER, add_training_options, check_folder_path, get_default_folder, get_sweep_folder

if TYPE_CHECKING:
    from vaegan.config import Config
    from vaegan.data import Data
    from vaegan.evaluate.result import EvaluationResult
    from vaegan.storage.run_folder import Run


@click.command(short_help="Train a config or a shipped recipe.")
@click.argument("config", shell_complete=complete_recipe)
@click.option("--output", type=FOLDER, callback=check_folder_path, help="Run folder.  [default: runs/NAME]")
@add_training_options
def train(
    config: str, overrides: tuple[str, ...], output: Path | None, processes: int, dry_run: bool, **mode: bool
) -> None:
    """Train CONFIG: a YAML file, or a shipped recipe such as cifar10/vaegan3."""
    from vaegan.config import load_config

    from .inputs import open_images
    from .launch import join_processes

    folder = output or get_sweep_folder() or get_default_folder(config)
    resolved, console = load_config(config, overrides), Console()
    if dry_run:
        _show_dry_run(resolved, processes, console)
        return
    if not (finished := _is_finished(folder, resolved, **mode)):
        check_training_packages(resolved)
        join_processes(processes, [resolved], console)
        check_step_inputs(resolved)
        train_run(resolved, folder, open_images(resolved, console), console, **mode)
    console.say(f"{folder}: {_describe_training(resolved, finished)}; evaluate it with `vaegan evaluate {folder}`")


@click.command(short_help="Train a classifier, in whose features images are compared.")
@click.argument("data", shell_complete=complete_labelled_set)
@click.option("--output", type=FOLDER, callback=check_folder_path, help="Run folder.  [default: runs/features/NAME]")
@add_training_options
def train_features(
    data: str, overrides: tuple[str, ...], output: Path | None, processes: int, dry_run: bool, **mode: bool
) -> None:
    """Train a classifier on DATA: digits, shapes, cifar10, folder64, or a YAML file of family classifier.

    Its accuracy is measured and written to metrics.json. The run folder's name is that of the features.
    """
    from vaegan.config.load_study_files import load_classifier_config
    from vaegan.evaluate.run_evaluation import check_images

    from .evaluate import evaluate_run_folder
    from .inputs import open_images
    from .launch import join_processes

    name, resolved = load_classifier_config(data, overrides)
    folder, console = output or Path("runs/features") / get_default_folder(name).name, Console()
    if dry_run:
        _show_dry_run(resolved, processes, console)
        return
    finished = _is_finished(folder, resolved, **mode)
    check_training_packages(resolved)
    join_processes(processes, [resolved], console)
    images = open_images(resolved, console)
    check_images(resolved, images)
    if not finished:
        train_run(resolved, folder, images, console, **mode)
    result = evaluate_run_folder(folder, resolved, console)
    accuracies = [
        f"{result.metrics[f'{split}/accuracy']:.1%} of {result.protocol[split]['images']:,} {split} images"
        for split in dict.fromkeys((resolved.evaluate.split, "train"))
    ]
    console.say(f"{folder}: {_describe_training(resolved, finished)}; right about {' and '.join(accuracies)}")


def check_step_inputs(config: "Config") -> None:
    """Check the inputs that a training step needs besides images, before the images are read.

    Raises:
        UserError: The weights of the perceptual network, or the trained autoencoder of a prior, cannot be read.
    """
    from vaegan.trainers.steps import build_step

    build_step(config).check_inputs()


def train_run(
    config: "Config", folder: Path, data: "Data", console: Console, *, resume: bool, extend: bool = False
) -> "Run":
    """Train a run, and measure it on the validation images every `train.evaluate_every` steps.

    Args:
        config: The run.
        folder: Run folder; created if it does not exist.
        data: The images that `config.data` names.
        console: Shows progress and notes.
        resume: Resume from the newest checkpoint in ``folder``, if there is one.
        extend: Let a resumed run have more `train.steps` than it was started with.

    Raises:
        UserError: The settings or the run folder do not allow this training, or its metrics cannot be computed here.
        Failure: The training could not be finished.
        Interrupted: A signal asked the training to stop, and a checkpoint was written.
    """
    from vaegan.evaluate.classifier_evaluation import evaluate_classifier
    from vaegan.evaluate.metrics.build import check_metrics
    from vaegan.evaluate.model_evaluation import evaluate_model
    from vaegan.evaluate.one_pass import ImageSplit
    from vaegan.trainers import train

    evaluate: Callable[..., EvaluationResult] = evaluate_classifier
    if config.model.family != "classifier":
        evaluate = partial(evaluate_model, training=data.train, notify=console.note_once)
        if config.train.evaluate_every is not None:
            run_on_all_ranks(lambda: check_metrics(config))

    def validate(model: Any, images: "Data", progress: ProgressCallback) -> dict[str, float]:
        split = ImageSplit("validation", images.validation)
        return evaluate(model, split, config.evaluate, seed=config.seed, progress=progress).metrics

    return train(config, folder, data, validate, console, resume=resume, extend=extend)


def _is_finished(folder: Path, config: "Config", resume: bool, extend: bool) -> bool:
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


def _describe_training(config: "Config", finished_before: bool) -> str:
    steps = config.train.steps
    return f"finished already, with {steps} steps" if finished_before else f"trained {steps} steps"


def _show_dry_run(config: "Config", processes: int, console: Console) -> None:
    """Print the resolved config and the size of its run."""
    from vaegan.config import dump_config
    from vaegan.trainers.dry_run import estimate_size

    check_step_inputs(config)
    size = estimate_size(config, processes)
    console.say(dump_config(config))
    counts = {**size.parameters, "all": sum(size.parameters.values())}
    console.table(["network", "parameters"], [[name, f"{count:,}"] for name, count in counts.items()])
    console.say(
        f"weights {size.weight_bytes / 2**20:,.1f} MiB (with the averaged copy),"
        f" optimizer state {size.optimizer_bytes / 2**20:,.1f} MiB,"
        f" {size.images_per_process} images per step on each process; nothing was trained"
    )
