"""Options and arguments that commands share, and what is seen to before any work is done."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import click

from vaegan.distributed import get_world_size
from vaegan.errors import UserError

PATH = click.Path(path_type=Path)
MAX_PROCESSES = 1024
"""Of one machine."""


def _number(context: click.Context, option: click.Parameter, processes: int | None) -> int:
    """How many processes do the work; those that `launch` has started are told the same."""
    if get_world_size() > 1 and processes not in (None, get_world_size()):
        raise UserError(f"--processes {processes}: {get_world_size()} processes were launched already; leave it out")
    return processes or get_world_size()


PROCESSES = click.option(
    "--processes", type=click.IntRange(1, MAX_PROCESSES), callback=_number, help="Start so many on this machine."
)
DENSITY = click.option(
    "--density", metavar="NAME", help="gaussian, gmm, gmm:K: draw from one fitted to the training images' codes."
)
LABEL = click.option(
    "--label", metavar="N|NAME", help="Of a conditional run: the class, by its name or its number from 0."
)
OVERRIDES = click.argument("overrides", metavar="[key.sub=value]...", nargs=-1)


def add_training_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of a command that trains a config."""
    for option in (
        click.option("--dry-run", is_flag=True, help="Show the resolved config and the run's size; train nothing."),
        PROCESSES,
        click.option(
            "--extend", is_flag=True,
            help="With --resume: let train.steps be more than before, where train.decay is constant.",
        ),
        click.option("--resume", is_flag=True, help="Go on from the run folder's newest checkpoint."),
        OVERRIDES,
    ):  # fmt: skip
        command = option(command)
    return command


def check_picture_path(context: click.Context, option: click.Parameter, path: Path) -> Path:
    """See that a picture can be written there."""
    from PIL import Image

    if Image.registered_extensions().get(path.suffix.lower()) not in Image.SAVE:
        raise UserError(f"--output {path}: not the name of a picture; let it end in .png or .jpg")
    if path.is_dir():
        raise UserError(f"--output {path}: a folder, not a file")
    check_folder_path(context, option, path.parent)
    return path


def check_folder_path(context: click.Context, option: click.Parameter, path: Path | None) -> Path | None:
    """See that no file is where a folder is to be."""
    for each in (path, *path.parents) if path else ():
        if each.exists() and not each.is_dir():
            raise UserError(f"--output {path}: {each} is a file, not a folder")
    return path


def get_default_folder(name: str) -> Path:
    """Where a config file or a recipe is recorded if nothing else is said."""
    own = Path(name).stem if Path(name).is_file() else name.replace("/", "-")
    return Path("runs") / (own.strip(".") or "run")


def get_sweep_folder() -> Path | None:
    """Where a run of a W&B sweep is recorded; None: this is none."""
    sweep, run = (os.environ.get(f"WANDB_{name}_ID", "") for name in ("SWEEP", "RUN"))
    whole = all(re.fullmatch(r"[\w-]+", name) for name in (sweep, run))
    return Path("runs") / f"sweep-{sweep}" / run if whole else None
