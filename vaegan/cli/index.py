"""The command that makes the index of tar shards: `index`."""

from pathlib import Path

import click

from .console import Console
from .options import PATH


@click.command(short_help="Index images in tar shards.")
@click.argument("shards", type=PATH)
@click.option("--decode", is_flag=True, help="Decode every image, to find all that are damaged.")
def index(shards: Path, decode: bool) -> None:
    """Read all images in SHARDS once, and write where they lie into an index beside them.

    SHARDS is a folder of .tar files, or one of them: what data.source=webdataset reads, by that index. Headers are
    checked; what cannot be used is named and left out.
    """
    from vaegan.data.webdataset.build_index import build_index
    from vaegan.data.webdataset.index import get_index_file

    console = Console()
    with console.progress("Indexing", "shards") as progress:
        made = build_index(shards.absolute(), decode, console.note, progress)
    files, classes = len(made.shards), len(made.classes)
    counts = f"{len(made):,} images in {files:,} shard{'s' * (files > 1)}"
    labels = f"{classes:,} class{'es' * (classes != 1)}" if classes else "no labels"
    console.say(f"{get_index_file(shards)}: {counts}, {labels}, {len(made.broken):,} broken")
