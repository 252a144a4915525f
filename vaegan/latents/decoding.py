"""Decoding of a folder of latents into pictures, one for each row, under the names of the images."""

import json
import os
from collections.abc import Sequence
from functools import partial
from hashlib import blake2b
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor

from vaegan.distributed import run_on_main
from vaegan.errors import Failure, UserError
from vaegan.images import is_whole_png, to_uint8, write_missing_pngs
from vaegan.io import load_tensors, read_bytes, write_text
from vaegan.models import VQVAE, Autoencoder
from vaegan.models.continuous import ContinuousAutoencoder
from vaegan.precision import full_precision
from vaegan.progress import ProgressCallback, ignore_progress
from vaegan.shards import write_shards
from vaegan.text import to_one_line

from .description import LatentDescription, check_all_shards
from .index import read_names

MARK_FILE = "decoded.json"
"""File that says which latents the pictures of a folder were decoded from."""


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
    run_on_main(lambda: _begin(output, description))

    def is_finished(number: int) -> bool:
        return all(is_whole_png(output / files[row]) for row in description.get_rows(number))

    write_shards(description, is_finished, partial(_decode_shard, model, folder, description, output, files), progress)


def name_pictures(names: Sequence[str]) -> "PictureNames":
    """Return the path of the picture of each row: the name of its image, with the ending .png in the place of its own.

    If two images differ in their ending alone, every picture keeps that of its image in front of .png.
    """
    stems = np.fromiter((_hash(_cut_ending(name)) for name in names), dtype=np.uint64, count=len(names))
    return PictureNames(names, len(np.unique(stems)) == len(names))


class PictureNames:
    """Paths of pictures by their row, made of the names of images when they are needed.

    Args:
        names: Names of the images.
        cut: Whether the ending of an image is left out.
    """

    def __init__(self, names: Sequence[str], cut: bool) -> None:
        self.names, self.cut = names, cut

    def __getitem__(self, row: int) -> str:
        name = self.names[row]
        return (_cut_ending(name) if self.cut else name) + ".png"


def _begin(output: Path, description: LatentDescription) -> None:
    """Mark a folder as that of the pictures of an encoding, if it is empty or marked already.

    Raises:
        UserError: It holds other files, or the pictures of another encoding.
    """
    output.mkdir(parents=True, exist_ok=True)
    mark = {"encoding": description.digest, "weights": description.weights, "images": description.rows}
    present = {path.name for path in output.iterdir()} - {f"{MARK_FILE}.partial"}
    if not present:
        write_text(output / MARK_FILE, json.dumps(mark, indent=1) + "\n")
        return
    try:
        found = json.loads(read_bytes(output / MARK_FILE))
    except FileNotFoundError:
        problem = f"holds other files, such as {min(present)}"
        raise UserError(f"--output {output}: {problem}; name an empty or a new folder") from None
    except (OSError, ValueError, RecursionError):
        found = None
    if found != mark:
        raise UserError(f"--output {output}: holds pictures of other latents; name another folder")


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


def decode_rows(model: Autoencoder, codes: Tensor, labels: Tensor) -> Tensor:
    """Decode some rows, and return the images, uint8, shape (n, C, S, S), on the CPU.

    Args:
        model: Model in evaluation mode.
        codes: Rows of a shard, shape (n, ...).
        labels: Their classes, int64, shape (n,), which the networks of a conditional model take.
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


def _cut_ending(name: str) -> str:
    return os.path.splitext(name)[0]


def _hash(name: str) -> int:
    return int.from_bytes(blake2b(os.fsencode(name), digest_size=8).digest(), "little")
