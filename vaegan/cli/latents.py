"""The commands `encode` and `decode`: the latents of a set of images for another model, and their pictures."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vaegan.workflows.latents import DTYPES, SPLITS, Encoding, check_decoding, decode_dataset, encode_dataset

from .completion import complete_words
from .console import Console
from .options import DATA_ROOT_OPTION, FOLDER, OTHER_DATA_OPTION, PROCESSES_OPTION, SEED, Integer, check_folder_path

if TYPE_CHECKING:
    from torch import Tensor


@click.command(short_help="Encode a set of images into latents that other models are trained on.")
@click.argument("run", type=FOLDER)
@click.argument("data", metavar="[DATA]", required=False, type=FOLDER)
@click.option(
    "-o", "--output", type=FOLDER, callback=check_folder_path, required=True,
    help="Folder to write; the same command goes on with an encoding that was interrupted.",
)  # fmt: skip
@click.option(
    "--split", metavar="NAME", shell_complete=complete_words(*SPLITS),
    help="Split of the run's images, where no DATA is given: train, validation or test.  [default: train]",
)  # fmt: skip
@click.option(
    "--dtype", metavar="NAME", shell_complete=complete_words(*DTYPES),
    help="Type of the latents: float32, float16 or bfloat16.  [default: float32]",
)  # fmt: skip
@click.option("--no-flip", is_flag=True, help="Leave out the latents of the mirrored images.")
@click.option("--sample", is_flag=True, help="Draw from the posteriors; by default latents are posterior means.")
@click.option("--seed", type=SEED, help="Seed of --sample.  [default: 0]")
@click.option(
    "--shard-rows", type=Integer(1, 10_000_000), default=10_000, show_default=True,
    help="Images of a file, which one process encodes.",
)  # fmt: skip
@DATA_ROOT_OPTION
@OTHER_DATA_OPTION
@PROCESSES_OPTION
def encode(
    run: Path, data: Path | None, output: Path, split: str | None, dtype: str | None, no_flip: bool, sample: bool,
    seed: int | None, shard_rows: int, data_root: Path | None, allow_other_data: bool, processes: int,
) -> None:  # fmt: skip
    """Encode the images of a folder DATA, or those of RUN, into a folder of latents for another model.

    Folders in DATA are classes. The latents are safetensors with the names that trainers of latent diffusion read; of a
    VQ-VAE they are the indices of its codebook.
    """
    from .launch import join_processes

    console = Console()
    encoding = Encoding(
        run, output, data, split, dtype, not no_flip, sample, seed, shard_rows, data_root, allow_other_data
    )
    config = encoding.check()
    join_processes(processes, [], console)
    description, moments = encode_dataset(encoding, config, console)
    shape = " x ".join(map(str, description.shape))
    files = f"{description.shards:,} file{'s' * (description.shards > 1)}"
    console.say(f"{output}: {description.rows:,} rows of {shape}, {description.dtype}, in {files}")
    if moments is not None:
        console.say(f"means of the channels {_format_range(moments.mean)}, deviations {_format_range(moments.std)}")


@click.command(short_help="Decode a folder of latents into pictures.")
@click.argument("latents", type=FOLDER)
@click.option(
    "-o", "--output", type=FOLDER, callback=check_folder_path, required=True,
    help="Folder to write; the same command goes on with a decoding that was interrupted.",
)  # fmt: skip
@click.option("--run", type=FOLDER, help="The run whose model has encoded the images, if it has moved.")
@PROCESSES_OPTION
def decode(latents: Path, output: Path, run: Path | None, processes: int) -> None:
    """Decode the folder LATENTS, which `vaegan encode` has written, into a PNG file for each image, of its name."""
    from vaegan.latents.description import read_latent_description

    from .launch import join_processes

    console, description = Console(), read_latent_description(latents)
    folder = run or Path(description.run)
    check_decoding(latents, description, folder, output)
    join_processes(processes, [], console)
    decode_dataset(latents, description, folder, output, console)
    console.say(f"{output}: {description.rows:,} picture{'s' * (description.rows > 1)}")


def _format_range(values: "Tensor") -> str:
    return f"{values.min():.4g} to {values.max():.4g}"
