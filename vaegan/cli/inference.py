"""The commands that use a trained autoencoder: `sample`, `reconstruct` and `interpolate`."""

from pathlib import Path

import click

from vaegan.errors import UserError
from vaegan.progress import ProgressCallback
from vaegan.workflows.destinations import MAX_PICTURE_IMAGES, check_picture_size
from vaegan.workflows.shared_settings import check_tile
from vaegan.workflows.trained_model import check_output_of_run, fetch_if_on_hub, fit_run_density, load_model_and_class

from .console import Console
from .options import (
    ARRAY_SUFFIX,
    DATA_ROOT_OPTION,
    DENSITY_OPTION,
    LABEL_OPTION,
    MODEL,
    OTHER_DATA_OPTION,
    PATH,
    SEED,
    TILE_OPTION,
    Integer,
    check_folder_path,
    check_picture_path,
    check_sample_path,
)

MAX_ARRAY_IMAGES = 1_000_000
"""Most images of one file of an array."""


@click.command(short_help="Draw images from the prior of a run or from a density.")
@click.argument("run", type=MODEL)
@click.option(
    "-n", "--number", type=Integer(1, MAX_ARRAY_IMAGES), default=64, show_default=True, help="Images to draw."
)
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed of their codes.")
@DENSITY_OPTION
@DATA_ROOT_OPTION
@OTHER_DATA_OPTION
@LABEL_OPTION
@click.option(
    "-o",
    "--output",
    type=PATH,
    callback=check_sample_path,
    default="samples.png",
    show_default=True,
    help="Picture to write, or .npz file of the pixels.",
)
def sample(
    run: Path, number: int, seed: int, density: str | None, data_root: Path | None, allow_other_data: bool,
    label: str | None, output: Path,
) -> None:  # fmt: skip
    """Draw images from the prior of RUN, or from a density that is fitted to the codes of its training images.

    A conditional RUN draws its classes in turn, or the one of --label. A file that ends in .npz gets the pixels of
    single images, uint8, as arr_0 of shape N, S, S, C, which evaluators of samples take.
    """
    import torch

    from vaegan.images import draw_image_grid, get_grid_size
    from vaegan.models.autoencoder import Sampler
    from vaegan.workflows.image_files import run_in_batches

    from .array_files import write_samples
    from .picture_files import write_image

    console, run, is_array = Console(), fetch_if_on_hub(run), output.suffix.lower() == ARRAY_SUFFIX
    if number > MAX_PICTURE_IMAGES and not is_array:
        raise UserError(f"--number {number}: a picture holds at most {MAX_PICTURE_IMAGES:,}; let --output end in .npz")
    check_output_of_run(run, output, data_root=data_root)
    model, class_number = load_model_and_class(run, label, console)
    fitted = None
    if density is not None:
        fitted = fit_run_density(run, density, model, console, data_root, allow_other_data)
    elif data_root is not None or allow_other_data:
        raise UserError("--data-root, --allow-other-data: samples of the prior need no images; give --density as well")
    sampler = Sampler(model, seed, fitted)
    if fitted is None and (problem := model.describe_weak_prior()):
        console.note(problem)

    def draw(indices: torch.Tensor, progress: ProgressCallback) -> torch.Tensor:
        return sampler.draw(int(indices[0]), int(indices[-1]) + 1, class_number, progress)

    columns = max(1, round(number**0.5))
    if not is_array:
        check_picture_size(output, *get_grid_size(number, model.image_shape[-1], columns))
    images = run_in_batches("Drawing", torch.arange(number), draw, console)
    if is_array:
        write_samples(images, output, console)
    else:
        write_image(draw_image_grid(images, columns), output, console)
    if sampler.density is not None:
        console.say(f"drawn from a {sampler.density} of the training images, not from a prior")


def _check_reconstruction_path(context: click.Context, option: click.Parameter, path: Path | None) -> Path:
    """Return where reconstructions are written, a picture or, with --native-size, a folder, checked."""
    if context.params["native_size"]:
        return check_folder_path(context, option, path or Path("reconstructions"))
    return check_picture_path(context, option, path or Path("reconstructions.png"))


@click.command(short_help="Reconstruct images.")
@click.argument("run", type=MODEL)
@click.argument("paths", metavar="IMAGE_OR_FOLDER...", nargs=-1, required=True, type=PATH)
@LABEL_OPTION
@click.option(
    "--native-size",
    is_flag=True,
    is_eager=True,
    help="Keep the size of each image, and write each reconstruction into a file of its own. For codes that are grids.",
)
@TILE_OPTION
@click.option(
    "-o", "--output", type=PATH, callback=_check_reconstruction_path,
    help="Picture to write; with --native-size, folder.  [default: reconstructions.png, or reconstructions]",
)  # fmt: skip
def reconstruct(
    run: Path, paths: tuple[Path, ...], label: str | None, native_size: bool, tile: int | None, output: Path
) -> None:
    """Reconstruct images, and draw each above its reconstruction.

    A conditional RUN takes the class folders of the images for their classes; others need --label.
    """
    console, run = Console(), fetch_if_on_hub(run)
    if native_size:
        from vaegan.applications.native_size import get_tile_side

        from .native_size import reconstruct_files

        reconstruct_files(run, paths, label, get_tile_side(tile), output, console)
        return
    check_tile(tile, native_size)
    from .pairs import load_model_and_images, write_pairs

    model, images, labels = load_model_and_images(run, paths, label, output, console)
    write_pairs("Reconstructing", images, labels, model.reconstruct, output, console)


@click.command(short_help="Interpolate between two images in latent space.")
@click.argument("run", type=MODEL)
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
    from vaegan.workflows.image_files import find_image_files, read_images, run_in_batches

    from .picture_files import write_image

    run = fetch_if_on_hub(run)
    console, decoding = Console(), load_decoding(run)
    check_output_of_run(run, output)
    for path in (a, b):
        if path.is_dir():
            raise UserError(f"{path}: a folder; name an image")
    files = find_image_files([a, b], output, 2, decoding[0], console)
    model, class_number = load_model_and_class(run, label, console, of_images=True)
    check_picture_size(output, *get_grid_size(steps, model.image_shape[-1], steps))
    real, _ = read_images(files, model, decoding, console)
    start, end = model.encode(real, class_number).mean
    codes = torch.stack([torch.lerp(start, end, weight) for weight in torch.linspace(0, 1, steps).to(start)])
    images = run_in_batches("Drawing", codes, lambda batch, _: model.decode(batch, class_number), console)
    write_image(draw_image_grid(images, columns=steps), output, console)
