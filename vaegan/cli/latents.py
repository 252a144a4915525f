"""The commands `encode` and `decode`: the latents of a set of images for another model, and their pictures."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vaegan.errors import UserError
from vaegan.paths import is_searched

from .completion import complete_words
from .console import Console
from .options import (
    DATA_ROOT_OPTION,
    FOLDER,
    OTHER_DATA_OPTION,
    PROCESSES_OPTION,
    Integer,
    check_folder_path,
)
from .workflows import load_run_model

if TYPE_CHECKING:
    from vaegan.config import Config
    from vaegan.latents.description import LatentDescription

SPLITS = ("train", "validation", "test")
DTYPES = ("float32", "float16", "bfloat16")
DETERMINISTIC_FAMILIES = ("ae", "vqvae")
"""Families whose codes have no spread."""


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
@click.option("--seed", type=Integer(0, 2**63 - 1), help="Seed of --sample.  [default: 0]")
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
    from vaegan.distributed import run_on_all_ranks
    from vaegan.storage.loading import load, load_class_names
    from vaegan.storage.run_folder import Run

    from .launch import join_processes

    console, config = Console(), Run(run).config
    _check_encoding(run, config, data, output, split, dtype, sample, seed, data_root, allow_other_data)
    join_processes(processes, [], console)
    from vaegan.evaluate.one_pass import get_device
    from vaegan.latents.encoding import describe_encoding, encode_to_folder
    from vaegan.latents.inputs import number_by_model, open_folder, open_run_split

    model = run_on_all_ranks(lambda: load_run_model(run, load, console)).to(get_device())
    names = run_on_all_ranks(lambda: load_class_names(run))
    if data is not None:
        inputs = open_folder(data, config, console)
    else:
        inputs = open_run_split(Run(run), split or "train", console, data_root, allow_other_data)
    inputs = number_by_model(inputs, model, names, run)
    make = partial(
        describe_encoding, Run(run), model, inputs, dtype=dtype or DTYPES[0], flip=not no_flip,
        seed=(seed or 0) if sample else None, shard_rows=shard_rows, batch_size=config.evaluate.batch_size,
    )  # fmt: skip
    description = run_on_all_ranks(make)
    with console.progress("Encoding", "images") as progress:
        moments = encode_to_folder(model, inputs, output, description, progress)
    shape, files = (
        " x ".join(map(str, description.shape)),
        f"{description.shards:,} file{'s' * (description.shards > 1)}",
    )
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
    from vaegan.distributed import run_on_all_ranks
    from vaegan.latents.description import read_latent_description
    from vaegan.storage.loading import load

    from .launch import join_processes

    console, description = Console(), read_latent_description(latents)
    folder = run or Path(description.run)
    _check_decoding(latents, description, folder, output)
    join_processes(processes, [], console)
    from vaegan.evaluate.one_pass import get_device
    from vaegan.latents.decoding import decode_to_folder

    model = run_on_all_ranks(lambda: load_run_model(folder, load, console)).to(get_device())
    with console.progress("Decoding", "images") as progress:
        decode_to_folder(model, latents, description, output, progress)
    console.say(f"{output}: {description.rows:,} picture{'s' * (description.rows > 1)}")


def _check_encoding(
    run: Path, config: "Config", data: Path | None, output: Path, split: str | None, dtype: str | None, sample: bool,
    seed: int | None, data_root: Path | None, allow_other_data: bool,
) -> None:  # fmt: skip
    """Check arguments and options of `encode` before processes are started.

    Raises:
        UserError: One is wrong, or does not go with another or with the run's family.
    """
    family = config.model.family
    if family == "pixelcnn":
        of = f"its VQ-VAE, {config.prior.autoencoder}," if config.prior is not None else "its VQ-VAE"
        raise UserError(f"{run}: a prior over codes; give the run of {of} whose codes they are")
    if family in DETERMINISTIC_FAMILIES and sample:
        raise UserError(f"--sample: codes of a run of {family} have no spread; leave it out")
    if family == "vqvae" and dtype is not None:
        raise UserError(f"--dtype {dtype}: a VQ-VAE is encoded into indices, which are int32; leave it out")
    for option, value, allowed in (("--split", split, SPLITS), ("--dtype", dtype, DTYPES)):
        if value is not None and value not in allowed:
            raise UserError(f"{option} {value}: allowed: {', '.join(allowed)}")
    if seed is not None and not sample:
        raise UserError("--seed: posterior means have no noise; give --sample as well, or leave it out")
    if data is not None:
        for option, is_given in (
            ("--split", split),
            ("--data-root", data_root),
            ("--allow-other-data", allow_other_data),
        ):
            if is_given:
                raise UserError(f"{option}: of the run's own images, and all of {data} are encoded; leave it out")
        if not data.is_dir():
            raise UserError(f"{data}: {'a file' if data.exists() else 'no such folder'}; name a folder of images")
        _check_place(output, data)
    if config.data.source == "folder" and config.data.root is not None:
        _check_place(output, config.data.root)


def _check_decoding(latents: Path, description: "LatentDescription", run: Path, output: Path) -> None:
    """Check the run of `decode` and the place of its pictures, before processes are started.

    Raises:
        UserError: The run has other weights or is not there, or the pictures would join the images.
    """
    from vaegan.storage.loading import load_weights_hash
    from vaegan.storage.run_folder import Run

    if not Run(run).exists:
        raise UserError(f"{run}: no run is there, which has made {latents}; name its folder by --run")
    if load_weights_hash(run) != description.weights:
        raise UserError(f"{run}: its model is another one than that which has made {latents}; name the run by --run")
    places = [latents] + ([Path(description.root)] if description.source == "folder" and description.root else [])
    if (config := Run(run).config).data.source == "folder" and config.data.root is not None:
        places.append(config.data.root)
    for place in places:
        _check_place(output, place)


def _check_place(output: Path, folder: Path) -> None:
    """Check that a folder is not written into one of images, or into that of the latents that are read."""
    if is_searched(output, folder):
        raise UserError(f"--output {output}: inside {folder}, which is read; name a folder elsewhere")


def _format_range(values: Any) -> str:
    return f"{values.min():.4g} to {values.max():.4g}"
