"""Image files that are read, and the batches in which a model computes images."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from vaegan.config.data import DataVersion, Fit
from vaegan.data import UnreadableImageError, find_images, read_image, silence_pillow
from vaegan.data.folder import label_by_folder
from vaegan.data.image_file import check_body
from vaegan.data.reading import describe_broken
from vaegan.errors import UserError
from vaegan.images import to_float, to_uint8
from vaegan.models import Autoencoder
from vaegan.progress import ProgressCallback, Reporter, nest_progress
from vaegan.text import make_encodable

from .destinations import check_output_is_no_input

T = TypeVar("T")

BATCH_IMAGES = 64
"""Images that a model computes at a time."""


class ImageFile(NamedTuple):
    """An image file that was given."""

    path: Path
    folder: Path | None = None
    """The folder that was named and that holds the file; None: the file was named itself."""
    label: str | None = None
    """The class folder that it lies in: one in the folder that was named, or else that folder itself."""


def find_image_files(
    paths: Sequence[Path], output: Path, max_images: int, version: DataVersion, reporter: Reporter
) -> list[ImageFile]:
    """Return the image files that are named, and those in folders, as a training finds them.

    Args:
        paths: Files and folders.
        output: Picture that will be made of them.
        max_images: Most images that there may be.
        version: The `data.version` of the run.
        reporter: Takes a note of what is passed over.

    Raises:
        UserError: A folder holds no image, there are more than ``max_images``, or ``output`` is one of them or would be
            one the next time.
    """
    files: list[ImageFile] = []
    for path in paths:
        if not path.is_dir():
            files.append(ImageFile(path))
            continue
        names = find_images(path, version, reporter.note)
        _, labels = label_by_folder(dict(enumerate(names)))
        name = make_encodable(path.resolve().name)
        files += [ImageFile(path / each, path, labels[index] or name) for index, each in enumerate(names)]
    if len(files) > max_images:
        raise UserError(f"{len(files)} images: one picture holds at most {max_images}; name fewer")
    folders = {file.path.parent for file in files if file.folder is not None}
    check_output_is_no_input(output, [file.path for file in files], [*filter(Path.is_dir, paths), *folders])
    return files


def read_images(
    files: Sequence[ImageFile], model: Autoencoder, decoding: tuple[DataVersion, Fit], reporter: Reporter
) -> tuple[Tensor, list[ImageFile]]:
    """Read image files as a model takes them, in [-1, 1] and of its dtype: `read_pixels` as float."""
    pixels, read = read_pixels(files, model, decoding, reporter)
    return to_float(pixels, next(model.parameters()).dtype), read


def read_pixels(
    files: Sequence[ImageFile], model: Autoencoder, decoding: tuple[DataVersion, Fit], reporter: Reporter
) -> tuple[Tensor, list[ImageFile]]:
    """Read image files in the size of a model; skip files in folders that are no images, as a training does.

    Args:
        files: The files.
        model: The model.
        decoding: The `data.version` and the `data.fit` of its run.
        reporter: Shows the progress, takes a note of what is skipped, and of each very large picture.

    Returns:
        The images, uint8, shape (N, C, S, S), and the file of each of them.

    Raises:
        UserError: A file that was named, or each of those that were found, is no image.
    """
    (channels, side, _), (version, fit) = model.image_shape, decoding
    pixels, read = read_each(
        files, lambda path: read_image(path, side, channels, version, reporter.note, fit), version, reporter
    )
    return torch.from_numpy(np.stack(pixels)), read


def read_each(
    files: Sequence[ImageFile],
    read: Callable[[Path], T],
    version: DataVersion,
    reporter: Reporter,
    title: str = "Reading",
) -> tuple[list[T], list[ImageFile]]:
    """Read image files, and return what was read of each, and these files; skip files in folders that are no images.

    Args:
        files: The files.
        read: Reads one of them, and raises `UnreadableImageError` if it is no image.
        version: The `data.version` of the run.
        reporter: Shows the progress, and takes a note of what is skipped.
        title: Name of the work, for the progress bar.

    Raises:
        UserError: A file that was named, or each of those that were found, is no image.
    """
    contents, done, broken = list[T](), list[ImageFile](), list[UnreadableImageError]()
    with reporter.progress(title, "images") as progress:
        for number, file in enumerate(files, start=1):
            try:
                with silence_pillow():
                    content = read(file.path)
                    if version > 1:
                        check_body(file.path)
            except UnreadableImageError as error:
                if file.folder is None:
                    raise UserError(f"{error.file}: {error.reason}") from None
                broken.append(error)
            else:
                contents.append(content)
                done.append(file)
            progress(number, len(files))
    if broken:
        if not done:
            raise UserError(f"none of the files can be used as an image: {describe_broken(broken)}")
        count = f"{len(broken)} file{'s' * (len(broken) > 1)}"
        reporter.note(f"{count} that cannot be used as images skipped: {describe_broken(broken)}")
    return contents, done


def run_in_batches(
    title: str, inputs: Tensor, function: Callable[[Tensor, ProgressCallback], Tensor], reporter: Reporter
) -> Tensor:
    """Apply a function that makes images to batches of `BATCH_IMAGES` inputs, and return the images as uint8.

    Args:
        title: Name of the work, for the progress bar.
        inputs: Codes, indices or images, shape (N, ...).
        function: Makes images in [-1, 1], one of each input of a batch, and may report the progress inside the batch.
        reporter: Shows the progress.

    Returns:
        The images, shape (N, C, S, S).
    """
    batches: list[Tensor] = []
    with reporter.progress(title, "images") as progress:
        for batch in inputs.split(BATCH_IMAGES):
            report = nest_progress(progress, len(batches) * BATCH_IMAGES, len(batch), len(inputs))
            batches.append(to_uint8(function(batch, report)))
            report(1, 1)
    return torch.cat(batches)
