"""A folder of latents as a data set of torch."""

import os
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.utils.data import Dataset

from vaegan.data.large_sets.packed_names import PackedNames
from vaegan.errors import UserError
from vaegan.paths import expand_path
from vaegan.text import has_undecodable_bytes, make_printable, to_one_line

from .description import LatentDescription, check_all_shards, read_latent_description
from .index import read_names
from .shards import read_statistics


class LatentDataset(Dataset[tuple[Tensor, int]]):
    """The latents that `vaegan encode` has written, in the order of the rows, each with its class.

    A shard is opened when a row of it is first read, and only that row is read. The data set can be pickled into
    the workers of a `DataLoader`. Both ways round of each image are

        torch.utils.data.ConcatDataset([vaegan.LatentDataset("latents"), vaegan.LatentDataset("latents", flip=True)])

    Args:
        folder: The folder.
        flip: Whether the codes are those of the mirrored images.
        normalise: Whether the mean of each channel over all rows is subtracted, and the result divided by its standard
            deviation, in float32; a channel that never changes becomes 0.

    Raises:
        UserError: The folder holds no finished encoding, none of mirrored images, or indices, which have no mean.

    Attributes:
        folder: The folder.
        description: What was encoded by what.
    """

    def __init__(self, folder: str | os.PathLike[str], flip: bool = False, normalise: bool = False) -> None:
        self.folder: Path = expand_path("folder", folder)
        if has_undecodable_bytes(str(self.folder)):
            raise UserError(f"folder: {make_printable(self.folder)}: safetensors opens UTF-8 paths only; rename it")
        self.description: LatentDescription = read_latent_description(self.folder)
        check_all_shards(self.folder, self.description)
        if flip and not self.description.flip:
            raise UserError(f"flip: {self.folder} holds no mirrored images; encode the images again with them")
        if normalise and self.description.tensor == "indices":
            raise UserError(f"normalise: {self.folder} holds indices, which have no mean; leave it out")
        self.name = self.description.names[int(flip)]
        self._statistics = read_statistics(self.folder, self.description) if normalise else None
        self._shards: dict[int, Any] = {}

    def __len__(self) -> int:
        return self.description.rows

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Return a latent, of the shape and type of the description, and the number of its class, 0 if it has none.

        Raises:
            IndexError: There is no such row.
            UserError: Its shard is damaged, or of another encoding.
        """
        row = index + len(self) if index < 0 else index
        if not 0 <= row < len(self):
            raise IndexError("index out of range")
        number, place = divmod(row, self.description.shard_rows)
        try:
            shard = self._open(number)
            latent, label = (shard.get_slice(name)[place : place + 1][0] for name in (self.name, "labels"))
        except (OSError, SafetensorError, IndexError) as error:
            file = self.description.get_shard_file(self.folder, number)
            raise UserError(f"{file}: damaged ({to_one_line(error)}); `vaegan encode` writes it anew") from None
        if self._statistics is not None:
            mean, std = self._statistics
            latent = (latent.float() - mean) / torch.where(std > 0, std, 1)
        return latent, int(label)

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled: everything but the open files and the names."""
        return {**{name: value for name, value in vars(self).items() if name != "names"}, "_shards": {}}

    @cached_property
    def names(self) -> PackedNames:
        """Name of the image of each row: its path under the folder of the images.

        Raises:
            UserError: The index of the folder is missing or damaged.
        """
        return read_names(self.folder, self.description)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes in the order of their numbers; () if there are none."""
        return self.description.classes

    def _open(self, number: int) -> Any:
        """Return the open file of a shard."""
        if number not in self._shards:
            file = self.description.get_shard_file(self.folder, number)
            shard: Any = safe_open(file, framework="pt")
            if (shard.metadata() or {}).get("encoding") != self.description.digest:
                raise UserError(f"{file}: not a shard of this encoding; encode the images again")
            self._shards[number] = shard
        return self._shards[number]
