"""The command `vaegan inpaint`: fills the missing part of an image."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vaegan.errors import UserError
from vaegan.extras import check_packages
from vaegan.workflows.destinations import check_picture_size
from vaegan.workflows.trained_model import check_output_of_run, load_model_and_class

from .console import Console
from .options import DATA_ROOT_OPTION, FOLDER, LABEL_OPTION, OTHER_DATA_OPTION, PATH, Integer, check_picture_path
from .restoration_options import PRIOR_OPTION, SCALE_OPTION, SEED_OPTION, get_run_prior

if TYPE_CHECKING:
    from vaegan.applications.posterior_sampling import SamplerName

MAX_ANSWERS = 64
"""Most answers of one picture."""
MIN_DIFFERENT_ANSWERS = 2.0
"""Effective number of proposals per answer below which the answers of importance sampling are hardly different."""


@click.command(short_help="Fill the missing part of an image.")
@click.argument("run", type=FOLDER)
@click.argument("image", type=PATH)
@click.option(
    "--mask",
    type=PATH,
    required=True,
    help="Image of the size of IMAGE or of the model's images, white where it is to be filled.",
)
@click.option(
    "--answers", type=Integer(1, MAX_ANSWERS), default=1, show_default=True,
    help="Number of answers: the most probable one, and others drawn from the posterior.",
)  # fmt: skip
@click.option(
    "--sampler", type=click.Choice(["langevin", "importance"]), default="langevin", show_default=True,
    help="Way of drawing them; importance sampling is for codes of few dimensions.",
)  # fmt: skip
@click.option("--unblended", is_flag=True, help="Leave the decoder's pixels as they are, with a seam.")
@SEED_OPTION
@PRIOR_OPTION
@SCALE_OPTION
@DATA_ROOT_OPTION
@OTHER_DATA_OPTION
@LABEL_OPTION
@click.option(
    "-o", "--output", type=PATH, callback=check_picture_path, default="inpainted.png", show_default=True,
    help="Picture to write; an .npy file of its name is written beside it.",
)  # fmt: skip
def inpaint(
    run: Path, image: Path, mask: Path, answers: int, sampler: "SamplerName", unblended: bool, seed: int,
    density: str | None, scale: float | None, data_root: Path | None, allow_other_data: bool, label: str | None,
    output: Path,
) -> None:  # fmt: skip
    """Fill the part of IMAGE that is white in a mask by what RUN finds most probable, given the visible pixels alone.

    The picture has the image with its hole and the answers side by side; visible pixels are kept as they are. The .npy
    file holds the answers, uint8, shape (answers, C, S, S).
    """
    check_packages(["scipy"])
    import torch

    from vaegan.applications.completion import complete_images
    from vaegan.images import draw_image_grid, get_grid_size
    from vaegan.storage.loading import load_decoding
    from vaegan.workflows.image_files import find_image_files, read_pixels

    from .array_files import check_array_file, write_array
    from .masks import read_mask
    from .picture_files import write_image

    console, decoding = Console(), load_decoding(run)
    array = check_array_file(output)
    check_output_of_run(run, output, array, data_root=data_root)
    for path in (image, mask):
        if path.is_dir():
            raise UserError(f"{path}: a folder; name an image")
    files = find_image_files([image, mask], output, 2, decoding[0], console)
    model, class_number = load_model_and_class(run, label, console, of_images=True)
    side = model.image_shape[-1]
    check_picture_size(output, *get_grid_size(1 + answers, side, 1 + answers))
    holes = read_mask(mask, image, side, decoding, console)
    pixels, _ = read_pixels(files[:1], model, decoding, console)
    prior = get_run_prior(run, density, model, console, data_root, allow_other_data)
    with console.progress("Searching codes", "steps") as progress:
        completed, found = complete_images(
            model, pixels, holes, prior=prior, labels=class_number, scale=scale, answers=answers,
            sampler=sampler, blended=not unblended, seed=seed, progress=progress,
        )  # fmt: skip
    completed = completed[:, 0]
    if found.effective_size is not None and (size := found.effective_size.item()) < MIN_DIFFERENT_ANSWERS * answers:
        console.note(
            f"--sampler importance: as good as {size:.1f} independent draws, so that the answers are hardly different;"
            " langevin draws others"
        )
    if found.acceptance is not None:
        console.note(f"Langevin chains accepted {found.acceptance.item():.0%} of their steps")
    write_array(completed, array, console)
    picture = torch.cat([torch.where(holes, 255, pixels), completed])
    write_image(draw_image_grid(picture, columns=len(picture)), output, console)
