"""The command `vaegan export`, which writes a trained model as other packages open it."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vaegan.errors import UserError
from vaegan.workflows.card_options import make_card_options
from vaegan.workflows.trained_model import fetch_if_on_hub, get_hub_name

from .completion import complete_words
from .console import Console
from .options import FOLDER, LICENSE_OPTION, MODEL, check_folder_path

if TYPE_CHECKING:
    from vaegan.exports.card import CardOptions
    from vaegan.models import Autoencoder

DIFFUSERS = "diffusers"
"""Name of the format that diffusers opens."""
FORMATS = (DIFFUSERS, "onnx", "torch", "safetensors")
"""Names of the formats; written out, since their module imports torch."""


@click.command(short_help="Write the model of a run for another package.")
@click.argument("run", type=MODEL)
@click.option(
    "--format", "format_name", metavar="NAME", default=DIFFUSERS, show_default=True,
    shell_complete=complete_words(*FORMATS),
    help="What opens the folder: diffusers, onnx, torch (torch.export) or safetensors (the weights alone).",
)  # fmt: skip
@click.option(
    "-o", "--output", type=FOLDER, callback=check_folder_path, required=True,
    help="Folder to write; an earlier export there is replaced.",
)  # fmt: skip
@LICENSE_OPTION
def export(run: Path, format_name: str, output: Path, license_name: str | None) -> None:
    """Write the averaged model of RUN as a folder that another package opens.

    onnx, torch and safetensors have a file for the encoder and one for the decoder, which are checked against the
    model, and description.json, which says what they take and return. diffusers opens a RUN whose model.network is
    diffusers; its scaling_factor and shift_factor were measured over the codes of the training images at the
    training's end. README.md is the model's card, with the header of the Hugging Face Hub.
    """
    if format_name not in FORMATS:
        raise UserError(f"--format {format_name}: no such format; allowed: {', '.join(FORMATS)}")
    console = Console()
    card, run = make_card_options(license_name, console, get_hub_name(run)), fetch_if_on_hub(run)
    if format_name == DIFFUSERS:
        _export_to_diffusers(run, output, card, console)
    else:
        _export_parts(run, format_name, output, card, console)


def _export_to_diffusers(run: Path, output: Path, card: "CardOptions", console: Console) -> None:
    from vaegan.exports.card import CARD_FILE, write_card
    from vaegan.exports.folder import check_other_files
    from vaegan.exports.usage import write_usage_of_diffusers
    from vaegan.storage.diffusers_folder import DIFFUSERS_CONFIG_FILE, DIFFUSERS_WEIGHTS_FILE, export_to_diffusers

    def write_texts(model: "Autoencoder") -> dict[str, str]:
        usage = write_usage_of_diffusers(model.config.model_dump()["diffusers"]["_class_name"])
        return {CARD_FILE: write_card(run, model, usage, card)}

    check_other_files(output, DIFFUSERS_CONFIG_FILE, DIFFUSERS_WEIGHTS_FILE)
    settings = export_to_diffusers(run, output, write_texts)
    name, scale = settings["_class_name"], settings["scaling_factor"]
    shift = f", shift_factor {settings['shift_factor']:.5g}" if "shift_factor" in settings else ""
    console.say(f"{output}: written for diffusers.{name}.from_pretrained, scaling_factor {scale:.5g}{shift}")


def _export_parts(run: Path, format_name: str, output: Path, card: "CardOptions", console: Console) -> None:
    from vaegan.exports.folder import EXPORT_DESCRIPTION_FILE, export_model
    from vaegan.exports.formats import FORMATS as PART_FORMATS

    chosen = PART_FORMATS[format_name]
    written = export_model(run, output, format_name, card)
    for part in written.parts:
        inputs, outputs = (", ".join(each.name for each in given) for given in (part.inputs, part.outputs))
        console.say(f"{output / part.name}{chosen.suffix}: {inputs} -> {outputs}")
    checked = f"largest difference from the model {written.difference:.2g}"
    console.say(f"{output / EXPORT_DESCRIPTION_FILE}: shapes and ranges; for {chosen.opened_by}; {checked}")
