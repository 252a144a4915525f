"""The description of a folder of latents, `latents.json`: what was encoded by what, and into which rows and shards."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field

from vaegan.code_scale import CodeScale
from vaegan.config.section import Count
from vaegan.errors import UserError
from vaegan.io import read_bytes
from vaegan.shards import ShardedRows
from vaegan.storage.run_folder import ImageShape
from vaegan.text import get_reason, shorten

DESCRIPTION_FILE, INDEX_FILE, STATISTICS_FILE = "latents.json", "index.jsonl", "latents_stats.pt"
"""Names of the files beside the shards, which alone end in .safetensors."""
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class LatentDescription(ShardedRows):
    """The encoding that a folder of latents holds."""

    run: str
    """Folder of the run whose model has encoded the images."""
    weights: Digest
    """SHA-256 of the file of its weights."""
    image_shape: ImageShape
    """Shape (C, S, S) of the images."""
    source: str
    """Setting `data.source` of the images."""
    root: str | None
    """Their folder or file; None: the source has none."""
    split: str | None
    """Split of the run's images; None: they are all images of a folder."""
    fingerprint: str
    """Digest of the names, classes and bytes of the images."""
    classes: tuple[str, ...]
    """Names of the classes, in the order of the labels; () if there are none, and every label is 0."""
    tensor: Literal["latents", "indices"]
    """Name of the tensor in the shards: values of codes, or indices of codebook entries."""
    shape: tuple[Count, ...]
    """Shape of a row: (C', h, w) of a grid, (d,) of a vector, (h, w) of indices."""
    dtype: Literal["float32", "float16", "bfloat16", "int32"]
    """Type of the values."""
    flip: bool
    """True if the shards hold the codes of the mirrored images too."""
    seed: int | None
    """Root of the noise of posterior samples; None: the codes are posterior means, or have no spread."""
    code_scale: CodeScale | None = None
    """Mean and standard deviation over all values of sampled codes, as the training has measured them; None: of
    vectors and indices, and of an unfinished training."""
    places: ClassVar[frozenset[str]] = frozenset({"run", "root"})

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the tensors of codes in a shard, those of mirrored images last."""
        return (self.tensor, f"{self.tensor}_flip") if self.flip else (self.tensor,)

    @property
    def torch_dtype(self) -> torch.dtype:
        """Type of the values."""
        dtype: torch.dtype = getattr(torch, self.dtype)
        return dtype

    def get_shard_file(self, folder: Path, number: int) -> Path:
        """Return the file of a shard; the order of the names is that of the rows, whatever process has written them."""
        return folder / f"latents_rank00_shard{number:0{max(3, len(str(self.shards - 1)))}d}.safetensors"


def read_latent_description(folder: Path) -> LatentDescription:
    """Read the description of a folder of latents.

    Raises:
        UserError: It has none, or a damaged one.
    """
    try:
        return LatentDescription.model_validate_json(read_bytes(folder / DESCRIPTION_FILE))
    except (FileNotFoundError, NotADirectoryError):
        advice = "give the --output of `vaegan encode`"
        raise UserError(f"{folder}: no folder of latents (it has no {DESCRIPTION_FILE}); {advice}") from None
    except (OSError, ValueError) as error:
        reason = shorten(get_reason(error))
        mend = "remove the folder, and encode the images again"
        raise UserError(f"{folder / DESCRIPTION_FILE}: damaged ({reason}); {mend}") from None


def check_all_shards(folder: Path, description: LatentDescription) -> None:
    """Check that every shard of a folder is there.

    Raises:
        UserError: Some are missing.
    """
    missing = sum(not description.get_shard_file(folder, number).is_file() for number in range(description.shards))
    if missing:
        problem = f"{missing:,} of its {description.shards:,} shards are missing"
        raise UserError(f"{folder}: {problem}; the `vaegan encode` that has begun it goes on")


def list_files(description: LatentDescription, folder: Path) -> Sequence[str]:
    """Return the names of all files of a folder of latents."""
    shards = (description.get_shard_file(folder, number).name for number in range(description.shards))
    return [DESCRIPTION_FILE, INDEX_FILE, STATISTICS_FILE, *shards]
