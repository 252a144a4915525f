"""Options and arguments that commands share, and checks of their values before any work."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from vaegan.distributed import get_world_size
from vaegan.errors import UserError
from vaegan.paths import check_folder_is_writable
from vaegan.workflows.destinations import (
    ANIMATION_SUFFIXES,
    PICTURE_SUFFIXES,
    check_file_path,
    check_parents,
    check_picture_file,
    check_regular_file,
)
from vaegan.workflows.shared_settings import MAX_SEED

from .completion import FolderPath, ModelPath, UserPath, complete_override, complete_words

PATH = UserPath()
"""Type of an option or argument that is a path."""
FOLDER = FolderPath()
"""Type of an option or argument that is the path of a folder."""
MODEL = ModelPath()
"""Type of an argument that is the folder of a run, or the name of a model on the Hub."""
PathOrNone = TypeVar("PathOrNone", Path, Path | None)
ALL = "all"
"""Value of an option that stands for all names that it can have."""
ARRAY_SUFFIX = ".npz"
"""Ending of a file of an array of images."""
MAX_PROCESSES = 1024
"""Most processes on one machine."""


class Integer(click.types.IntParamType):
    """Type of an option that is an integer from ``least`` to ``most``."""

    def __init__(self, least: int, most: int) -> None:
        self.least, self.most = least, most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number; fail on text that is none, and on numbers beyond the bounds."""
        number = int(super().convert(value, param, ctx))
        if not self.least <= number <= self.most:
            self.fail(f"got {number}; allowed: integer >= {self.least}, <= {self.most:,}", param, ctx)
        return number


def _check_processes(context: click.Context, option: click.Parameter, processes: int | None) -> int:
    """Return the number of processes, by default that of the launch; a process of `launch` gets the same option."""
    if get_world_size() > 1 and processes not in (None, get_world_size()):
        raise UserError(f"--processes {processes}: {get_world_size()} processes were launched already; leave it out")
    return processes or get_world_size()


PROCESSES_OPTION = click.option(
    "--processes", type=Integer(1, MAX_PROCESSES), callback=_check_processes,
    help="Processes to start on this machine.",
)  # fmt: skip
DENSITY_OPTION = click.option(
    "--density", metavar="NAME", shell_complete=complete_words("gaussian", "gmm"),
    help="Draw from a density fitted to the training images' codes: gaussian, gmm, or gmm:K of K components.",
)  # fmt: skip
LABEL_OPTION = click.option(
    "--label", metavar="N|NAME", help="Class of a conditional run, by its name or its number from 0."
)
TILE_OPTION = click.option(
    "--tile", type=Integer(0, 2**20), metavar="PIXELS",
    help="With --native-size: side of the overlapping tiles of larger images; 0: images stay whole.  [default: 1024]",
)  # fmt: skip
SEED = Integer(0, MAX_SEED)
"""Type of options that name a seed."""
DATA_ROOT_OPTION = click.option(
    "--data-root", type=FOLDER, help="Folder that the run's images have moved to; it is remembered."
)
OTHER_DATA_OPTION = click.option(
    "--allow-other-data", is_flag=True,
    help="Go on if the images are not those that the run was trained on; the protocol says what differs.",
)  # fmt: skip
LICENSE_OPTION = click.option(
    "--license", "license_name", metavar="NAME",
    help="Licence of the weights for the card, as the Hub names it, such as apache-2.0; left out otherwise.",
)  # fmt: skip
OVERRIDES_ARGUMENT = click.argument(
    "overrides", metavar="[key.sub=value]...", nargs=-1, shell_complete=complete_override
)


def add_training_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a command that trains a config."""
    for option in (
        click.option("--dry-run", is_flag=True, help="Show the resolved config and the run's size; train nothing."),
        PROCESSES_OPTION,
        click.option(
            "--extend", is_flag=True,
            help="With --resume: let train.steps be more than before, where no schedule depends on it.",
        ),
        OTHER_DATA_OPTION,
        click.option("--resume", is_flag=True, help="Go on from the run folder's newest checkpoint."),
        OVERRIDES_ARGUMENT,
    ):  # fmt: skip
        command = option(command)
    return command


def check_picture_path(context: click.Context, option: click.Parameter, path: Path) -> Path:
    """Check that a picture can be written at ``path``, and return the path.

    Raises:
        UserError: The name has no ending of a format that holds any picture, or ``path`` or its folder is something
            else already.
        FileFailure: The file cannot be written.
    """
    check_parents(path, path.parent)
    check_picture_file(path)
    return path


def check_sample_path(context: click.Context, option: click.Parameter, path: Path) -> Path:
    """Check that samples can be written at ``path``, an `.npz` file or a picture, and return the path.

    Raises:
        UserError: The name has no ending of either, or ``path`` or its folder is something else already.
        FileFailure: The file cannot be written.
    """
    if path.suffix.lower() != ARRAY_SUFFIX:
        return check_picture_path(context, option, path)
    check_parents(path, path.parent)
    check_regular_file(path)
    return path


def check_traversal_path(context: click.Context, option: click.Parameter, path: Path) -> Path:
    """Check that a picture, moving if its ending says so, can be written at ``path``, and return the path.

    Raises:
        UserError: The name has no ending of a picture, or ``path`` or its folder is something else already.
        FileFailure: The file cannot be written.
    """
    check_parents(path, path.parent)
    check_picture_file(path, PICTURE_SUFFIXES | ANIMATION_SUFFIXES)
    return path


def make_file_check(suffix: str) -> Callable[[click.Context, click.Parameter, PathOrNone], PathOrNone]:
    """Return a callback that checks that a file of one ending can be written, and returns its path.

    Args:
        suffix: The ending, with its dot.
    """

    def check(context: click.Context, option: click.Parameter, path: PathOrNone) -> PathOrNone:
        if path is not None:
            check_file_path(path, suffix, max(option.opts, key=len))
        return path

    return check


def check_folder_path(context: click.Context, option: click.Parameter, path: PathOrNone) -> PathOrNone:
    """Check that ``path`` is a folder or can become one, in which files can be created, and return the path.

    Raises:
        UserError: ``path`` or one of its parents is a file.
        FileFailure: No file can be created there.
    """
    if path is not None:
        check_parents(path, path)
        check_folder_is_writable(path)
    return path


def get_sweep_folder() -> Path | None:
    """Return the run folder of a run of a W&B sweep, runs/sweep-SWEEP/RUN; None if no sweep started this process."""
    sweep, run = (os.environ.get(f"WANDB_{name}_ID", "") for name in ("SWEEP", "RUN"))
    valid = all(re.fullmatch(r"[\w-]+", name) for name in (sweep, run))
    return Path("runs") / f"sweep-{sweep}" / run if valid else None
