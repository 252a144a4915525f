"""The command that screens and confirms the changes of a recipe: `ablate`."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vaegan.distributed import get_world_size
from vaegan.errors import UserError
from vaegan.extras import check_comparison_packages

from .completion import complete_ablation
from .console import Console
from .options import FOLDER, OTHER_DATA_OPTION, OVERRIDES_ARGUMENT, PROCESSES_OPTION, Integer, check_folder_path

if TYPE_CHECKING:
    from vaegan.workflows.ablation_plan import Plan


@click.command(short_help="Screen and confirm the changes of a recipe.")
@click.argument("ablation", shell_complete=complete_ablation)
@OVERRIDES_ARGUMENT
@click.option("--output", type=FOLDER, callback=check_folder_path, help="Folder of the runs.  [default: runs/NAME]")
@click.option("--jobs", type=Integer(1, 1024), default=1, help="Runs to train side by side.  [default: 1]")
@click.option("--dry-run", is_flag=True, help="Print what it will cost; train nothing.")
@OTHER_DATA_OPTION
@PROCESSES_OPTION
def ablate(
    ablation: str,
    overrides: tuple[str, ...],
    output: Path | None,
    jobs: int,
    dry_run: bool,
    allow_other_data: bool,
    processes: int,
) -> None:
    """Screen the changes of ABLATION and their sum at a small budget, and confirm those that are better by its metric.

    The cost is printed first. Finished runs are kept, interrupted ones are resumed. All is evaluated on validation
    images; report.html, effects.csv, effects.png and ablation.json hold the effects with their intervals. Settings of a
    run (model.width=16) are replaced in the base, others (screen.steps=500) in the ablation.

    Raises:
        UserError: Options exclude each other.
    """
    if dry_run and (jobs > 1 or get_world_size() > 1):
        raise UserError("--dry-run: trains nothing; leave out --jobs and the launcher")
    from vaegan.config.load_ablation import load_ablation
    from vaegan.config.recipes import get_default_folder

    loaded, console = load_ablation(ablation, overrides), Console()
    folder = output or get_default_folder(ablation)
    screening = loaded.load_phase("screen", loaded.select_all())
    check_comparison_packages(screening.configs.values())
    from vaegan.workflows.ablation import check_ablation, run_ablation

    def show_plan(plan: "Plan") -> None:
        console.table(*plan.build_table())
        console.say("; ".join(plan.list_sentences()))

    if dry_run:
        from vaegan.workflows.ablation_plan import plan_ablation
        from vaegan.workflows.training_flops import FlopCounter

        check_ablation(loaded, folder)
        show_plan(plan_ablation(loaded, folder, FlopCounter()))
        return
    from .jobs import Jobs
    from .launch import join_processes

    train_side_by_side = Jobs(folder, jobs, processes, console, allow_other_data).train if jobs > 1 else None
    if train_side_by_side is None:
        join_processes(processes, list(screening.configs.values()), console)
    command = shlex.join(["vaegan", *sys.argv[1:]])
    done = run_ablation(loaded, folder, console, command, train_side_by_side, allow_other_data, show_plan)
    if done is not None:
        assert done.report_file is not None
        console.say("\n".join(done.list_sentences()))
        console.say(f"report: {done.report_file.absolute()}")
