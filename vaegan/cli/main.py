"""The command line, where the library, the trainers and the evaluation come together.

Heavy packages are imported inside the commands that need them, so that `vaegan --help` answers at once.
"""

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vaegan import __version__
from vaegan.cli import inference
from vaegan.distributed import (
    destroy_process_group,
    get_rank,
    get_world_size,
    init_process_group,
    report_lost_ranks,
    run_on_all_ranks,
)
from vaegan.errors import Interrupted, UserError
from vaegan.progress import ProgressCallback

from .console import Console
from .exit_handling import CommandGroup, exit_with_one_line
from .inference import load_with_note
from .options import (
    DENSITY,
    OVERRIDES,
    PATH,
    PROCESSES,
    add_training_options,
    check_folder_path,
    get_default_folder,
    get_sweep_folder,
)

if TYPE_CHECKING:
    from vaegan.config import Config
    from vaegan.data import Data
    from vaegan.evaluate.result import EvaluationResult
    from vaegan.storage.runs import Run

os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # else torch shows its stack where a process is lost

COMMANDS_OF_ALL_RANKS = ("train", "train-features", "evaluate", "compare")
"""Commands that all processes of a launch take part in; the others are done by the first one alone."""


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__)
@click.pass_context
def cli(context: click.Context) -> None:
    """Train autoencoder generators (AE, VAE, VQ-VAE, two-way and three-way VAE-GAN), judge and compare them."""
    if get_rank() != 0 and context.invoked_subcommand not in COMMANDS_OF_ALL_RANKS:
        context.exit()


@cli.command(short_help="Train a config or a shipped recipe.")
@click.argument("config")
@click.option("--output", type=PATH, callback=check_folder_path, help="Run folder.  [default: runs/NAME]")
@add_training_options
def train(
    config: str,
    overrides: tuple[str, ...],
    output: Path | None,
    resume: bool,
    extend: bool,
    processes: int,
    dry_run: bool,
) -> None:
    """Train CONFIG: a YAML file, or a shipped recipe such as cifar10/vaegan3."""
    from vaegan.config import load_config

    run = output or get_sweep_folder() or get_default_folder(config)
    resolved, console = load_config(config, overrides), _console()
    if dry_run:
        _show_plan(resolved, processes, console)
        return
    if not (finished := _finished(run, resolved, resume, extend)):
        _meet(processes, [resolved], console)
        _see_ready(resolved)
        _train(resolved, run, _open(resolved, console), console, resume=resume, extend=extend)
    console.say(f"{run}: {_done(resolved, finished)}; judge it with `vaegan evaluate {run}`")


@cli.command(short_help="Train a classifier, in whose features images are compared.")
@click.argument("data")
@click.option("--output", type=PATH, callback=check_folder_path, help="Run folder.  [default: runs/features/NAME]")
@add_training_options
def train_features(
    data: str,
    overrides: tuple[str, ...],
    output: Path | None,
    resume: bool,
    extend: bool,
    processes: int,
    dry_run: bool,
) -> None:
    """Train a classifier on DATA: digits, shapes, cifar10, folder64, or a YAML file of family classifier.

    Its accuracy is measured and written to metrics.json. The run folder's name is that of the features.
    """
    from vaegan.config.load_study_files import load_classifier_config
    from vaegan.evaluate.model import check_images

    name, resolved = load_classifier_config(data, overrides)
    run, console = output or Path("runs/features") / get_default_folder(name).name, _console()
    if dry_run:
        _show_plan(resolved, processes, console)
        return
    finished = _finished(run, resolved, resume, extend)
    _meet(processes, [resolved], console)
    images = _open(resolved, console)
    check_images(resolved, images)
    if not finished:
        _train(resolved, run, images, console, resume=resume, extend=extend)
    judged = _judge(run, resolved, console)
    splits = [name.removesuffix("/accuracy") for name in judged.metrics if name.endswith("/accuracy")]
    shares = (
        f"{judged.metrics[f'{split}/accuracy']:.1%} of {judged.protocol[split]['images']:,} {split} images"
        for split in splits
    )
    console.say(f"{run}: {_done(resolved, finished)}; right about {' and '.join(shares)}")


@cli.command(short_help="Judge a trained run.")
@click.argument("run", type=PATH)
@click.option("--metrics", help="Which ones, separated by commas.  [default: the run's evaluate.metrics]")
@click.option("--samples", type=int, help="Images to draw, and at most to reconstruct.  [default: evaluate.samples]")
@click.option("--split", help="train, validation or test.  [default: evaluate.split]")
@click.option("--features", help="inception, or a run of train-features.  [default: evaluate.features]")
@DENSITY
@PROCESSES
def evaluate(run: Path, metrics: str | None, processes: int, **others: Any) -> None:
    """Judge the trained model of RUN and write RUN/metrics.json; of a classifier, its accuracy."""
    from vaegan.config.load import override_evaluation
    from vaegan.evaluate.descriptions import format_sample_source
    from vaegan.storage.runs import Run

    folder, console = Run(run), _console()
    asked = {"metrics": metrics and metrics.replace(" ", "").split(","), **others}
    if folder.config.model.family == "classifier" and (metrics or others["features"]):
        raise UserError("--metrics, --features: a classifier is measured by its accuracy alone; leave them out")
    config = override_evaluation(folder.config, asked, str(run))
    _meet(processes, [], console)
    result = _judge(run, config, console)
    rows = [
        [name + format_sample_source(name, result.density), f"{value:.4g}"] for name, value in result.metrics.items()
    ]
    console.table(["figure", str(run)], rows)
    console.say(f"written to {folder.metrics_file}, with the protocol of every figure")


@cli.command(short_help="Train and judge the variants of a study, and report.")
@click.argument("study")
@OVERRIDES
@click.option("--output", type=PATH, callback=check_folder_path, help="Folder of the study.  [default: runs/NAME]")
@click.option("--jobs", type=click.IntRange(1, 1024), default=1, help="Train so many runs side by side.")
@PROCESSES
def compare(study: str, overrides: tuple[str, ...], output: Path | None, jobs: int, processes: int) -> None:
    """Train and judge every variant of STUDY for every seed, and write comparison.json and report.html.

    What is finished already is kept, what was cut off is resumed.
    """
    from vaegan.config.load_study_files import load_study, load_study_classifier_config

    described, configs = load_study(study, overrides)
    features = load_study_classifier_config(study, described, next(iter(configs.values())))
    from vaegan.evaluate.study import compare as run_study
    from vaegan.trainers.log.tracking import Tracker

    for name in ("WANDB_RUN_ID", "WANDB_SWEEP_ID"):  # those of one run, and a study's are several
        os.environ.pop(name, None)
    folder, console = output or get_default_folder(study), _console()
    if jobs > 1:
        from .jobs import Jobs

        ahead = Jobs(folder, jobs, processes, console).train
    else:
        ahead = None
        _meet(processes, list(configs.values()), console)

    def train_one(config: "Config", into: Path, data: "Data", resume: bool) -> "Run":
        try:
            return _train(config, into, data, console, resume=resume)
        except Interrupted as stop:
            raise Interrupted(f"{folder}: stopped in {into}; the same command goes on", stop.on_all_ranks) from stop

    for row, config in configs.items():
        if described.variants[row].prior is None:  # which is trained first
            _see_ready(config)
    command = shlex.join(["vaegan", *sys.argv[1:]])
    comparison = run_study(
        described, configs, folder, train_one, console, command, features,
        lambda config, into: Tracker.start(config, into, None, console.note), ahead,
    )  # fmt: skip
    if comparison is not None:
        console.table(*comparison.table())
        console.say("\n".join(comparison.sentences()))
        console.say(f"report: {(folder / 'report.html').absolute()}")


for command in (inference.sample, inference.reconstruct, inference.interpolate, inference.configs, inference.weights):
    cli.add_command(command)


def _meet(processes: int, configs: "list[Config]", console: Console) -> None:
    """Be one of the processes that do the work together, or start them and end with them.

    Raises:
        UserError: They cannot share a config's batches.
    """
    from vaegan.trainers.batch_partition import get_batch_slice

    from .launch import follow_the_launcher, launch

    for config in configs:
        get_batch_slice(config.train, 0, processes)
    if processes > get_world_size():
        launch(processes, console)
    follow_the_launcher()
    init_process_group()


def _finished(folder: Path, config: "Config", resume: bool, extend: bool) -> bool:
    """Whether a folder already holds what is asked for.

    Raises:
        UserError: More steps are asked for, and not the run that is to have them.
    """
    from vaegan.config.differences import get_training_settings
    from vaegan.storage.runs import Run

    if extend and not resume:
        raise UserError("--extend: a run is made longer where it is gone on with; give --resume as well")
    run = Run(folder)
    return resume and run.finished and get_training_settings(run.config) == get_training_settings(config)


def _done(config: "Config", before: bool) -> str:
    return f"finished already, with {config.train.steps} steps" if before else f"trained {config.train.steps} steps"


def _train(
    config: "Config", folder: Path, data: "Data", console: Console, *, resume: bool, extend: bool = False
) -> "Run":
    from vaegan.evaluate.classifier import evaluate_classifier
    from vaegan.evaluate.metrics.build import check_metrics
    from vaegan.evaluate.model import evaluate_model
    from vaegan.trainers import train

    def validate(model: Any, images: "Data", progress: ProgressCallback) -> dict[str, float]:
        asked, split = (model, images.validation, config.evaluate), "validation"
        if config.model.family == "classifier":
            return evaluate_classifier(*asked, split=split, seed=config.seed, progress=progress).metrics
        return evaluate_model(
            *asked, split=split, seed=config.seed, training=images.train, progress=progress, notify=console.note_once
        ).metrics

    if config.train.evaluate_every is not None and config.model.family != "classifier":
        run_on_all_ranks(lambda: check_metrics(config))
    return train(config, folder, data, validate, console, resume=resume, extend=extend)


def _judge(run: Path, config: "Config", console: Console) -> "EvaluationResult":
    """The evaluation of a run's model, which is written to its `metrics.json`; all processes make it together."""
    from vaegan.evaluate.model import check_images, get_device
    from vaegan.evaluate.run import evaluate_run
    from vaegan.storage.loading import load, load_classifier
    from vaegan.storage.runs import Run

    load_kind: Any = load_classifier if config.model.family == "classifier" else load
    model = run_on_all_ranks(lambda: load_with_note(run, load_kind, console)).to(get_device())
    data = _open(config, console)
    check_images(config, data, "--split")
    return evaluate_run(Run(run), model, config.evaluate, data, console, again=True)


def _open(config: "Config", console: Console) -> "Data":
    from vaegan.data import open_data

    with console.progress("Reading images", "images") as progress:
        return run_on_all_ranks(lambda: open_data(config.data, console.note, progress))


def _see_ready(config: "Config") -> None:
    """See that what a training needs beside images is there, before they are read.

    Raises:
        UserError: It is not.
    """
    from vaegan.trainers.loop import STEPS

    STEPS[config.model.family].ready(config)


def _show_plan(config: "Config", processes: int, console: Console) -> None:
    from vaegan.config import dump_config
    from vaegan.trainers.dry_run import estimate_size, print_size

    _see_ready(config)
    planned = estimate_size(config, processes)
    console.say(dump_config(config))
    print_size(planned, console)


def _console() -> Console:
    return Console(shown=get_rank() == 0)


def main() -> None:
    """Run the command line."""
    with exit_with_one_line(), report_lost_ranks("start again"):
        cli.main(prog_name="vaegan", standalone_mode=False)
        destroy_process_group()


if __name__ == "__main__":
    main()
