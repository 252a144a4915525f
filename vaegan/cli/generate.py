"""The command `generate`, which makes a data set of generated images."""

from pathlib import Path

import click

from vaegan.workflows.generation import FORMATS, MAX_IMAGES, MAX_SHARD_ROWS, SCORES, Request, generate_dataset
from vaegan.workflows.trained_model import fetch_if_on_hub

from .completion import complete_words
from .console import Console
from .options import (
    DATA_ROOT_OPTION,
    DENSITY_OPTION,
    FOLDER,
    LABEL_OPTION,
    MODEL,
    OTHER_DATA_OPTION,
    PROCESSES_OPTION,
    SEED,
    Integer,
    check_folder_path,
)


@click.command(short_help="Generate a data set of images.")
@click.argument("run", type=MODEL)
@click.option("-n", "--number", type=Integer(1, MAX_IMAGES), required=True, help="Images to generate.")
@click.option(
    "-o", "--output", type=FOLDER, callback=check_folder_path, required=True,
    help="Folder to write; the same command goes on with a generation that was interrupted.",
)  # fmt: skip
@click.option(
    "--format", "format_name", metavar="NAME", default=FORMATS[0], show_default=True,
    shell_complete=complete_words(*FORMATS),
    help="folder: a PNG file for each image, in folders of their classes; npz: one array; tar: shards of WebDataset.",
)  # fmt: skip
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed of their codes.")
@DENSITY_OPTION
@LABEL_OPTION
@click.option(
    "--reject", metavar="SCORE=SHARE", shell_complete=complete_words(*(f"{name}=" for name in SCORES)),
    help="Draw anew the worst SHARE of all draws, by the discriminator's realness, or by the distance to the nearest"
    " training image in features.",
)  # fmt: skip
@click.option(
    "--features", type=FOLDER, metavar="RUN",
    help="Run of train-features for --reject distance.  [default: evaluate.features of the run]",
)  # fmt: skip
@click.option(
    "--shard-rows", type=Integer(1, MAX_SHARD_ROWS), default=1000, show_default=True,
    help="Images of a shard, which one process generates.",
)  # fmt: skip
@DATA_ROOT_OPTION
@OTHER_DATA_OPTION
@PROCESSES_OPTION
def generate(
    run: Path, number: int, output: Path, format_name: str, seed: int, density: str | None, label: str | None,
    reject: str | None, features: Path | None, shard_rows: int, data_root: Path | None, allow_other_data: bool,
    processes: int,
) -> None:  # fmt: skip
    """Generate a data set of images from the prior of RUN, or from a density, for others to learn from.

    Image i is that of `vaegan sample` with the same seed. A conditional RUN generates its classes in turn, or only the
    class of --label.
    """
    from .launch import join_processes

    console, run = Console(), fetch_if_on_hub(run)
    request = Request(
        run,
        output,
        number,
        format_name,
        seed,
        density,
        label,
        reject,
        features,
        shard_rows,
        data_root,
        allow_other_data,
    )
    config = request.check()
    join_processes(processes, [], console)
    generation = generate_dataset(request, config, console)
    source = generation.density or "the prior"
    console.say(f"{output}: {number:,} image{'s' * (number > 1)}, drawn from {source}")
    if (rejection := generation.rejection) is not None:
        least = rejection.threshold
        assert least is not None
        worst = f"distance over {-least:.4g}" if rejection.score == "distance" else f"realness under {least:.4g}"
        console.say(f"drawn anew were those of {worst}, {100 * rejection.share:g} % of all draws")
