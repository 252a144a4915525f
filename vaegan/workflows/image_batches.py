"""Image files, each with its name and its class, read in batches so that only one batch is in memory."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import torch

from vaegan.compression.compressing import Batch
from vaegan.config.data import DataVersion, Fit
from vaegan.data import UnreadableImageError, read_image, silence_pillow
from vaegan.data.dataset import UInt8Image
from vaegan.data.image_file import check_body, describe_image, read_whole_image
from vaegan.distributed import all_gather_object
from vaegan.errors import UserError
from vaegan.models import Autoencoder
from vaegan.progress import Reporter
from vaegan.storage.loading import load_class_names
from vaegan.text import make_printable, shorten

from .image_files import ImageFile
from .trained_model import find_class


class ImageBatches:
    """Image files that are read in batches, in the size of a model or in their own.

    Args:
        files: The files.
        run: Run of the model, for its classes.
        model: The model.
        label: Name or number of the class of all images; None: their folders are their classes.
        decoding: The `data.version` and the `data.fit` of the run.
        native_size: Whether images keep their sizes; they are then read one at a time.
        reporter: Takes notes.

    Raises:
        UserError: A file that was named is no image, two have the same name, there is no such class, or an image has no
            class.
    """

    def __init__(
        self, files: Sequence[ImageFile], run: Path, model: Autoencoder, label: str | None,
        decoding: tuple[DataVersion, Fit], native_size: bool, reporter: Reporter,
    ) -> None:  # fmt: skip
        self.files, self.model, self.decoding, self.reporter = files, model, decoding, reporter
        self.native_size = native_size
        self._check_named_files()
        self.names = _name_images(files)
        self.labels = _label_images(files, run, model.classes, label)
        self.broken: list[UnreadableImageError] = []

    def _check_named_files(self) -> None:
        """Check that the files that were named can be opened as images, before any work.

        Raises:
            UserError: One cannot.
        """
        for file in self.files:
            if file.folder is None:
                try:
                    with silence_pillow():
                        describe_image(file.path, self.decoding[0])
                except UnreadableImageError as error:
                    raise UserError(f"{error.file}: {error.reason}") from None

    def read(self, rows: range) -> Batch:
        """Read the images of some rows; leave out files found in folders that are no images.

        Raises:
            UserError: A file that was named is no image.
        """
        version = self.decoding[0]
        pixels = dict[int, UInt8Image]()
        for row in rows:
            file = self.files[row]
            try:
                with silence_pillow():
                    image = self._read_pixels(file.path)
                    if version > 1:
                        check_body(file.path)
            except UnreadableImageError as error:
                if file.folder is None:
                    raise UserError(f"{error.file}: {error.reason}") from None
                self.broken.append(error)
            else:
                pixels[row] = image
        labels = None if self.labels is None else torch.tensor([self.labels[row] for row in pixels])
        images = torch.from_numpy(np.stack([*pixels.values()])) if pixels else torch.empty(0)
        return Batch([self.names[row] for row in pixels], images, labels)

    def _read_pixels(self, path: Path) -> UInt8Image:
        """Return the pixels of a file, in the size of the model or in its own.

        Raises:
            UnreadableImageError: It is no image.
        """
        (channels, side, _), (version, fit) = self.model.image_shape, self.decoding
        if self.native_size:
            return read_whole_image(path, channels)
        return read_image(path, side, channels, version, self.reporter.note, fit)

    def gather_broken(self) -> list[UnreadableImageError]:
        """Return the errors of the files that were left out; all processes do this together."""
        found = chain(*all_gather_object([(error.file, error.reason) for error in self.broken]))
        return [UnreadableImageError(*each) for each in found]


def _name_images(files: Sequence[ImageFile]) -> list[str]:
    """Return the name of each image: its path under the folder that was named, or its own name.

    Raises:
        UserError: Two images have the same name.
    """
    sources = dict[str, Path]()
    for file in files:
        name = file.path.name if file.folder is None else file.path.relative_to(file.folder).as_posix()
        if (other := sources.setdefault(name, file.path)) is not file.path:
            problem = f"{make_printable(other)} and {make_printable(file.path)} would have one name in the file"
            raise UserError(f"{shorten(name)}: {problem}; compress them into two files")
    return list(sources)


def _label_images(files: Sequence[ImageFile], run: Path, classes: int | None, label: str | None) -> list[int] | None:
    """Return the class of each image; None: the model is unconditional.

    Raises:
        UserError: There is no such class, an image has none, or the model is unconditional and a class was given.
    """
    if classes is None:
        if label is not None:
            raise UserError(f"--label {label}: {run} is unconditional; leave it out, or use a run with model.labels")
        return None
    if label is not None:
        return [find_class(run, label, classes)] * len(files)
    numbers: dict[str | None, int] = {name: number for number, name in enumerate(load_class_names(run))}
    for file in files:
        if file.label not in numbers:
            problem = "is in no class folder" if file.label is None else f"is in {shorten(file.label)}, no class of it"
            advice = "put the images into folders of its classes, or name that of all"
            raise UserError(f"--label: {run} is conditional, and {make_printable(file.path)} {problem}; {advice}")
    return [numbers[file.label] for file in files]
