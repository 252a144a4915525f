"""The shards of a folder of latents: written as a whole, recognised as finished, and summed up."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor

from vaegan.errors import UserError
from vaegan.io import hash_tensors, load_metadata, load_tensors, replace_file, save_tensors

from .description import STATISTICS_FILE, LatentDescription
from .moments import Moments


def write_shard(
    folder: Path, description: LatentDescription, number: int, tensors: Mapping[str, Tensor], moments: Moments | None
) -> None:
    """Write a shard, which is there as a whole or not at all.

    Args:
        folder: The folder.
        description: Its encoding.
        number: Number of the shard.
        tensors: Codes by name, shape (n, ...), and `labels`, int64, shape (n,).
        moments: Moments of the codes, by which a resumed encoding need not sum them again; None: of indices.

    Raises:
        OSError: The file cannot be written.
    """
    rows = description.get_rows(number)
    texts = {
        "total_size": str(len(rows)), "dtype": str(description.torch_dtype), "device": "cpu",
        "first_row": str(rows.start), "weights": description.weights, "encoding": description.digest,
        "sha256": _hash(tensors), **(moments.to_texts() if moments is not None else {}),
    }  # fmt: skip
    with replace_file(description.get_shard_file(folder, number)) as partial:
        save_tensors(tensors, partial, texts)


def is_finished(folder: Path, description: LatentDescription, number: int) -> bool:
    """Return whether the file of a shard is there and intact, by its shapes and the hash of its tensors.

    Raises:
        UserError: The file is the shard of another encoding.
    """
    file = description.get_shard_file(folder, number)
    try:
        tensors, texts = load_tensors(file), load_metadata(file)
    except (OSError, ValueError, SafetensorError):
        return False
    if texts.get("encoding") != description.digest:
        raise UserError(f"{file}: not a shard of this encoding; name another folder, or take the file away")
    count = len(description.get_rows(number))
    shapes = {**dict.fromkeys(description.names, (count, *description.shape)), "labels": (count,)}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    return found == shapes and texts.get("sha256") == _hash(tensors)


def write_statistics(folder: Path, description: LatentDescription) -> Moments:
    """Write mean and standard deviation of the channels over all rows, summed over the shards in order.

    The file is a dictionary of `mean` and `std`, float32, shape (1, C, 1, 1), or (1, d) of vectors, which
    `torch.load(..., weights_only=True)` reads.

    Returns:
        The moments.

    Raises:
        OSError: A shard cannot be read, or the file cannot be written.
    """
    moments: Moments | None = None
    for number in range(description.shards):
        own = Moments.from_texts(load_metadata(description.get_shard_file(folder, number)))
        moments = own if moments is None else moments + own
    assert moments is not None
    shape = (1, -1, *(1 for _ in description.shape[1:]))
    statistics = {name: getattr(moments, name).float().reshape(shape) for name in ("mean", "std")}
    with replace_file(folder / STATISTICS_FILE) as partial:
        torch.save(statistics, partial)
    return moments


def read_statistics(folder: Path, description: LatentDescription) -> tuple[Tensor, Tensor]:
    """Read mean and standard deviation of the channels, float32, of the shape of a row but for its sides of 1.

    Raises:
        UserError: The file is missing or damaged.
    """
    file = folder / STATISTICS_FILE
    try:
        statistics = torch.load(file, weights_only=True)
        mean, std = (statistics[name].squeeze(0).float() for name in ("mean", "std"))
        torch.broadcast_to(mean + std, description.shape)
    except Exception as error:  # the file may hold anything
        reason = "missing" if isinstance(error, FileNotFoundError) else "damaged"
        raise UserError(f"{file}: {reason}; the `vaegan encode` that has made the folder writes it") from None
    return mean, std


def _hash(tensors: Mapping[str, Tensor]) -> str:
    """Compute the SHA-256 of tensors, hexadecimal, whatever their order."""
    return hash_tensors(dict(sorted(tensors.items())))
