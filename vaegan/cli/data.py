"""The command that shows what an image set holds: `data`."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vaegan.errors import UserError
from vaegan.paths import expand_path
from vaegan.text import make_printable
from vaegan.workflows.destinations import check_output_is_no_input

from .completion import complete_source
from .console import Console
from .options import OVERRIDES_ARGUMENT, PATH, check_picture_path

if TYPE_CHECKING:
    from vaegan.data.description import DataDescription, NamedImage

CHANNEL_NAMES = ("grey", "grey with alpha", "RGB", "RGB with alpha")
"""Names of images by their number of channels, 1 to 4."""
MAX_CLASSES, MAX_LINES, MAX_KINDS, MAX_COPIES = 20, 10, 6, 3
"""Most classes, lines about files, kinds of images, and copies of one image that are shown to a person."""


def _check_output(context: click.Context, option: click.Parameter, path: Path | None) -> Path | None:
    return None if path is None else check_picture_path(context, option, path)


@click.command(short_help="Show what an image set holds.")
@click.argument("source", shell_complete=complete_source)
@click.option("-o", "--output", type=PATH, callback=_check_output, help="Picture of a contact sheet to draw.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON, with every name.")
@OVERRIDES_ARGUMENT
def data(source: str, overrides: tuple[str, ...], output: Path | None, as_json: bool) -> None:
    """Read every image of SOURCE, and show what is there before anything is trained.

    SOURCE is a folder of images, a file of arrays, a config, a recipe, a run folder, or the name of a set such as
    digits. What a config would say is given as data.key=value. Shown are the images of each class and split, sizes and
    kinds of pixels, broken files, images that are there more than once, mean and standard deviation.
    """
    from vaegan.config.load_data import is_run, load_data_config
    from vaegan.data.contact_sheet import draw_contact_sheet
    from vaegan.data.description import describe_data
    from vaegan.storage.run_folder import Run

    from .picture_files import write_image

    config, console = load_data_config(source, overrides), Console()
    if output is not None and config.source == "folder" and config.root is not None:
        check_output_is_no_input(output, [], [config.root])
    description = describe_data(config, console, Run(expand_path("SOURCE", source)).members if is_run(source) else None)
    if as_json:
        console.say(json.dumps(description.to_json(), indent=1))
    else:
        _show(description, console)
    if output is not None:
        quiet = Console(shown=False) if as_json else console  # a line about the picture is no JSON
        write_image(draw_contact_sheet(list(description.splits.values())), output, quiet)
    if config.strict and (count := len(description.broken)):
        raise UserError(f"data.strict: {count} of the files cannot be used as images, and a training refuses the set")


def _show(description: "DataDescription", console: Console) -> None:
    """Print a description for a person."""
    config, splits = description.config, description.splits
    classes = list(description.classes.items())
    if len(classes) > MAX_CLASSES:
        classes.sort(key=lambda item: -sum(item[1].values()))
    rows = [[name, *_format_counts(counts.values())] for name, counts in classes[:MAX_CLASSES]]
    if others := classes[MAX_CLASSES:]:
        sums = [sum(counts[split] for _, counts in others) for split in splits]
        rows.append([f"{len(others):,} smaller classes", *_format_counts(sums)])
    rows.append(["all images", *_format_counts(map(len, splits.values()))])
    console.table([str(config.root or config.hub or config.source), *splits, "all"], rows)
    console.pairs(_describe_facts(description))
    if description.strays:
        console.say(f"no classes: {description.strays}")
    if description.differences:
        console.say(f"not as the run was trained on: {description.differences}")
    _list_some("broken", [f"{name}: {reason}" for name, reason in description.broken.items()], console)
    _list_some("equal", list(map(_format_group, description.duplicates)), console)


def _describe_facts(description: "DataDescription") -> dict[str, str]:
    """Return what is said of all images together, by its name."""
    from vaegan.data.split_members import OFFICIAL_SPLITS_ARE_KEPT

    config = description.config
    mean, deviation = (
        ", ".join(f"{value:.3f}" for value in values) for values in (description.mean, description.deviation)
    )
    within, across = description.count_duplicates()
    sizes = description.count_stored("size")
    facts = {
        "sizes": _format_kinds(sizes) or "drawn at any size",
        "modes": _format_kinds(description.count_stored("mode")),
        "formats": _format_kinds(description.count_stored("format")),
        "enlarged": f"{description.enlarged:,} smaller than {config.image_size} pixels",
        "used as": f"{config.image_size}x{config.image_size}, {CHANNEL_NAMES[config.channels - 1]}",
        "mean": f"{mean} of the training images, from 0 to 1",
        "deviation": deviation,
        "broken": f"{len(description.broken):,}",
        "duplicates": f"{within:,} within a split, {across:,} across splits",
    }
    if description.official and across:
        facts["duplicates"] += f" ({OFFICIAL_SPLITS_ARE_KEPT})"
    if description.official:
        counts = ", ".join(f"{split} ({number:,})" for split, number in description.official.items())
        facts = {"set's splits": counts, **facts}
    if len(sizes) > MAX_KINDS:
        smallest, largest = (f"{image.width}x{image.height}" for image in description.find_extremes())
        facts["sizes"] = f"{len(sizes):,} from {smallest} to {largest}, most often {sizes[0][0]} ({sizes[0][1]:,})"
    return {name: text for name, text in facts.items() if text and not text.startswith("0 smaller")}


def _format_counts(counts: Iterable[int]) -> list[str]:
    numbers = list(counts)
    return [f"{number:,}" for number in (*numbers, sum(numbers))]


def _format_kinds(counts: list[tuple[str, int]]) -> str:
    """Return the most frequent kinds with their numbers of images, and the number of the other kinds."""
    if len(counts) == 1:
        return counts[0][0]
    shown = ", ".join(f"{name} ({number:,})" for name, number in counts[:MAX_KINDS])
    return shown + f", {len(counts) - MAX_KINDS:,} others" * (len(counts) > MAX_KINDS)


def _format_group(group: "list[NamedImage]") -> str:
    names = [f"{image.name} ({image.split})" for image in group[:MAX_COPIES]]
    return " = ".join(names) + f" and {len(group) - MAX_COPIES:,} more" * (len(group) > MAX_COPIES)


def _list_some(title: str, lines: list[str], console: Console) -> None:
    for line in lines[:MAX_LINES]:
        console.say(f"{title}: {make_printable(line)}")
    if len(lines) > MAX_LINES:
        console.say(f"{title}: {len(lines) - MAX_LINES:,} more; --json lists all")
