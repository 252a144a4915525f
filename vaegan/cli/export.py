"""The command `vaegan export`, which writes a trained model as other packages open it."""

from pathlib import Path

import click

from vaegan.errors import UserError

from .completion import complete_words
from .console import Console
from .options import FOLDER, check_folder_path

DIFFUSERS = "diffusers"
"""Name of the format that diffusers opens."""
FORMATS = (DIFFUSERS, "onnx", "torch", "safetensors")
"""Names of the formats; written out, since their module imports torch."""


@click.command(short_help="Write the model of a run for another package.")
@click.argument("run", type=FOLDER)
@click.option(
    "--format", "format_name", metavar="NAME", default=DIFFUSERS, show_default=True,
    shell_complete=complete_words(*FORMATS),
    help="What opens the folder: diffusers, onnx, torch (torch.export) or safetensors (the weights alone).",
)  # fmt: skip
@click.option(
    "-o", "--output", type=FOLDER, callback=check_folder_path, required=True,
    help="Folder to write; an earlier export there is replaced.",
)  # fmt: skip
def export(run: Path, format_name: str, output: Path) -> None:
    """Write the averaged model of RUN as a folder that another package opens.

    onnx, torch and safetensors have a file for the encoder and one for the decoder, which are checked against the
    model, and description.json, which says what they take and return. diffusers opens a RUN whose model.network is
    diffusers; its scaling_factor and shift_factor were measured over the codes of the training images at the
    training's end.
    """
    if format_name not in FORMATS:
        raise UserError(f"--format {format_name}: no such format; allowed: {', '.join(FORMATS)}")
    if format_name == DIFFUSERS:
        _export_to_diffusers(run, output)
    else:
        _export_parts(run, format_name, output)


def _export_to_diffusers(run: Path, output: Path) -> None:
    from vaegan.exports.folder import check_other_files
    from vaegan.storage.diffusers_folder import DIFFUSERS_CONFIG_FILE, DIFFUSERS_WEIGHTS_FILE, export_to_diffusers

    check_other_files(output, {DIFFUSERS_CONFIG_FILE, DIFFUSERS_WEIGHTS_FILE})
    settings = export_to_diffusers(run, output)
    name, scale = settings["_class_name"], settings["scaling_factor"]
    shift = f", shift_factor {settings['shift_factor']:.5g}" if "shift_factor" in settings else ""
    Console().say(f"{output}: written for diffusers.{name}.from_pretrained, scaling_factor {scale:.5g}{shift}")


def _export_parts(run: Path, format_name: str, output: Path) -> None:
    from vaegan.exports.folder import EXPORT_DESCRIPTION_FILE, export_model
    from vaegan.exports.formats import FORMATS as PART_FORMATS

    console, chosen = Console(), PART_FORMATS[format_name]
    written = export_model(run, output, format_name)
    for part in written.parts:
        inputs, outputs = (", ".join(each.name for each in given) for given in (part.inputs, part.outputs))
        console.say(f"{output / part.name}{chosen.suffix}: {inputs} -> {outputs}")
    checked = f"largest difference from the model {written.difference:.2g}"
    console.say(f"{output / EXPORT_DESCRIPTION_FILE}: shapes and ranges; for {chosen.opened_by}; {checked}")
