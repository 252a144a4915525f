"""The command line, where the library, the trainers and the evaluation come together.

Heavy packages are imported inside the commands that need them, so that `vaegan --help` answers at once.
"""

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vaegan import __version__, showing
from vaegan.console import Console, Update
from vaegan.ending import Commands, one_line
from vaegan.errors import Interrupted, Mistake
from vaegan.options import DENSITY, OVERRIDES, PATH, PROCESSES, default_folder, folder, folder_in_sweep, training
from vaegan.processes import join, leave, nobody_lost, rank, size, together
from vaegan.showing import loaded

if TYPE_CHECKING:
    from vaegan.config import Config
    from vaegan.data import Data
    from vaegan.evaluate.evaluation import Evaluation
    from vaegan.runs import Run

os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # else torch shows its stack where a process is lost

TOGETHER = ("train", "train-features", "evaluate", "compare")
"""Commands that all processes of a launch take part in; the others are done by the first one alone."""


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__)
@click.pass_context
def cli(context: click.Context) -> None:
    """Train autoencoder generators (AE, VAE, VQ-VAE, two-way and three-way VAE-GAN), judge and compare them."""
    if rank() != 0 and context.invoked_subcommand not in TOGETHER:
        context.exit()


@cli.command(short_help="Train a config or a shipped recipe.")
@click.argument("config")
@click.option("--output", type=PATH, callback=folder, help="Run folder.  [default: runs/NAME]")
@training
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

    run = output or folder_in_sweep() or default_folder(config)
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
@click.option("--output", type=PATH, callback=folder, help="Run folder.  [default: runs/features/NAME]")
@training
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
    from vaegan.config.studies import load_features_config
    from vaegan.evaluate.runner import see_images

    name, resolved = load_features_config(data, overrides)
    run, console = output or Path("runs/features") / default_folder(name).name, _console()
    if dry_run:
        _show_plan(resolved, processes, console)
        return
    finished = _finished(run, resolved, resume, extend)
    _meet(processes, [resolved], console)
    images = _open(resolved, console)
    see_images(resolved, images)
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
    from vaegan.config.reading import evaluated_with
    from vaegan.evaluate.figures import source
    from vaegan.runs import Run

    folder, console = Run(run), _console()
    asked = {"metrics": metrics and metrics.replace(" ", "").split(","), **others}
    if folder.config.model.family == "classifier" and (metrics or others["features"]):
        raise Mistake("--metrics, --features: a classifier is measured by its accuracy alone; leave them out")
    config = evaluated_with(folder.config, asked, str(run))
    _meet(processes, [], console)
    result = _judge(run, config, console)
    rows = [[name + source(name, result.density), f"{value:.4g}"] for name, value in result.metrics.items()]
    console.table(["figure", str(run)], rows)
    console.say(f"written to {folder.metrics_file}, with the protocol of every figure")


@cli.command(short_help="Train and judge the variants of a study, and report.")
@click.argument("study")
@OVERRIDES
@click.option("--output", type=PATH, callback=folder, help="Folder of the study.  [default: runs/NAME]")
@click.option("--jobs", type=click.IntRange(1, 1024), default=1, help="Train so many runs side by side.")
@PROCESSES
def compare(study: str, overrides: tuple[str, ...], output: Path | None, jobs: int, processes: int) -> None:
    """Train and judge every variant of STUDY for every seed, and write comparison.json and report.html.

    What is finished already is kept, what was cut off is resumed.
    """
    from vaegan.config.studies import load_study, load_study_features

    described, configs = load_study(study, overrides)
    features = load_study_features(study, described, next(iter(configs.values())))
    from vaegan.evaluate.study import compare as run_study
    from vaegan.trainers.tracking import Tracker

    for name in ("WANDB_RUN_ID", "WANDB_SWEEP_ID"):  # those of one run, and a study's are several
        os.environ.pop(name, None)
    folder, console = output or default_folder(study), _console()
    if jobs > 1:
        from vaegan.jobs import Jobs

        ahead = Jobs(folder, jobs, processes, console).train
    else:
        ahead = None
        _meet(processes, list(configs.values()), console)

    def train_one(config: "Config", into: Path, data: "Data", resume: bool) -> "Run":
        try:
            return _train(config, into, data, console, resume=resume)
        except Interrupted as stop:
            raise Interrupted(f"{folder}: stopped in {into}; the same command goes on", stop.everywhere) from stop

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


for command in (showing.sample, showing.reconstruct, showing.interpolate, showing.configs, showing.weights):
    cli.add_command(command)


def _meet(processes: int, configs: "list[Config]", console: Console) -> None:
    """Be one of the processes that do the work together, or start them and end with them.

    Raises:
        Mistake: They cannot share a config's batches.
    """
    from vaegan.launching import follow_the_launcher, launch
    from vaegan.trainers.dividing import share

    for config in configs:
        share(config.train, 0, processes)
    if processes > size():
        launch(processes, console)
    follow_the_launcher()
    join()


def _finished(folder: Path, config: "Config", resume: bool, extend: bool) -> bool:
    """Whether a folder already holds what is asked for.

    Raises:
        Mistake: More steps are asked for, and not the run that is to have them.
    """
    from vaegan.config.comparing import training_settings
    from vaegan.runs import Run

    if extend and not resume:
        raise Mistake("--extend: a run is made longer where it is gone on with; give --resume as well")
    run = Run(folder)
    return resume and run.finished and training_settings(run.config) == training_settings(config)


def _done(config: "Config", before: bool) -> str:
    return f"finished already, with {config.train.steps} steps" if before else f"trained {config.train.steps} steps"


def _train(
    config: "Config", folder: Path, data: "Data", console: Console, *, resume: bool, extend: bool = False
) -> "Run":
    from vaegan.evaluate import accuracy, runner
    from vaegan.evaluate.metrics.making import see_metrics
    from vaegan.trainers import train

    def validate(model: Any, images: "Data", progress: Update) -> dict[str, float]:
        asked, split = (model, images.validation, config.evaluate), "validation"
        if config.model.family == "classifier":
            return accuracy.evaluate(*asked, split=split, seed=config.seed, progress=progress).metrics
        return runner.evaluate(
            *asked, split=split, seed=config.seed, training=images.train, progress=progress, notify=console.note_once
        ).metrics

    if config.train.evaluate_every is not None and config.model.family != "classifier":
        together(lambda: see_metrics(config))
    return train(config, folder, data, validate, console, resume=resume, extend=extend)


def _judge(run: Path, config: "Config", console: Console) -> "Evaluation":
    """The evaluation of a run's model, which is written to its `metrics.json`; all processes make it together."""
    from vaegan.evaluate.judging import evaluate_run
    from vaegan.evaluate.runner import device, see_images
    from vaegan.runs import Run, load, load_features

    load_kind: Any = load_features if config.model.family == "classifier" else load
    model = together(lambda: loaded(run, load_kind, console)).to(device())
    data = _open(config, console)
    see_images(config, data, "--split")
    return evaluate_run(Run(run), model, config.evaluate, data, console, again=True)


def _open(config: "Config", console: Console) -> "Data":
    from vaegan.data import open_data

    with console.progress("Reading images", "images") as progress:
        return together(lambda: open_data(config.data, console.note, progress))


def _see_ready(config: "Config") -> None:
    """See that what a training needs beside images is there, before they are read.

    Raises:
        Mistake: It is not.
    """
    from vaegan.trainers.base import FAMILIES

    FAMILIES[config.model.family].ready(config)


def _show_plan(config: "Config", processes: int, console: Console) -> None:
    from vaegan.config import dump
    from vaegan.trainers.plan import plan, show

    _see_ready(config)
    planned = plan(config, processes)
    console.say(dump(config))
    show(planned, console)


def _console() -> Console:
    return Console(shown=rank() == 0)


def main() -> None:
    """Run the command line."""
    with one_line(), nobody_lost("start again"):
        cli.main(prog_name="vaegan", standalone_mode=False)
        leave()


if __name__ == "__main__":
    main()
