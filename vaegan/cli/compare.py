"""The command that trains, evaluates and reports a study: `compare`."""

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vaegan.errors import Interrupted
from vaegan.extras import check_comparison_packages

from .completion import complete_study
from .console import Console
from .options import FOLDER, OVERRIDES_ARGUMENT, PROCESSES_OPTION, Integer, check_folder_path, get_default_folder

if TYPE_CHECKING:
    from vaegan.config import Config
    from vaegan.data import Data
    from vaegan.storage.run_folder import Run


@click.command(short_help="Train and evaluate the variants of a study, and report.")
@click.argument("study", shell_complete=complete_study)
@OVERRIDES_ARGUMENT
@click.option("--output", type=FOLDER, callback=check_folder_path, help="Folder of the study.  [default: runs/NAME]")
@click.option("--jobs", type=Integer(1, 1024), default=1, help="Runs to train side by side.  [default: 1]")
@PROCESSES_OPTION
def compare(study: str, overrides: tuple[str, ...], output: Path | None, jobs: int, processes: int) -> None:
    """Train and evaluate every variant of STUDY for every seed, and write comparison.json and report.html.

    Finished runs are kept, interrupted ones are resumed.
    """
    from vaegan.config.load_study_files import load_study

    config, configs, features = load_study(study, overrides)
    check_comparison_packages(configs.values())
    from vaegan.evaluate.study import compare as compare_variants
    from vaegan.trainers.log.tracking import Tracker

    from .jobs import Jobs
    from .launch import join_processes
    from .train import check_step_inputs, train_run

    for name in ("WANDB_RUN_ID", "WANDB_SWEEP_ID"):  # ids of a single run, and a study has several
        os.environ.pop(name, None)
    folder, console = output or get_default_folder(study), Console()
    train_side_by_side = Jobs(folder, jobs, processes, console).train if jobs > 1 else None
    if train_side_by_side is None:
        join_processes(processes, list(configs.values()), console)

    def train_or_stop(variant: "Config", run: Path, data: "Data", resume: bool) -> "Run":
        try:
            return train_run(variant, run, data, console, resume=resume)
        except Interrupted as stop:
            raise Interrupted(f"{folder}: stopped in {run}; the same command goes on", stop.on_all_ranks) from stop

    for name, variant in configs.items():
        if config.variants[name].prior is None:  # a prior's autoencoder is trained first, in this study
            check_step_inputs(variant)
    command = shlex.join(["vaegan", *sys.argv[1:]])
    comparison = compare_variants(
        config, configs, folder, train_or_stop, console, command, features,
        lambda variant, run: Tracker.start(variant, run, None, console.note), train_side_by_side,
    )  # fmt: skip
    if comparison is not None:
        console.table(*comparison.build_table())
        console.say("\n".join(comparison.list_sentences()))
        console.say(f"report: {(folder / 'report.html').absolute()}")
