"""Decoding of a folder of latents into pictures, one for each row, under the names of the images."""

from functools import partial
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor

from vaegan.distributed import run_on_main
from vaegan.errors import Failure
from vaegan.images import is_whole_png, to_uint8, write_missing_pngs
from vaegan.io import load_tensors
from vaegan.models import VQVAE, Autoencoder
from vaegan.models.continuous import ContinuousAutoencoder
from vaegan.precision import full_precision
from vaegan.progress import ProgressCallback, ignore_progress
from vaegan.shards import write_shards
from vaegan.text import to_one_line

from .description import LatentDescription, check_all_shards
from .index import read_names
from .pictures import PictureNames, begin_pictures, name_pictures


def decode_to_folder(
    model: Autoencoder,
    folder: Path,
    description: LatentDescription,
    output: Path,
    progress: ProgressCallback = ignore_progress,
) -> None:
    """Decode every row of a folder of latents into a PNG file, as far as it is not yet; all processes do this together.

    The processes take whole shards in turn. A picture that is there is left as it is.

    Args:
        model: The model that has encoded the images, in evaluation mode, on the device where it computes.
        folder: The folder of latents.
        description: Its encoding.
        output: Folder of the pictures; created if it does not exist.
        progress: Called with (images done, images in all).

    Raises:
        UserError: The latents are not complete, or the folder of the pictures holds something else.
        Failure: A shard cannot be read.
        OSError: A picture cannot be written.
    """
    check_all_shards(folder, description)
    files = name_pictures(read_names(folder, description))
    mark = {"encoding": description.digest, "weights": description.weights, "images": description.rows}
    run_on_main(lambda: begin_pictures(output, mark, "latents"))

    def is_finished(number: int) -> bool:
        return all(is_whole_png(output / files[row]) for row in description.get_rows(number))

    write_shards(description, is_finished, partial(_decode_shard, model, folder, description, output, files), progress)


@torch.no_grad()
def _decode_shard(
    model: Autoencoder, folder: Path, description: LatentDescription, output: Path, files: PictureNames, number: int,
    report: ProgressCallback,
) -> None:  # fmt: skip
    """Decode the rows of a shard, and write the pictures that are not there."""
    file = description.get_shard_file(folder, number)
    try:
        tensors = load_tensors(file)
        codes, labels = tensors[description.tensor], tensors["labels"]
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise Failure(f"{file}: damaged ({to_one_line(error)}); `vaegan encode` writes it anew") from None
    rows = description.get_rows(number)
    if codes.shape != (len(rows), *description.shape) or labels.shape != (len(rows),):
        raise Failure(f"{file}: damaged (its rows are not those of the description); `vaegan encode` writes it anew")
    for batch in description.get_batches(number):
        place = slice(batch.start - rows.start, batch.stop - rows.start)
        write_missing_pngs(
            [output / files[row] for row in batch], partial(decode_rows, model, codes[place], labels[place])
        )
        report(batch.stop - rows.start, len(rows))


def decode_rows(model: Autoencoder, codes: Tensor, labels: Tensor | None) -> Tensor:
    """Decode some rows, and return the images, uint8, shape (n, C, S, S), on the CPU.

    Args:
        model: Model in evaluation mode.
        codes: Rows of a shard, shape (n, ...).
        labels: Their classes, int64, shape (n,), which the networks of a conditional model take; None: they take none.
    """
    parameter = next(model.parameters())
    with full_precision(parameter.device, deterministic=False):
        if isinstance(model, VQVAE):
            images = model.decode(model.embed(codes.long().to(parameter.device)))
        else:
            assert isinstance(model, ContinuousAutoencoder)
            takes_labels = model.classes is not None and model.networks_take_labels
            images = model.decode(codes.to(parameter).flatten(1), labels if takes_labels else None)
    return to_uint8(images).cpu()
