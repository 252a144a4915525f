"""The commands `compress` and `decompress`: images as the codes of a run's model, in one file, and back."""

from pathlib import Path

import click

from vaegan.workflows.compression import compress_files, decompress_files, open_compressed
from vaegan.workflows.compression_settings import SUFFIX, Compression

from .console import Console
from .options import (
    DATA_ROOT_OPTION,
    FOLDER,
    LABEL_OPTION,
    OTHER_DATA_OPTION,
    PATH,
    PROCESSES_OPTION,
    TILE_OPTION,
    check_folder_path,
    make_file_check,
)


@click.command(short_help="Compress images into one file by the codes of a run.")
@click.argument("run", type=FOLDER)
@click.argument("images", metavar="IMAGE|FOLDER...", nargs=-1, required=True, type=PATH)
@click.option(
    "-o", "--output", type=PATH, callback=make_file_check(SUFFIX), required=True, metavar="FILE.vg",
    help="File to write.",
)  # fmt: skip
@click.option(
    "--rate", type=float, metavar="BPP",
    help="Take the finest step with which the run's validation images need at most BPP bits per pixel.",
)  # fmt: skip
@click.option(
    "--step", type=float, metavar="WIDTH",
    help="Round the values of codes to multiples of WIDTH.  [default: 1/8 of their largest deviation]",
)  # fmt: skip
@click.option(
    "--native-size", is_flag=True,
    help="Keep the size of each image, in the place of the size of RUN's images. For codes that are grids.",
)  # fmt: skip
@TILE_OPTION
@LABEL_OPTION
@DATA_ROOT_OPTION
@OTHER_DATA_OPTION
@PROCESSES_OPTION
def compress(
    run: Path, images: tuple[Path, ...], output: Path, rate: float | None, step: float | None, native_size: bool,
    tile: int | None, label: str | None, data_root: Path | None, allow_other_data: bool, processes: int,
) -> None:  # fmt: skip
    """Compress image files and the images of folders, in the size of RUN's images, into one file.

    The codes of the run's model are coded under a prior, which is fitted to its training images the first time and kept
    in its folder. RUN decodes the file.
    """
    from .launch import join_processes

    console = Console()
    compression = Compression(run, images, output, step, rate, label, data_root, allow_other_data, native_size, tile)
    config = compression.check()
    join_processes(processes, [], console)
    sizes, codec = compress_files(compression, config, console)
    count = f"{sizes.images:,} image{'s' * (sizes.images > 1)}"
    console.say(
        f"{output}: {count} in {sizes.file_bytes:,} bytes, {8 * sizes.file_bytes / sizes.pixels:.4g} bits per pixel"
    )
    rounded = f", rounded to multiples of {codec.step:g}" if codec.has_step else ""
    console.say(f"the codes alone{rounded}: {8 * sizes.message_bytes / sizes.pixels:.4g} bits per pixel")


@click.command(short_help="Decompress a file of images into pictures.")
@click.argument("run", type=FOLDER)
@click.argument("file", metavar="FILE.vg", type=PATH)
@click.option(
    "-o", "--output", type=FOLDER, callback=check_folder_path, required=True,
    help="Folder to write; the same command goes on with what was interrupted.",
)  # fmt: skip
@click.option("--only", multiple=True, metavar="NAME", help="Decode this image alone; may be given again.")
@PROCESSES_OPTION
def decompress(run: Path, file: Path, output: Path, only: tuple[str, ...], processes: int) -> None:
    """Decompress FILE.vg, which `vaegan compress RUN` has written, into a PNG file for each image, of its name."""
    from .launch import join_processes

    console = Console()
    compressed, prior, rows = open_compressed(file, run, only)
    join_processes(processes, [], console)
    decompress_files(compressed, prior, rows, run, output, console)
    count = compressed.description.images if rows is None else len(rows)
    console.say(f"{output}: {count:,} picture{'s' * (count > 1)}")
