"""The commands that change images by their class: `edit` along a direction, and `translate` under another class."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vaegan.errors import UserError
from vaegan.paths import expand_path
from vaegan.workflows.trained_model import fetch_if_on_hub, find_class

from .console import Console
from .options import LABEL_OPTION, MODEL, PATH, check_picture_path

if TYPE_CHECKING:
    from torch import Tensor

    from vaegan.applications.attributes import Method


def _parse_additions(
    context: click.Context, option: click.Parameter, texts: tuple[str, ...]
) -> tuple[tuple[Path, float], ...]:
    """Return the file and the strength of each FILE=STRENGTH.

    Raises:
        UserError: A text has no file or no finite number.
    """
    additions = []
    for text in texts:
        file, _, number = text.rpartition("=")
        try:
            strength = float(number)
        except ValueError:
            strength = math.nan
        if not file or not math.isfinite(strength):
            raise UserError(f"--add {text}: give FILE=STRENGTH, as in smiling.safetensors=1.5")
        additions.append((expand_path("--add", file), strength))
    return tuple(additions)


@click.command(short_help="Change images along learned directions.")
@click.argument("run", type=MODEL)
@click.argument("paths", metavar="IMAGE_OR_FOLDER...", nargs=-1, required=True, type=PATH)
@click.option(
    "--add", "additions", metavar="FILE=STRENGTH", multiple=True, required=True, callback=_parse_additions,
    help="File of `vaegan attribute`, and how far to move: 1 from class to class, below 0 backwards; repeatable.",
)  # fmt: skip
@click.option(
    "--method", type=click.Choice(["mean", "logistic"]), default="mean", show_default=True,
    help="The direction: difference of the means, or that of logistic regression.",
)  # fmt: skip
@click.option("--residual", is_flag=True, help="Keep the details that the model does not reconstruct.")
@LABEL_OPTION
@click.option(
    "-o", "--output", type=PATH, callback=check_picture_path, default="edits.png", show_default=True,
    help="Picture to write.",
)  # fmt: skip
def edit(
    run: Path, paths: tuple[Path, ...], additions: tuple[tuple[Path, float], ...], method: "Method", residual: bool,
    label: str | None, output: Path,
) -> None:  # fmt: skip
    """Move the codes of images along directions that `vaegan attribute` has learned, and draw each above its edit.

    A conditional RUN takes the class folders of the images for their classes; others need --label.
    """
    from vaegan.applications.attributes import edit_images, load_attribute
    from vaegan.storage.loading import load_weights_hash

    from .pairs import load_model_and_images, write_pairs

    console, run = Console(), fetch_if_on_hub(run)
    weights = load_weights_hash(run)
    changes = [(load_attribute(file, weights).directions[method], strength) for file, strength in additions]
    model, images, labels = load_model_and_images(run, paths, label, output, console)

    def edit_batch(batch: "Tensor", classes: "Tensor | None") -> "Tensor":
        try:
            return edit_images(model, batch, changes, classes, residual)
        except UserError as error:
            raise UserError(str(error).replace("changes: ", "--add: ", 1)) from None

    write_pairs("Editing", images, labels, edit_batch, output, console)


@click.command(short_help="Decode images under another class.")
@click.argument("run", type=MODEL)
@click.argument("paths", metavar="IMAGE_OR_FOLDER...", nargs=-1, required=True, type=PATH)
@click.option("--label", metavar="N|NAME", required=True, help="Class to decode under, by its name or its number.")
@click.option(
    "--from", "source", metavar="N|NAME", help="Class of the images; by default the folder that each lies in."
)
@click.option(
    "-o", "--output", type=PATH, callback=check_picture_path, default="translations.png", show_default=True,
    help="Picture to write.",
)  # fmt: skip
def translate(run: Path, paths: tuple[Path, ...], label: str, source: str | None, output: Path) -> None:
    """Encode images under their own class and decode them under another, and draw each above its translation.

    RUN is conditional (model.labels). It takes the class folders of the images for their classes; others need --from.
    """
    from vaegan.applications.attributes import check_translates, translate_images
    from vaegan.storage.loading import load

    from .pairs import load_model_and_images, write_pairs

    console, run = Console(), fetch_if_on_hub(run)
    model = load(run)
    check_translates(model, str(run))
    assert model.classes is not None
    target = find_class(run, label, model.classes)
    model, images, labels = load_model_and_images(run, paths, source, output, console, option="--from")
    write_pairs(
        "Translating", images, labels, lambda batch, classes: translate_images(model, batch, classes, target), output,
        console,
    )  # fmt: skip
