"""The commands that use a trained autoencoder: `sample`, `reconstruct` and `interpolate`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vaegan.errors import UserError
from vaegan.progress import ProgressCallback

from .console import Console
from .destinations import check_output_is_no_input, check_picture_size
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
MAX_PAIR_COLUMNS = 8
"""Most images of a row of `vaegan reconstruct`."""
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

    from vaegan.images import draw_image_grid, get_grid_size
    from vaegan.models.autoencoder import Sampler

    from .image_files import run_in_batches, write_image

    console = Console()
    _check_output_of_run(run, output)
    model, class_number = _load_model_and_class(run, label, console)
    fitted = None
    if density is not None:
        fitted = _fit_density(run, density, model, console, data_root, allow_other_data)
    elif data_root is not None or allow_other_data:
        raise UserError("--data-root, --allow-other-data: samples of the prior need no images; give --density as well")
    sampler = Sampler(model, seed, fitted)

    def draw(indices: torch.Tensor, progress: ProgressCallback) -> torch.Tensor:
        return sampler.draw(int(indices[0]), int(indices[-1]) + 1, class_number, progress)

    columns = max(1, round(number**0.5))
    check_picture_size(output, *get_grid_size(number, model.image_shape[-1], columns))
    images = run_in_batches("Drawing", torch.arange(number), draw, console)
    write_image(draw_image_grid(images, columns), output, console)
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

    A conditional RUN takes the class folders of the images for their classes; others need --label.
    """
    import torch

    from vaegan.images import draw_pairs, get_grid_size
    from vaegan.storage.loading import load_decoding

    from .image_files import find_image_files, read_images, run_in_batches, write_image

    console, decoding = Console(), load_decoding(run)
    _check_output_of_run(run, output)
    files = find_image_files(paths, output, MAX_PICTURE_IMAGES, decoding[0], console)
    model, class_numbers = _load_model_and_classes(run, label, console, [file.label for file in files])
    rows, columns = -(-len(files) // MAX_PAIR_COLUMNS), min(MAX_PAIR_COLUMNS, len(files))
    check_picture_size(output, *get_grid_size(2 * rows * columns, model.image_shape[-1], columns))
    real, read = read_images(files, model, decoding, console)
    labels = torch.tensor([class_numbers[file.label] for file in read]) if class_numbers is not None else None

    def reconstruct_batch(indices: torch.Tensor, progress: ProgressCallback) -> torch.Tensor:
        return model.reconstruct(real[indices], None if labels is None else labels[indices])

    images = run_in_batches("Reconstructing", torch.arange(len(real)), reconstruct_batch, console)
    write_image(draw_pairs(real, images, columns=min(MAX_PAIR_COLUMNS, len(real))), output, console)


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

    from vaegan.images import draw_image_grid, get_grid_size
    from vaegan.storage.loading import load_decoding

    from .image_files import find_image_files, read_images, run_in_batches, write_image

    console, decoding = Console(), load_decoding(run)
    _check_output_of_run(run, output)
    for path in (a, b):
        if path.is_dir():
            raise UserError(f"{path}: a folder; name an image")
    files = find_image_files([a, b], output, 2, decoding[0], console)
    model, class_number = _load_model_and_class(run, label, console, of_images=True)
    check_picture_size(output, *get_grid_size(steps, model.image_shape[-1], steps))
    real, _ = read_images(files, model, decoding, console)
    start, end = model.encode(real, class_number).mean
    codes = torch.stack([torch.lerp(start, end, weight) for weight in torch.linspace(0, 1, steps).to(start)])
    images = run_in_batches("Drawing", codes, lambda batch, _: model.decode(batch, class_number), console)
    write_image(draw_image_grid(images, columns=steps), output, console)


def _check_output_of_run(run: Path, output: Path) -> None:
    """Check that a picture is not written into the folder of the images that a run was trained on.

    Raises:
        UserError: It would be, or ``run`` is no run folder.
    """
    from vaegan.storage.run_folder import Run

    data = Run(run).config.data
    if data.source == "folder" and data.root is not None:
        check_output_is_no_input(output, [], [data.root])


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


def _load_model_and_classes(
    run: Path, label: str | None, console: Console, found: Sequence[str | None]
) -> "tuple[Autoencoder, Mapping[str | None, int] | None]":
    """Load the model of a run, and find the number of the class of images by the class folders that they lie in.

    Args:
        run: Run folder.
        label: Name of the class of all images, or its number; None: their folders are their classes.
        console: Takes a note if the run is not finished.
        found: Class folder of each image; None: it was named by itself.

    Returns:
        The model, and the number of the class by the class folder; None: its networks take no class.

    Raises:
        UserError: There is no such model or class, or a class folder is no class of the run.
    """
    from vaegan.storage.loading import load, load_class_names

    names = load_class_names(run)
    others = [each for each in found if each not in names]
    if label is None and names and not others:
        model = load_run_model(run, load, console)
        numbers: dict[str | None, int] = {each: names.index(each) for each in found if each is not None}
        return model, numbers if model.networks_take_labels else None
    other = next((each for each in others if each is not None), None)
    model, number = _load_model_and_class(run, label, console, of_images=True, other_class=other)
    return model, None if number is None else dict.fromkeys(found, number)


def _load_model_and_class(
    run: Path, label: str | None, console: Console, of_images: bool = False, other_class: str | None = None
) -> "tuple[Autoencoder, int | None]":
    """Load the model of a run, and find the number of the class that --label names; None if the option is not given.

    Args:
        run: Run folder.
        label: Name of a class, or its number if no class has that name.
        console: Takes a note if the run is not finished.
        of_images: Whether it is the class of given images, which the networks of a conditional model may need.
        other_class: Class folder of images that is no class of the run, for the message.

    Raises:
        UserError: There is no such model or class, the model is unconditional, or it needs a class and none is given.
    """
    from vaegan.storage.loading import load, load_class_names
    from vaegan.text import make_encodable, shorten, to_one_line

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
        problem = (
            "the images come without labels" if other_class is None else f"{shorten(other_class)} is no class of it"
        )
        raise UserError(f"--label: {run} is conditional, and {problem}; give {allowed}")
    raise UserError(f"--label {label}: no class of {run}; give {allowed}")
