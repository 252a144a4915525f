"""Pictures of images above what a model makes of them."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from vaegan.images import draw_pairs, get_grid_size
from vaegan.models import Autoencoder
from vaegan.storage.loading import load_decoding
from vaegan.workflows.destinations import MAX_PICTURE_IMAGES, check_picture_size
from vaegan.workflows.image_files import find_image_files, read_images, run_in_batches
from vaegan.workflows.trained_model import check_output_of_run, load_model_and_classes

from .console import Console
from .picture_files import write_image

MAX_PAIR_COLUMNS = 8
"""Most images of a row."""


def load_model_and_images(
    run: Path, paths: Sequence[Path], label: str | None, output: Path, console: Console, option: str = "--label"
) -> tuple[Autoencoder, Tensor, Tensor | None]:
    """Load the model of a run, and read the images of a picture of pairs.

    Args:
        run: Run folder.
        paths: Image files and folders.
        label: Name or number of the class of all images; None: their folders are their classes.
        output: The picture.
        console: Takes notes.
        option: Option that gives ``label``, for messages.

    Returns:
        The model, the images in [-1, 1], shape (N, C, S, S), and the class of each, int64, shape (N,), None if its
        networks take no class.

    Raises:
        UserError: There is no such model, class or image, or the picture cannot be written to ``output``.
    """
    decoding = load_decoding(run)
    check_output_of_run(run, output)
    files = find_image_files(paths, output, MAX_PICTURE_IMAGES, decoding[0], console)
    model, class_numbers = load_model_and_classes(run, label, console, [file.label for file in files], option)
    rows, columns = -(-len(files) // MAX_PAIR_COLUMNS), min(MAX_PAIR_COLUMNS, len(files))
    check_picture_size(output, *get_grid_size(2 * rows * columns, model.image_shape[-1], columns))
    images, read = read_images(files, model, decoding, console)
    labels = torch.tensor([class_numbers[file.label] for file in read]) if class_numbers is not None else None
    return model, images, labels


def write_pairs(
    title: str,
    images: Tensor,
    labels: Tensor | None,
    function: Callable[[Tensor, Tensor | None], Tensor],
    output: Path,
    console: Console,
) -> None:
    """Draw images above what a function of them and their classes makes, batch by batch, and write the picture.

    Args:
        title: Name of the work, for the progress bar.
        images: Shape (N, C, S, S) in [-1, 1].
        labels: Class of each image, int64, shape (N,); None: there are none.
        function: Makes an image in [-1, 1] of each image of a batch.
        output: The picture.
        console: Shows the progress.

    Raises:
        Failure: The file cannot be written.
    """

    def run_batch(indices: Tensor, _: object) -> Tensor:
        return function(images[indices], None if labels is None else labels[indices])

    made = run_in_batches(title, torch.arange(len(images)), run_batch, console)
    write_image(draw_pairs(images, made, columns=min(MAX_PAIR_COLUMNS, len(images))), output, console)
