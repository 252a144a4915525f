"""The command `vaegan export`, which writes a trained model as other packages open it."""

from pathlib import Path

import click

from vaegan.errors import UserError

from .completion import complete_words
from .console import Console
from .options import FOLDER, check_folder_path

FORMATS = ("diffusers",)
"""Names of the formats."""


@click.command(short_help="Write the model of a run for another package.")
@click.argument("run", type=FOLDER)
@click.option(
    "--format", "format_name", metavar="NAME", default="diffusers", show_default=True,
    shell_complete=complete_words(*FORMATS), help="Package that opens the folder.",
)  # fmt: skip
@click.option(
    "-o", "--output", type=FOLDER, callback=check_folder_path, required=True,
    help="Folder to write; an earlier export there is replaced.",
)  # fmt: skip
def export(run: Path, format_name: str, output: Path) -> None:
    """Write the averaged model of RUN, whose model.network is diffusers, as a folder that diffusers opens.

    Its scaling_factor and shift_factor were measured over the codes of the training images at the training's end.
    """
    from vaegan.storage.diffusers_folder import DIFFUSERS_CONFIG_FILE, DIFFUSERS_WEIGHTS_FILE, export_to_diffusers

    console = Console()
    if format_name not in FORMATS:
        raise UserError(f"--format {format_name}: no such format; allowed: {', '.join(FORMATS)}")
    others = {path.name for path in output.iterdir()} if output.exists() else set()
    if others := others - {DIFFUSERS_CONFIG_FILE, DIFFUSERS_WEIGHTS_FILE}:
        raise UserError(f"--output {output}: holds other files, such as {min(others)}; name an empty or a new folder")
    settings = export_to_diffusers(run, output)
    name, scale = settings["_class_name"], settings["scaling_factor"]
    shift = f", shift_factor {settings['shift_factor']:.5g}" if "shift_factor" in settings else ""
    console.say(f"{output}: written for diffusers.{name}.from_pretrained, scaling_factor {scale:.5g}{shift}")
