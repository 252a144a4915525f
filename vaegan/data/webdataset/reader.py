"""Random access to the images of tar shards by their index."""

import errno
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from vaegan.config.data import Crop, Fit
from vaegan.data import reading
from vaegan.data.dataset import ImageReader, Source, UInt8Image
from vaegan.data.image_file import (
    EncodedImage,
    StoredImage,
    UnreadableImageError,
    check_body,
    check_image,
    describe_image,
    read_canvas,
    read_image,
)
from vaegan.data.official_splits import find_splits_of_files
from vaegan.data.verdicts import FileState, get_file_state
from vaegan.errors import UserError
from vaegan.text import get_reason, make_printable

from .index import ShardIndex, get_index_file, load_index, open_index


@dataclass(frozen=True, eq=False)
class ShardReader(ImageReader):
    """Encoded images in tar shards, decoded as image files are.

    The bytes of an image are those that were indexed, or it is not read: their digest is compared at every access. The
    index is mapped into memory, and is no part of what is pickled.
    """

    root: Path
    """Folder of the shards, or a single one."""
    folder: Path
    """The folder."""
    state: FileState
    """State of the file of the index."""
    size: int
    channels: int
    fit: Fit = "crop"
    """The setting `data.fit`."""

    def __getstate__(self) -> dict[str, object]:
        """Return what is pickled: all but the index, which the receiver maps into its memory."""
        return {name: value for name, value in vars(self).items() if name != "index"}

    @cached_property
    def index(self) -> ShardIndex:
        """The index of the shards.

        Raises:
            UserError: It was written since this reader was made.
        """
        return load_index(get_index_file(self.root), self.state)

    def __len__(self) -> int:
        return len(self.index)

    def __call__(self, index: int) -> UInt8Image:
        """Decode image ``index`` into uint8 pixels, shape (C, S, S)."""
        return read_image(self.read(index), self.size, self.channels, fit=self.fit)

    def load_canvas(self, index: int, crop: Crop) -> UInt8Image:
        """Return the pixels that random crops of image ``index`` are taken from, uint8, shape (C, H, W)."""
        return read_canvas(self.read(index), self.size, self.channels, crop)

    def read(self, index: int) -> EncodedImage:
        """Return the bytes of image ``index``.

        Raises:
            UnreadableImageError: The shard is gone, or the bytes are not those that were indexed.
        """
        where = self.locate(index)
        try:
            content = self.index.read(index, self.folder)
        except OSError as error:
            raise UnreadableImageError(where, get_reason(error).lower()) from error
        if content is None:
            problem = "not the image that was indexed; restore its shard, or run `vaegan index` again"
            raise UnreadableImageError(where, problem) from OSError(errno.ESTALE, "changed")  # which may be mended
        return EncodedImage(where, content)

    def get_name(self, index: int) -> str:
        """Return the name of the shard of image ``index`` and its own in it: ``00017.tar/cat/3.jpg``."""
        return self.index.names[index]

    def locate(self, index: int) -> str:
        """Return the path of the shard of image ``index`` and its name in it, printable."""
        return make_printable(os.path.join(self.folder, self.get_name(index)))

    def get_state(self, index: int) -> FileState:
        """Return the size and the digest of image ``index``, which are those of its bytes wherever they lie."""
        return FileState(int(self.index.sizes[index]), int.from_bytes(self.index.get_digest(index), "big"))

    def compute_image_digest(self, index: int, pixels_digest: bytes) -> str:
        """Return the digest of the bytes of image ``index``, hexadecimal, as the index has it."""
        return self.index.get_digest(index).hex()

    def describe(self, index: int) -> StoredImage:
        """Read size, mode and format of image ``index`` from its header."""
        return describe_image(self.read(index))

    def check(self, index: int) -> None:
        """Check the header of image ``index``."""
        check_image(self.read(index))

    def check_body(self, index: int) -> None:
        """Check that image ``index`` has all of its pixels."""
        check_body(self.read(index))

    def compute_digest(self) -> bytes:
        """Return a digest of all images and their names."""
        return bytes.fromhex(self.index.digest)

    @property
    def is_large(self) -> bool:
        """True if there are too many images for a run to list each of them."""
        return len(self) > reading.MAX_VERIFIED_IMAGES

    def list_shard_splits(self) -> list[str] | None:
        """Return the split that the name of each shard tells; None: they tell none.

        Raises:
            UserError: Some tell a split, and others none.
        """
        place = f"data.root: {make_printable(self.root)}"
        return find_splits_of_files([Path(shard.name) for shard in self.index.shards], place)


def open_webdataset(root: Path, size: int, channels: int) -> Source:
    """Open the images of indexed tar shards, with the splits that the names of the shards tell.

    Args:
        root: Folder of the shards, or a single one.
        size: Height and width that the images are fitted to.
        channels: Channels that they are converted to.

    Raises:
        UserError: There are no shards, they have no index, or are not those that were indexed.
    """
    try:
        index = open_index(root)
    except UserError as error:
        raise UserError(f"data.root: {error}") from error
    folder = root if root.is_dir() else root.parent
    reader = ShardReader(root, folder, get_file_state(get_index_file(root)), size, channels)
    of_shards = reader.list_shard_splits()
    if of_shards is None or reader.is_large:
        return Source(reader, index.classes, index.labels)
    official = [split for shard, split in zip(index.shards, of_shards, strict=True) for _ in range(shard.images)]
    return Source(reader, index.classes, index.labels, official_splits=tuple(official))
