"""The inputs of a command: a run's trained model, and the images of a config."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from vaegan.distributed import run_on_all_ranks

from .console import Console

if TYPE_CHECKING:
    from vaegan.config import Config
    from vaegan.data import Data

T = TypeVar("T")


def load_run_model(path: Path, load: Callable[[Path], T], console: Console) -> T:
    """Load the model of a run with ``load``, and note if the run is not finished.

    Raises:
        UserError: ``path`` is no run folder, or ``load`` finds no model of its kind.
    """
    from vaegan.storage.run_folder import Run

    run = Run(path)
    steps, model = run.config.train.steps, load(path)
    if not run.finished:
        console.note(f"{path}: not finished; this is its model after {run.exported_step} of {steps} steps")
    return model


def open_images(config: "Config", console: Console) -> "Data":
    """Open the data set of a config on every process, with a progress bar.

    Raises:
        UserError: The data set is missing or damaged, or does not fit the settings of `data`.
    """
    from vaegan.data import open_data

    with console.progress("Reading images", "images") as progress:
        return run_on_all_ranks(lambda: open_data(config.data, console.note, progress))
