"""The command `attribute`: directions in the space of codes that lead from one class to another."""

from pathlib import Path

import click

from vaegan.errors import UserError
from vaegan.extras import check_packages
from vaegan.paths import expand_path

from .console import Console
from .options import DATA_ROOT_OPTION, FOLDER, LABEL_OPTION, OTHER_DATA_OPTION, PATH, Integer, make_file_check

DATA_LABELS = "labels"
"""Value of --by that means the classes of the run's own images."""
DEFAULT_IMAGES = 10_000
"""Images to learn from at most, by default."""


@click.command(short_help="Learn the direction of codes that leads from one class to another.")
@click.argument("run", type=FOLDER)
@click.option(
    "--by", required=True, metavar="LABELS.csv|labels",
    help="CSV file with the columns file and label, or the word labels: the classes of the run's own images.",
)  # fmt: skip
@click.option("--positive", metavar="NAME", help="Class that the direction leads to; of two, by default the last.")
@click.option("--negative", metavar="NAME", help="Class that the direction leads away from; by default all others.")
@click.option(
    "-n", "--number", type=Integer(2, 10**9), default=DEFAULT_IMAGES, show_default=True,
    help="Largest number of images to learn from.",
)  # fmt: skip
@LABEL_OPTION
@DATA_ROOT_OPTION
@OTHER_DATA_OPTION
@click.option(
    "-o", "--output", type=PATH, callback=make_file_check(".safetensors"), default="attribute.safetensors",
    show_default=True, help="File to write.",
)  # fmt: skip
def attribute(
    run: Path, by: str, positive: str | None, negative: str | None, number: int, label: str | None,
    data_root: Path | None, allow_other_data: bool, output: Path,
) -> None:  # fmt: skip
    """Learn the directions of RUN's codes that lead from one class to another, for `vaegan edit`.

    The accuracy says how often the code tells the classes apart on held-out images.
    """
    check_packages(["sklearn"])
    from vaegan.applications.attributes import check_attribute_file, learn_attribute, save_attribute
    from vaegan.storage.loading import load_weights_hash

    from .labelled_codes import encode_listed_images, encode_own_images

    console, weights = Console(), load_weights_hash(run)
    check_attribute_file(output)
    if by == DATA_LABELS:
        if label is not None:
            raise UserError("--label: the class of images of a label file; leave it out")
        found = encode_own_images(run, positive, negative, number, console, data_root, allow_other_data)
    else:
        if data_root is not None or allow_other_data:
            raise UserError("--data-root, --allow-other-data: the images are those of a label file; leave them out")
        found = encode_listed_images(run, expand_path("--by", by), positive, negative, number, console, label)
    learned = learn_attribute(
        *found.learned, *found.held_out, positive=found.positive, negative=found.negative, weights=weights
    )
    header = learned.header
    counts = f"{header.images:,} images to learn from, {header.held_out:,} held out"
    console.say(f"{header.positive} against {header.negative}: {counts}, {header.majority:.1%} of the larger class")
    rows = [
        [name, f"{accuracy.value:.1%}", f"{accuracy.low:.1%} to {accuracy.high:.1%}"]
        for name, accuracy in header.accuracies.items()
    ]
    console.table(["direction", "accuracy", "95 % interval"], rows)
    if all(accuracy.low <= header.majority for accuracy in header.accuracies.values()):
        console.note(
            "not shown to be better than always naming the larger class: the codes may not carry this attribute"
        )
    save_attribute(learned, output)
    console.say(f"{output}: directions of {learned.directions['mean'].numel()} values")
