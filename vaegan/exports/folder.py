"""The folder of an exported model: a file for each part, what they take and return in JSON, and a card."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from vaegan import __version__
from vaegan.errors import Failure, UserError
from vaegan.extras import check_packages
from vaegan.io import hash_file, replace_folder
from vaegan.models import Autoencoder
from vaegan.networks.given import GivenNetworks
from vaegan.paths import check_no_other_files
from vaegan.storage.loading import get_model_folder, load_model
from vaegan.storage.run_folder import ExportedModel, read_description
from vaegan.text import encode_text

from .card import CARD_FILE, CardOptions, write_card
from .check import MAX_DIFFERENCE, draw_inputs, list_sizes, measure_difference
from .formats import FORMATS
from .parts import PART_NAMES, Part, describe_codes, find_open_sides, list_parts
from .usage import write_usage

EXPORT_DESCRIPTION_FILE = "description.json"
"""Name of the file that says what the parts take and return."""
CHANNEL_NAMES = {1: "grey", 2: "grey, alpha", 3: "red, green, blue", 4: "red, green, blue, alpha"}
"""Meaning of the channels of an image, by their number."""


@dataclass(frozen=True)
class Export:
    """An export that was written."""

    parts: tuple[Part, ...]
    """Its parts."""
    difference: float
    """Largest difference from the model."""


def check_other_files(folder: Path, description: str, *names: str) -> None:
    """Check that a folder that is to be replaced is empty, or holds an earlier export of the same format and no more.

    Args:
        folder: The folder, which may not exist.
        description: Name of the file that every such export has.
        names: Names of further files that it may have, beside the card.

    Raises:
        UserError: It holds something else.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--output {folder}: a file, not a folder; name a new folder")
    allowed = {description, CARD_FILE, *names} if (folder / description).exists() else set()
    check_no_other_files(folder, allowed)


def export_model(
    path: Path, folder: Path, format_name: str, card: CardOptions, networks: GivenNetworks | None = None
) -> Export:
    """Write the parts of a run's averaged model, float32 and without dropout, and check them against the model.

    Args:
        path: The run's folder, or the folder of an exported model.
        folder: The folder, which is replaced.
        format_name: Name of the format, of `FORMATS`.
        card: What the card needs beside the run's folder.
        networks: Modules of the classes of those that the run was trained with; see `load_model`.

    Raises:
        UserError: There is no model or no such format, it is no autoencoder, the folder holds other files, a package is
            missing, or the networks cannot be traced.
        Failure: A written part differs from the model.
        OSError: A file cannot be written.
    """
    if format_name not in FORMATS:
        raise UserError(f"--format {format_name}: no such format; allowed: {', '.join(FORMATS)}")
    chosen = FORMATS[format_name]
    check_other_files(folder, EXPORT_DESCRIPTION_FILE, *(f"{name}{chosen.suffix}" for name in PART_NAMES))
    check_packages(chosen.packages)
    model = load_model(path, networks)
    try:
        parts = list_parts(model)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    assert isinstance(model, Autoencoder)
    model.float().to(memory_format=torch.contiguous_format)
    description = read_description(get_model_folder(path))
    texts = {"family": description.model.family, "weights_sha256": description.sha256, "vaegan": __version__}
    sizes = [draw_inputs(model, parts, *size) for size in list_sizes(model)]
    usage = write_usage(format_name, model, parts)
    measured: dict[str, dict[str, Any]] = {}
    with replace_folder(folder) as partial:
        for number, part in enumerate(parts):
            file = partial / f"{part.name}{chosen.suffix}"
            most = chosen.write(part, sizes[-1][number], file, {"part": part.name, **texts})
            written = chosen.read(part, file)
            difference = max(measure_difference(part, written, inputs[number]) for inputs in sizes)
            if not difference <= MAX_DIFFERENCE:
                problem = f"differs from the model by {difference:.2g}, more than {MAX_DIFFERENCE:g}"
                raise Failure(f"--format {format_name}: {file.name} {problem}; nothing is written")
            measured[part.name] = {
                "sha256": hash_file(file), "largest_batch": most, "largest_difference": difference,
            }  # fmt: skip
        contents = describe_export(description, model, parts, format_name)
        for name, values in measured.items():
            contents["parts"][name] |= values
        text = json.dumps(contents, indent=2, allow_nan=False)
        (partial / EXPORT_DESCRIPTION_FILE).write_text(f"{text}\n", encoding="utf-8")
        (partial / CARD_FILE).write_bytes(encode_text(write_card(path, model, usage, card)))
    return Export(parts, max(values["largest_difference"] for values in measured.values()))


def describe_export(
    description: ExportedModel, model: Autoencoder, parts: tuple[Part, ...], format_name: str
) -> dict[str, Any]:
    """Return what a program needs to know of exported parts, as plain JSON.

    Args:
        description: The exported model of the run.
        model: The model.
        parts: Its parts.
        format_name: Name of the format.
    """
    chosen, settings = FORMATS[format_name], description.model.model_dump(mode="json")
    contents: dict[str, Any] = {
        "format": format_name,
        "opened_by": chosen.opened_by,
        "family": settings["family"],
        "network": settings.get("network"),
        "image_shape": description.image_shape,
        "pixels": {
            "axes": "batch, channels, height, width",
            "channels": CHANNEL_NAMES[description.image_shape[0]],
            "range": [-1, 1],
            "from_8_bits": "x = pixel / 127.5 - 1",
            "to_8_bits": "pixel = clamp(round(127.5 x + 127.5), 0, 255)",
        },
        "codes": describe_codes(model),
        "code_scale": None if description.code_scale is None else description.code_scale.model_dump(),
        "classes": description.classes,
        "steps": description.step,
        "weights_sha256": description.sha256,
        "parts": {part.name: _describe_part(part, chosen.suffix) for part in parts},
        "versions": {"vaegan": __version__, **{name: version(name) for name in ("torch", *chosen.packages)}},
    }
    if (multiple := find_open_sides(model)) is not None:
        contents["sides"] = {"multiples_of": multiple, "least": 2 * multiple}
    return contents


def _describe_part(part: Part, suffix: str) -> Mapping[str, Any]:
    return {
        "file": f"{part.name}{suffix}",
        "inputs": [asdict(each) for each in part.inputs],
        "outputs": [asdict(each) for each in part.outputs],
    }
