"""The commands that train a run: `train` and `train-features`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vaegan.extras import check_training_packages
from vaegan.text import to_one_line
from vaegan.workflows.runs import check_ema_metric, check_step_inputs, evaluate_folder, is_finished, train_run

from .completion import complete_labelled_set, complete_recipe
from .console import Console
from .options import FOLDER, add_training_options, check_folder_path, get_sweep_folder

if TYPE_CHECKING:
    from vaegan.config import Config
    from vaegan.evaluate.result import EvaluationResult


@click.command(short_help="Train a config or a shipped recipe.")
@click.argument("config", shell_complete=complete_recipe)
@click.option("--output", type=FOLDER, callback=check_folder_path, help="Run folder.  [default: runs/NAME]")
@add_training_options
def train(
    config: str,
    overrides: tuple[str, ...],
    output: Path | None,
    processes: int,
    dry_run: bool,
    resume: bool,
    extend: bool,
    allow_other_data: bool,
) -> None:
    """Train CONFIG: a YAML file, or a shipped recipe such as cifar10/vaegan3.

    Any setting is replaced by key.sub=value, as in train.steps=500; `vaegan configs --schema` prints every one.
    """
    from vaegan.config.load import load_config
    from vaegan.config.recipes import get_default_folder
    from vaegan.storage.adopted_settings import adopt_settings

    from .launch import join_processes

    folder = output or get_sweep_folder() or get_default_folder(config)
    resolved, console = adopt_settings(load_config(config, overrides), folder), Console()
    if dry_run:
        _show_dry_run(resolved, processes, console)
        return
    if not (finished := is_finished(folder, resolved, resume, extend)):
        check_training_packages(resolved)
        join_processes(processes, [resolved], console)
        check_step_inputs(resolved)
        train_run(resolved, folder, console, resume=resume, extend=extend, allow_other_data=allow_other_data)
    console.say(f"{folder}: {_describe_training(resolved, finished)}; evaluate it with `vaegan evaluate {folder}`")


@click.command(short_help="Train a classifier in whose features images are compared.")
@click.argument("data", shell_complete=complete_labelled_set)
@click.option("--output", type=FOLDER, callback=check_folder_path, help="Run folder.  [default: runs/features/NAME]")
@add_training_options
def train_features(
    data: str,
    overrides: tuple[str, ...],
    output: Path | None,
    processes: int,
    dry_run: bool,
    resume: bool,
    extend: bool,
    allow_other_data: bool,
) -> None:
    """Train a classifier on DATA: digits, shapes, cifar10, faces64, folder64, folder128, or a config file.

    Its accuracy is measured and written to metrics.json. The run folder's name is that of the features.
    """
    from vaegan.config.load_study_files import load_classifier_config
    from vaegan.config.recipes import get_default_folder
    from vaegan.evaluate.run_evaluation import check_images
    from vaegan.storage.adopted_settings import adopt_settings
    from vaegan.storage.run_data import open_run_data, open_training_data
    from vaegan.storage.run_folder import Run

    from .launch import join_processes

    name, resolved = load_classifier_config(data, overrides)
    folder, console = output or Path("runs/features") / get_default_folder(name).name, Console()
    resolved = adopt_settings(resolved, folder)
    if dry_run:
        _show_dry_run(resolved, processes, console)
        return
    finished = is_finished(folder, resolved, resume, extend)
    check_training_packages(resolved)
    join_processes(processes, [resolved], console)
    if finished:
        images, _ = open_run_data(Run(folder), resolved, console, allow_other_data=allow_other_data)
    else:
        images, _ = open_training_data(resolved, folder, console, allow_other_data=allow_other_data)
    check_images(resolved, images)
    if not finished:
        train_run(resolved, folder, console, images, resume=resume, extend=extend)

    def show(result: "EvaluationResult") -> None:
        accuracies = [
            f"{result.metrics[f'{split}/accuracy']:.1%} of {result.protocol[split]['images']:,} {split} images"
            for split in dict.fromkeys((resolved.evaluate.split, "train"))
        ]
        console.say(f"{folder}: {_describe_training(resolved, finished)}; right about {' and '.join(accuracies)}")

    evaluate_folder(folder, resolved, console, images, show=show)


def _describe_training(config: "Config", finished_before: bool) -> str:
    steps = config.train.steps
    if not steps:
        return f"has the weights of {config.train.init}"
    return f"finished already, with {steps} steps" if finished_before else f"trained {steps} steps"


def _show_dry_run(config: "Config", processes: int, console: Console) -> None:
    """Print the resolved config and the size of its run."""
    from vaegan.config import dump_config
    from vaegan.trainers.dry_run import estimate_size

    check_step_inputs(config)
    check_ema_metric(config)
    size = estimate_size(config, processes)
    console.say(dump_config(config))
    counts = {**size.parameters, "all": sum(size.parameters.values())}
    console.table(["network", "parameters"], [[name, f"{count:,}"] for name, count in counts.items()])
    console.say(
        f"weights {size.weight_bytes / 2**20:,.1f} MiB (with the averages of the model),"
        f" optimizer state {size.optimizer_bytes / 2**20:,.1f} MiB,"
        f" {size.images_per_process} images per step on each process"
    )
    console.say(f"{_describe_step_cost(config, processes)}; nothing was trained")


def _describe_step_cost(config: "Config", processes: int) -> str:
    """Return a line on the memory and the floating-point operations of a step of each process."""
    from vaegan.trainers.step_cost import measure_step

    try:
        cost = measure_step(config, processes)
    except Exception as error:  # the tensors without values that it is counted on are new in every version of torch
        return f"memory and operations of a step are not known: they cannot be counted here ({to_one_line(error)})"
    operations = f"{cost.flops / 1e9:,.1f} GFLOP a step"
    if cost.penalty_flops is not None and cost.penalty_flops != cost.flops:
        operations += f" ({cost.penalty_flops / 1e9:,.1f} with its gradient penalty)"
    memory = f"about {cost.peak_bytes / 2**20:,.0f} MiB more at the peak of a step, as on a CPU"
    return f"{memory}; {operations}"
