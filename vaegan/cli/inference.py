"""The commands that use a trained autoencoder: `sample`, `reconstruct` and `interpolate`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vaegan.errors import UserError
from vaegan.progress import ProgressCallback

from .console import Console
from .options import (
    DATA_ROOT_OPTION,
    DENSITY_OPTION,
    FOLDER,
    LABEL_OPTION,
    OTHER_DATA_OPTION,
    PATH,
    Integer,
    check_picture_path,
)
from .workflows import load_run_model

if TYPE_CHECKING:
    from vaegan.models import Autoencoder
    from vaegan.models.density import Density

MAX_PICTURE_IMAGES = 10_000
"""Most images of one picture."""
MAX_CLASS_LIST_CHARACTERS = 500
"""Most characters of the list of a run's classes in a message."""


@click.command(short_help="Draw images from the prior of a run or from a density.")
@click.argument("run", type=FOLDER)
@click.option(
    "-n", "--number", type=Integer(1, MAX_PICTURE_IMAGES), default=64, show_default=True, help="Images to draw."
)
@click.option("--seed", type=Integer(0, 2**63 - 1), default=0, show_default=True, help="Seed of their codes.")
@DENSITY_OPTION
@DATA_ROOT_OPTION
@OTHER_DATA_OPTION
@LABEL_OPTION
@click.option(
    "-o",
    "--output",
    type=PATH,
    callback=check_picture_path,
    default="samples.png",
    show_default=True,
    help="Picture to write.",
)
def sample(
    run: Path, number: int, seed: int, density: str | None, data_root: Path | None, allow_other_data: bool,
    label: str | None, output: Path,
) -> None:  # fmt: skip
    """Draw images from the prior of RUN, or from a density that is fitted to the codes of its training images.

    A conditional RUN draws its classes in turn, or the one of --label.
    """
    import torch

    from vaegan.images import draw_image_grid
    from vaegan.models.autoencoder import Sampler

    from .image_files import run_in_batches, write_image

    console = Console()
    model, class_number = _load_model_and_class(run, label, console)
    fitted = None
    if density is not None:
        fitted = _fit_density(run, density, model, console, data_root, allow_other_data)
    elif data_root is not None or allow_other_data:
        raise UserError("--data-root, --allow-other-data: samples of the prior need no images; give --density as well")
    sampler = Sampler(model, seed, fitted)

    def draw(indices: torch.Tensor, progress: ProgressCallback) -> torch.Tensor:
        return sampler.draw(int(indices[0]), int(indices[-1]) + 1, class_number, progress)

    images = run_in_batches("Drawing", torch.arange(number), draw, console)
    write_image(draw_image_grid(images, columns=max(1, round(number**0.5))), output, console)
    if sampler.density is not None:
        console.say(f"drawn from a {sampler.density} of the training images, not from a prior")


@click.command(short_help="Reconstruct images.")
@click.argument("run", type=FOLDER)
@click.argument("paths", metavar="IMAGE_OR_FOLDER...", nargs=-1, required=True, type=PATH)
@LABEL_OPTION
@click.option(
    "-o",
    "--output",
    type=PATH,
    callback=check_picture_path,
    default="reconstructions.png",
    show_default=True,
    help="Picture to write.",
)
def reconstruct(run: Path, paths: tuple[Path, ...], label: str | None, output: Path) -> None:
    """Reconstruct images, and draw each above its reconstruction.

    A conditional RUN needs their class, --label.
    """
    from vaegan.images import draw_pairs
    from vaegan.storage.loading import load_data_version

    from .image_files import read_images, run_in_batches, write_image

    console = Console()
    model, class_number = _load_model_and_class(run, label, console, of_images=True)
    real = read_images(paths, model, MAX_PICTURE_IMAGES, load_data_version(run), console)
    images = run_in_batches("Reconstructing", real, lambda batch, _: model.reconstruct(batch, class_number), console)
    write_image(draw_pairs(real, images, columns=min(8, len(real))), output, console)


@click.command(short_help="Interpolate between two images in latent space.")
@click.argument("run", type=FOLDER)
@click.argument("a", type=PATH)
@click.argument("b", type=PATH)
@click.option("--steps", type=Integer(2, 1000), default=8, show_default=True, help="Images from A to B.")
@LABEL_OPTION
@click.option(
    "-o",
    "--output",
    type=PATH,
    callback=check_picture_path,
    default="interpolation.png",
    show_default=True,
    help="Picture to write.",
)
def interpolate(run: Path, a: Path, b: Path, steps: int, label: str | None, output: Path) -> None:
    """Interpolate between images A and B along the straight line between their codes.

    A conditional RUN needs their class, --label.
    """
    import torch

    from vaegan.images import draw_image_grid
    from vaegan.storage.loading import load_data_version

    from .image_files import read_images, run_in_batches, write_image

    console = Console()
    model, class_number = _load_model_and_class(run, label, console, of_images=True)
    real = read_images([a, b], model, 2, load_data_version(run), console)
    start, end = model.encode(real, class_number).mean
    codes = torch.stack([torch.lerp(start, end, weight) for weight in torch.linspace(0, 1, steps).to(start)])
    images = run_in_batches("Drawing", codes, lambda batch, _: model.decode(batch, class_number), console)
    write_image(draw_image_grid(images, columns=steps), output, console)


def _fit_density(
    run: Path, density: str, model: "Autoencoder", console: Console, data_root: Path | None, allow_other_data: bool
) -> "Density":
    """Fit the density that an evaluation with `evaluate.density` would draw samples from.

    Raises:
        UserError: There is no such density, or the images that the run was trained on are missing or others.
    """
    from vaegan.config.load import override_evaluation
    from vaegan.density_fitting import fit_density_to_images
    from vaegan.storage.run_data import open_run_data
    from vaegan.storage.run_folder import Run

    config = override_evaluation(Run(run).config, {"density": density}, str(run))
    density_name = config.evaluate.density
    assert density_name is not None
    try:
        data, config = open_run_data(Run(run), config, console, data_root=data_root, allow_other_data=allow_other_data)
    except UserError as error:
        raise UserError(f"--density {density}: fitted to the images that {run} was trained on; {error}") from None
    with console.progress("Encoding", "images") as progress:
        return fit_density_to_images(density_name, model, data.train, config.seed, config.evaluate.batch_size, progress)


def _load_model_and_class(
    run: Path, label: str | None, console: Console, of_images: bool = False
) -> "tuple[Autoencoder, int | None]":
    """Load the model of a run, and find the number of the class that --label names; None if the option is not given.

    Args:
        run: Run folder.
        label: Name of a class, or its number if no class has that name.
        console: Takes a note if the run is not finished.
        of_images: Whether it is the class of given images, which the networks of a conditional model may need.

    Raises:
        UserError: There is no such model or class, the model is unconditional, or it needs a class and none is given.
    """
    from vaegan.storage.loading import load, load_class_names
    from vaegan.text import make_encodable, to_one_line

    model = load_run_model(run, load, console)
    if label is None and (model.classes is None or not (of_images and model.networks_take_labels)):
        return model, None
    if model.classes is None:
        raise UserError(f"--label {label}: {run} is unconditional; leave it out, or use a run with model.labels")
    names = load_class_names(run)
    if make_encodable(label) in names:
        return model, names.index(make_encodable(label))
    if label is not None and label.isascii() and label.isdecimal() and int(label) < model.classes:
        return model, int(label)
    named = ", ".join(f"{number} ({name})" for number, name in enumerate(names) if name != str(number))
    allowed = f"0 to {model.classes - 1}"
    if named:
        allowed += f", or by name: {to_one_line(named, MAX_CLASS_LIST_CHARACTERS)}"
    if label is None:
        raise UserError(f"--label: {run} is conditional, and the images come without labels; give {allowed}")
    raise UserError(f"--label {label}: no class of {run}; give {allowed}")
