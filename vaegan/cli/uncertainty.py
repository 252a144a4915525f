"""The command `vaegan uncertainty`: how sure a model is of each pixel of an image."""

from pathlib import Path

import click

from vaegan.errors import UserError
from vaegan.extras import check_packages
from vaegan.workflows.destinations import check_picture_size
from vaegan.workflows.trained_model import check_output_of_run, load_model_and_classes

from .console import Console
from .options import DATA_ROOT_OPTION, FOLDER, LABEL_OPTION, OTHER_DATA_OPTION, PATH, SEED, Integer, check_picture_path

MAX_IMAGES = 1000
"""Most images of one picture, a row each."""
MAX_COLUMNS = 5
"""Images of a row."""
MAX_NAME_CHARACTERS = 24
"""Most characters of an image's name before its row."""


@click.command(short_help="Draw how sure a run is of each pixel of an image.")
@click.argument("run", type=FOLDER)
@click.argument("paths", metavar="IMAGE_OR_FOLDER...", nargs=-1, required=True, type=PATH)
@click.option(
    "--draws", type=Integer(2, 10_000), default=64, show_default=True, help="Draws of each image's posterior."
)
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed of the draws.")
@click.option(
    "--calibrate", is_flag=True, help="Take the scale by which the intervals of the validation images are calibrated."
)
@LABEL_OPTION
@DATA_ROOT_OPTION
@OTHER_DATA_OPTION
@click.option(
    "-o", "--output", type=PATH, callback=check_picture_path, default="uncertainty.png", show_default=True,
    help="Picture to write; an .npy file of its name is written beside it.",
)  # fmt: skip
def uncertainty(
    run: Path, paths: tuple[Path, ...], draws: int, seed: int, calibrate: bool, label: str | None,
    data_root: Path | None, allow_other_data: bool, output: Path,
) -> None:  # fmt: skip
    """Draw how sure RUN is of each pixel of an image, a row each.

    A row has the image, the mean of the decoded draws of its posterior, their spread, the total standard deviation with
    the scale of p(x | z), and the error of the mean. The .npy file holds mean, spread and total, float32, shape
    (images, 3, C, S, S), in units of [-1, 1].
    """
    check_packages(["matplotlib"])
    import torch

    from vaegan.applications.traversals import HEADER_PIXELS, get_margin_pixels
    from vaegan.applications.uncertainty import check_can_be_uncertain, get_observation_model
    from vaegan.images import get_grid_size
    from vaegan.storage.loading import load_decoding
    from vaegan.workflows.image_files import find_image_files, read_images

    from .array_files import check_array_file, write_array
    from .picture_files import write_image
    from .uncertainty_results import calibrate_on_validation, predict_images

    console, decoding = Console(), load_decoding(run)
    array = check_array_file(output)
    check_output_of_run(run, output, array, data_root=data_root)
    if not calibrate and (data_root is not None or allow_other_data):
        raise UserError("--data-root, --allow-other-data: no images of the run are read; give --calibrate as well")
    files = find_image_files(paths, output, MAX_IMAGES, decoding[0], console)
    model, numbers = load_model_and_classes(run, label, console, [file.label for file in files])
    width, height = get_grid_size(MAX_COLUMNS * len(files), model.image_shape[-1], MAX_COLUMNS)
    margin = get_margin_pixels([_shorten(file.path) for file in files])
    check_picture_size(output, width + margin, height + HEADER_PIXELS)
    images, read = read_images(files, model, decoding, console)
    labels = None if numbers is None else torch.tensor([numbers[file.label] for file in read])
    try:
        check_can_be_uncertain(model, model.encode(images[:1], None if labels is None else labels[:1]))
    except UserError as error:
        raise UserError(f"{run}: {error}") from None
    noise = get_observation_model(model)
    if noise is not None and calibrate:
        noise = calibrate_on_validation(run, model, noise, console, data_root, allow_other_data)
    elif calibrate:
        raise UserError(f"--calibrate: {run} has no scale of p(x | z) to calibrate; leave it out")
    elif noise is None:
        console.note(f"{run}: it has no scale of p(x | z), so that the spread of decoded draws is all that it can tell")
    predictions = predict_images(model, images, labels, noise, draws, seed, console)
    names = [_shorten(file.path) for file in read]
    predictions.show(names, console)
    picture = predictions.draw(names, console)
    write_array(predictions.values, array, console)
    write_image(picture, output, console)


def _shorten(path: Path) -> str:
    from vaegan.text import make_printable, to_one_line

    return to_one_line(make_printable(path.name), MAX_NAME_CHARACTERS)
