"""The command `vaegan traverse`: what the images change in as one dimension of a code changes."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vaegan.errors import UserError
from vaegan.workflows.destinations import ANIMATION_SUFFIXES, check_picture_size
from vaegan.workflows.trained_model import check_output_of_run, load_model_and_class, open_images_of_run

from .console import Console
from .options import (
    DATA_ROOT_OPTION,
    FOLDER,
    LABEL_OPTION,
    OTHER_DATA_OPTION,
    PATH,
    Integer,
    check_traversal_path,
)

if TYPE_CHECKING:
    from torch import Tensor

    from vaegan.models import Autoencoder, Posterior

MAX_CODES = 2000
"""Most training images whose codes order the dimensions, evenly chosen."""


@click.command(short_help="Draw what each dimension of a code changes.")
@click.argument("run", type=FOLDER)
@click.argument("image", type=PATH, required=False)
@click.option("--steps", type=Integer(2, 99), default=9, show_default=True, help="Quantiles from 1 % to 99 %.")
@click.option("--rows", type=Integer(1, 10_000), help="Draw only this many dimensions, those of the largest KL.")
@LABEL_OPTION
@DATA_ROOT_OPTION
@OTHER_DATA_OPTION
@click.option(
    "-o", "--output", type=PATH, callback=check_traversal_path, default="traversal.png", show_default=True,
    help="Picture to write; .gif and .webp move.",
)  # fmt: skip
def traverse(
    run: Path, image: Path | None, steps: int, rows: int | None, label: str | None, data_root: Path | None,
    allow_other_data: bool, output: Path,
) -> None:  # fmt: skip
    """Draw what changes in IMAGE as one dimension of its code goes through the prior's quantiles.

    Without IMAGE it starts from the code of a training image, the one whose distance from the mean of these codes is
    the median. Each row is a dimension; the one with the largest KL divergence over the training images comes first. A
    conditional RUN needs the class, --label.
    """
    from vaegan.applications.code_statistics import compute_code_statistics
    from vaegan.applications.encoding import check_continuous_codes, encode_images
    from vaegan.applications.traversals import (
        HEADER_PIXELS,
        choose_typical_code,
        draw_frames,
        draw_traversals,
        get_margin_pixels,
        get_probabilities,
        traverse_codes,
    )
    from vaegan.evaluate.run_evaluation import check_classes
    from vaegan.images import get_grid_size
    from vaegan.storage.run_folder import Run
    from vaegan.workflows.image_files import run_in_batches

    from .picture_files import write_animation, write_image

    console = Console()
    check_output_of_run(run, output, data_root=data_root)
    model, class_number = load_model_and_class(run, label, console, of_images=True)
    check_continuous_codes(model, run)
    start = None if image is None else _encode_image(run, image, model, class_number, output, console)
    data, _ = open_images_of_run(run, "train", console, data_root, allow_other_data)
    check_classes(Run(run), model, data)
    with console.progress("Encoding", "images") as progress:
        posterior = encode_images(model, data.train, data.train.select_evenly(MAX_CODES), progress)
    statistics = compute_code_statistics(posterior)
    dimensions = statistics.order[:rows]
    if not len(dimensions):
        raise UserError(f"{run}: no dimension of its codes carries information; train it longer or with a smaller beta")
    probabilities = get_probabilities(steps)
    start = choose_typical_code(posterior.mean).to(next(model.parameters())) if start is None else start
    codes = traverse_codes(start, dimensions, _get_values(posterior, probabilities))
    unit = "" if statistics.kl is None else " nats"
    names = [f"z{index}  {statistics.information[index]:.2f}{unit}" for index in dimensions.tolist()]
    moves = output.suffix.lower() in ANIMATION_SUFFIXES
    if not moves:
        width, height = get_grid_size(codes.shape[0] * steps, model.image_shape[-1], steps)
        check_picture_size(output, width + get_margin_pixels(names), height + HEADER_PIXELS)
    images = run_in_batches(
        "Drawing", codes.flatten(0, 1), lambda batch, _: model.decode(batch, class_number), console
    ).unflatten(0, codes.shape[:2])
    if moves:
        write_animation(draw_frames(images), output, console)
        console.say(f"from left to right, row by row: {', '.join(f'z{index}' for index in dimensions.tolist())}")
    else:
        write_image(draw_traversals(images, names, [f"{100 * each:.0f} %" for each in probabilities]), output, console)
    if statistics.kl is None:
        console.note("these codes have no prior N(0, 1): dimensions in the order of their variance, at their quantiles")
    if silent := (~statistics.active).nonzero().flatten().tolist():
        console.say(f"not drawn, as they carry no information: {', '.join(f'z{index}' for index in silent)}")


def _encode_image(
    run: Path, image: Path, model: "Autoencoder", class_number: int | None, output: Path, console: Console
) -> "Tensor":
    """Return the posterior mean of an image file, shape (d,)."""
    from vaegan.storage.loading import load_decoding
    from vaegan.workflows.image_files import find_image_files, read_images

    if image.is_dir():
        raise UserError(f"{image}: a folder; name an image")
    decoding = load_decoding(run)
    files = find_image_files([image], output, 1, decoding[0], console)
    pixels, _ = read_images(files, model, decoding, console)
    mean: Tensor = model.encode(pixels, class_number).mean[0]
    return mean


def _get_values(posterior: "Posterior", probabilities: "Tensor") -> "Tensor":
    """Return quantiles of each dimension, shape (steps, d): of the prior, or of the codes if there is none."""
    from vaegan.applications.traversals import compute_code_quantiles, compute_prior_quantiles

    if posterior.log_variance.isneginf().all():
        return compute_code_quantiles(posterior.mean, probabilities)
    return compute_prior_quantiles(probabilities, posterior.mean.shape[1])
