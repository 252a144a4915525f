"""Trainings that an evaluation needs: each is done once, and kept where it is finished."""

from collections.abc import Callable, Mapping
from pathlib import Path

from vaegan.config import Config
from vaegan.config.differences import describe_differences, get_training_settings
from vaegan.data import Data
from vaegan.distributed import run_on_all_ranks
from vaegan.errors import UserError
from vaegan.progress import Reporter
from vaegan.storage.run_data import check_run_data
from vaegan.storage.run_folder import Run

Train = Callable[[Config, Path, Data, bool], Run]
"""Function that trains a run to its end in a folder; the last argument lets it resume the run in the folder."""


def check_run_folders(runs: Mapping[Path, Config]) -> None:
    """Check that no folder holds a run of another config, before any run is trained.

    Raises:
        UserError: A folder does.
    """
    for folder, config in runs.items():
        if not (run := Run(folder)).exists:
            continue
        if differences := describe_differences(get_training_settings(run.config), get_training_settings(config)):
            raise UserError(f"{folder}: holds another run: {differences}; choose another --output")


def complete_run(config: Config, folder: Path, data: Data, train: Train, reporter: Reporter) -> Run:
    """Return the finished run of a config: kept if the folder holds it, else resumed or trained from the beginning.

    Raises:
        UserError: The folder holds a run of other images.
    """
    run, name = Run(folder), f"{folder.parent.name}/{folder.name}"
    if not run.finished:
        action = "going on with it" if run.exists else "training" if config.train.steps else "taking the finished model"
        reporter.note(f"{name}: {action}")
        return train(config, folder, data, True)
    run_on_all_ranks(lambda: check_run_data(run, data))
    reporter.note(f"{name}: finished already, kept")
    return run
