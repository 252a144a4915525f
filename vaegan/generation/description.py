"""The description of a data set of generated images, `generated.json`: what they are a function of."""

from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from vaegan.config.section import Section
from vaegan.errors import UserError
from vaegan.io import MAX_NAME_BYTES, read_bytes
from vaegan.shards import ShardedRows
from vaegan.storage.run_folder import ImageShape
from vaegan.text import get_reason, shorten

DESCRIPTION_FILE = "generated.json"
"""Name of the file."""


class RejectionConfig(Section):
    """The score by which draws are rejected, and the threshold under which they are."""

    score: Literal["realness", "distance"]
    """`realness`: the discriminator's; `distance`: minus that to the nearest training image in features."""
    share: float = Field(gt=0, lt=1)
    """Share of the draws that is rejected."""
    judge: str
    """Digest of the network that gives the score, and of the images that it compares with."""
    threshold: float | None = None
    """Least score of a draw that is kept; None: not measured yet."""


class Generation(ShardedRows):
    """A data set of generated images."""

    run: str
    """Folder of the run whose model has generated them."""
    weights: str
    """SHA-256 of the file of its weights."""
    image_shape: ImageShape
    """Shape (C, S, S) of the images."""
    format: Literal["folder", "npz", "tar"]
    """Form that they are kept in."""
    seed: int
    """Root of their codes."""
    density: str | None
    """Density that the codes are drawn from, in words; None: the prior."""
    fitted_to: str | None
    """Digest of the images that it is fitted to."""
    label: int | None
    """Class of all images; None: the classes of a conditional model in turn."""
    classes: tuple[str, ...]
    """Names of the classes of a conditional model; () of others."""
    rejection: RejectionConfig | None
    """Rejection of draws; None: every draw is kept."""
    places: ClassVar[frozenset[str]] = frozenset({"run"})

    def _get_identity(self) -> dict[str, object]:
        identity = super()._get_identity()
        if self.rejection is not None:
            identity["rejection"] = self.rejection.model_dump(mode="json", exclude={"threshold"})
        return identity

    def get_label(self, row: int) -> int | None:
        """Return the class of an image; None: the model is unconditional."""
        if not self.classes:
            return None
        return row % len(self.classes) if self.label is None else self.label

    def get_whole_batch(self, rows: range) -> range:
        """Return the rows of the batch that begins with some rows, in a set of which they are not the last ones.

        A forward of other images rounds otherwise, so that with it an image would depend on the number of images.
        """
        end = (rows.start // self.shard_rows + 1) * self.shard_rows
        return range(rows.start, min(rows.start + self.batch_size, end))

    def get_name(self, row: int) -> str:
        """Return the name of an image, its number, without an ending."""
        return f"{row:0{max(6, len(str(self.rows - 1)))}d}"

    def get_picture(self, row: int) -> str:
        """Return the path of an image under the folder: its class, if it has one, and its name."""
        label = self.get_label(row)
        name = f"{self.get_name(row)}.png"
        return name if label is None else f"{_name_folders(self.classes)[label]}/{name}"

    def get_shard_name(self, number: int) -> str:
        """Return the name of the file of a shard, without an ending."""
        return f"generated-{number:0{max(6, len(str(self.shards - 1)))}d}"


def read_generation(folder: Path) -> Generation | None:
    """Read the description of a data set of generated images; None: the folder has none.

    Raises:
        UserError: It is damaged.
    """
    file = folder / DESCRIPTION_FILE
    try:
        return Generation.model_validate_json(read_bytes(file))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UserError(
            f"{file}: damaged ({shorten(get_reason(error))}); remove the folder, and generate anew"
        ) from None


@lru_cache(maxsize=1)
def _name_folders(classes: tuple[str, ...]) -> tuple[str, ...]:
    """Return the name of the folder of each class: the class's own, or, if that is no name of a folder, its number."""
    taken, folders = set(filter(_is_folder_name, classes)), list[str]()
    for label, name in enumerate(classes):
        if not _is_folder_name(name):
            name = str(label)
            while name in taken:  # it is that of another class
                name += "_"
            taken.add(name)
        folders.append(name)
    return tuple(folders)


def _is_folder_name(name: str) -> bool:
    is_long = len(name.encode(errors="surrogateescape")) > MAX_NAME_BYTES
    return not (is_long or name in ("", DESCRIPTION_FILE) or "/" in name or "\0" in name or name.startswith("."))
