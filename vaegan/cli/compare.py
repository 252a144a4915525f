"""The command that trains, evaluates and reports a study: `compare`."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vaegan.extras import check_comparison_packages

from .completion import complete_study
from .console import Console
from .options import FOLDER, OTHER_DATA_OPTION, OVERRIDES_ARGUMENT, PROCESSES_OPTION, Integer, check_folder_path
from .workflows import compare_study

if TYPE_CHECKING:
    from vaegan.evaluate.comparing.comparison import Comparison


@click.command(short_help="Train and evaluate the variants of a study and report.")
@click.argument("study", shell_complete=complete_study)
@OVERRIDES_ARGUMENT
@click.option("--output", type=FOLDER, callback=check_folder_path, help="Folder of the study.  [default: runs/NAME]")
@click.option("--jobs", type=Integer(1, 1024), default=1, help="Runs to train side by side.  [default: 1]")
@OTHER_DATA_OPTION
@PROCESSES_OPTION
def compare(
    study: str, overrides: tuple[str, ...], output: Path | None, jobs: int, allow_other_data: bool, processes: int
) -> None:
    """Train and evaluate every variant of STUDY for every seed, and write comparison.json and report.html.

    Finished runs are kept, interrupted ones are resumed. Settings of a run (train.steps=500) are replaced in every
    variant, others (seeds=[0,1,2]) in the study.
    """
    from vaegan.config.load_study_files import load_study
    from vaegan.config.recipes import get_default_folder

    loaded = load_study(study, overrides)
    check_comparison_packages(loaded.configs.values())
    from .jobs import Jobs
    from .launch import join_processes

    folder, console = output or get_default_folder(study), Console()
    train_side_by_side = Jobs(folder, jobs, processes, console, allow_other_data).train if jobs > 1 else None
    if train_side_by_side is None:
        join_processes(processes, list(loaded.configs.values()), console)
    command = shlex.join(["vaegan", *sys.argv[1:]])

    def show(comparison: "Comparison") -> None:
        console.table(*comparison.build_table())
        console.say("\n".join(comparison.list_sentences()))

    comparison = compare_study(loaded, folder, console, command, train_side_by_side, allow_other_data, show)
    if comparison is not None:
        assert comparison.report_file is not None
        console.say(f"report: {comparison.report_file.absolute()}")
