"""The command `vaegan upscale`: enlarges images."""

from functools import partial
from pathlib import Path

import click

from vaegan.workflows.destinations import check_picture_size
from vaegan.workflows.trained_model import check_output_of_run, load_model_and_classes

from .console import Console
from .options import DATA_ROOT_OPTION, FOLDER, LABEL_OPTION, OTHER_DATA_OPTION, PATH, check_picture_path
from .restoration_options import PRIOR_OPTION, SCALE_OPTION, SEED_OPTION, get_run_prior

MAX_IMAGES = 1000
"""Most images of one picture, a row each."""
COLUMNS = 4
"""Images of a row: original, input, bicubic and ours."""
BATCH_IMAGES = 16
"""Images whose codes are searched at a time."""


@click.command(short_help="Enlarge images.")
@click.argument("run", type=FOLDER)
@click.argument("paths", metavar="IMAGE_OR_FOLDER...", nargs=-1, required=True, type=PATH)
@click.option(
    "--factor", type=click.Choice(["2", "4"]), default="2", show_default=True, help="How many times larger a side is."
)
@click.option("--consistent", is_flag=True, help="Let the answer give the input, to 1/255, when it is reduced again.")
@SEED_OPTION
@PRIOR_OPTION
@SCALE_OPTION
@DATA_ROOT_OPTION
@OTHER_DATA_OPTION
@LABEL_OPTION
@click.option(
    "-o", "--output", type=PATH, callback=check_picture_path, default="upscaled.png", show_default=True,
    help="Picture to write; an .npy file of its name is written beside it.",
)  # fmt: skip
def upscale(
    run: Path, paths: tuple[Path, ...], factor: str, consistent: bool, seed: int, density: str | None,
    scale: float | None, data_root: Path | None, allow_other_data: bool, label: str | None, output: Path,
) -> None:  # fmt: skip
    """Enlarge images by what RUN finds most probable, given that the mean of each box of pixels is that of the input.

    An image whose short side is that of the model's divided by the factor is the input. One that is as large as the
    model's images, or larger, is fitted to the model and reduced first. A row has the original (if there is one), the
    input, the input enlarged bicubically, and the answer. The .npy file holds the answers, uint8, shape (images, C, S,
    S).
    """
    import torch

    from vaegan.applications.superresolution import enlarge_bicubically, enlarge_images
    from vaegan.images import draw_image_grid, get_grid_size, to_float, to_uint8
    from vaegan.progress import nest_progress
    from vaegan.storage.loading import load_decoding
    from vaegan.workflows.image_files import find_image_files

    from .array_files import check_array_file, write_array
    from .picture_files import write_image
    from .small_images import read_small_images

    console, decoding = Console(), load_decoding(run)
    array = check_array_file(output)
    check_output_of_run(run, output, array, data_root=data_root)
    files = find_image_files(paths, output, MAX_IMAGES, decoding[0], console)
    model, numbers = load_model_and_classes(run, label, console, [file.label for file in files])
    side, times = model.image_shape[-1], int(factor)
    check_picture_size(output, *get_grid_size(COLUMNS * len(files), side, COLUMNS))
    originals, small, read = read_small_images(files, model, times, decoding, console)
    labels = None if numbers is None else torch.tensor([numbers[file.label] for file in read])
    prior = get_run_prior(run, density, model, console, data_root, allow_other_data)
    enlarge = partial(enlarge_images, model, consistent=consistent, prior=prior, scale=scale, seed=seed)
    answers = list[torch.Tensor]()
    with console.progress("Enlarging", "images") as progress:
        for batch in torch.arange(len(small)).split(BATCH_IMAGES):
            classes = None if labels is None else labels[batch]
            nested = nest_progress(progress, int(batch[0]), len(batch), len(small))
            answers.append(enlarge(small[batch], labels=classes, progress=nested))
    enlarged = torch.cat(answers)
    write_array(enlarged, array, console)
    boxes = small.repeat_interleave(times, -1).repeat_interleave(times, -2)
    columns = [boxes, to_uint8(enlarge_bicubically(to_float(small), side)), enlarged]
    if any(original is not None for original in originals):
        white = torch.full_like(enlarged[0], 255)
        columns.insert(0, torch.stack([white if original is None else original for original in originals]))
    picture = torch.stack(columns, 1).flatten(0, 1)
    write_image(draw_image_grid(picture, columns=len(columns)), output, console)
    if not consistent:
        console.say("reduced again, the answers are near the inputs only; --consistent brings them to 1/255")
