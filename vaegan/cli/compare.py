"""The command that trains, evaluates and reports a study: `compare`."""

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vaegan.distributed import get_world_size
from vaegan.errors import UserError
from vaegan.extras import check_comparison_packages
from vaegan.io import write_text
from vaegan.workflows.study import compare_study, prepare_study

from .completion import complete_study
from .console import Console
from .options import FOLDER, OTHER_DATA_OPTION, OVERRIDES_ARGUMENT, PROCESSES_OPTION, Integer, check_folder_path

if TYPE_CHECKING:
    from vaegan.config.load_study_files import LoadedStudy
    from vaegan.evaluate.comparing.comparison import Comparison


@click.command(short_help="Train and evaluate the variants of a study and report.")
@click.argument("study", shell_complete=complete_study)
@OVERRIDES_ARGUMENT
@click.option("--output", type=FOLDER, callback=check_folder_path, help="Folder of the study.  [default: runs/NAME]")
@click.option("--jobs", type=Integer(1, 1024), default=1, help="Runs to train side by side.  [default: 1]")
@click.option("--list-runs", is_flag=True, help="Print a `vaegan train` line for each run still to do; train nothing.")
@click.option("--json", "as_json", is_flag=True, help="With --list-runs: print the commands as JSON.")
@OTHER_DATA_OPTION
@PROCESSES_OPTION
def compare(
    study: str,
    overrides: tuple[str, ...],
    output: Path | None,
    jobs: int,
    list_runs: bool,
    as_json: bool,
    allow_other_data: bool,
    processes: int,
) -> None:
    """Train and evaluate every variant of STUDY for every seed, and write comparison.json and report.html.

    Finished runs are kept, interrupted ones are resumed. Settings of a run (train.steps=500) are replaced in every
    variant, others (seeds=[0,1,2]) in the study. With --list-runs, a scheduler trains the runs; without it afterwards,
    they are evaluated.

    Raises:
        UserError: Options exclude each other, or --list-runs is given to several processes.
    """
    if as_json and not list_runs:
        raise UserError("--json: prints the commands of --list-runs; give that as well")
    if list_runs and (jobs > 1 or get_world_size() > 1):
        raise UserError("--list-runs: trains nothing; leave out --jobs and the launcher")
    from vaegan.config.load_study_files import load_study
    from vaegan.config.recipes import get_default_folder

    loaded = load_study(study, overrides)
    check_comparison_packages(loaded.configs.values())
    from .jobs import Jobs
    from .launch import join_processes

    folder, console = output or get_default_folder(study), Console()
    if list_runs:
        options = ["--processes", str(processes)] if processes > 1 else []
        options += ["--allow-other-data"] if allow_other_data else []
        _list_runs(loaded, folder.absolute(), options, as_json, console)
        return
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


def _list_runs(loaded: "LoadedStudy", folder: Path, options: list[str], as_json: bool, console: Console) -> None:
    """Write the configs of the runs that can be trained now, and print their commands."""
    from vaegan.config import dump_config
    from vaegan.evaluate.run_list import list_runs
    from vaegan.progress import Reporter

    loaded = prepare_study(loaded, folder)
    found = list_runs(
        loaded.study, loaded.configs, folder, Reporter(), loaded.classifier, "--allow-other-data" in options
    )
    runs = []
    for run, config in found.runs.items():
        file = folder / "configs" / f"{run.parent.name}-{run.name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, dump_config(config))
        command = ["vaegan", "train", str(file), "--output", str(run), "--resume", *options]
        runs.append({"name": f"{run.parent.name}/{run.name}", "folder": str(run), "command": command})
    if as_json:
        console.say(json.dumps({"runs": runs, "later": found.later}, indent=1))
        return
    if runs:
        console.say("\n".join(shlex.join(run["command"]) for run in runs))
    if found.later:
        console.note(f"{folder}: {found.later} more runs need some of these; when they are trained, list again")
    elif not runs:
        console.note(f"{folder}: every run is trained; the same command without --list-runs evaluates them")
