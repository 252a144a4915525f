"""The commands that train and judge nothing: what a trained autoencoder does, and what can be trained."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from vaegan.distributed import get_rank
from vaegan.errors import Failure, UserError
from vaegan.progress import ProgressCallback

from .console import Console
from .options import DENSITY, LABEL, PATH, check_picture_path

if TYPE_CHECKING:
    from vaegan.models import Autoencoder
    from vaegan.models.density import Density

T = TypeVar("T")

MAX_PICTURE_IMAGES = 10_000
"""Images of one picture."""
MAX_CLASS_LIST_CHARACTERS = 500
"""Characters of the list of a run's classes."""


@click.command(short_help="Draw images from the prior of a run, or a density.")
@click.argument("run", type=PATH)
@click.option(
    "-n", "--number", type=click.IntRange(1, MAX_PICTURE_IMAGES), default=64, show_default=True, help="Images to draw."
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Root of their codes.")
@DENSITY
@LABEL
@click.option("-o", "--output", type=PATH, callback=check_picture_path, default="samples.png", show_default=True)
def sample(run: Path, number: int, seed: int, density: str | None, label: str | None, output: Path) -> None:
    """Draw images from the prior of RUN, or from a density that is fitted to the codes of its training images.

    A conditional RUN draws its classes in turn, or the one of --label.
    """
    import torch

    from vaegan.images import draw_image_grid

    from .image_files import run_in_batches, write_image

    console, model = _opened(run)
    known = _label(run, label, model)
    source = None if density is None else _density(run, density, model, console)

    def draw(places: torch.Tensor, progress: ProgressCallback) -> torch.Tensor:
        start, *_ = numbers = places.tolist()
        return model.sample_range(start, start + len(numbers), seed, source, known, progress)

    drawn = run_in_batches("Drawing", torch.arange(number), draw, console)
    write_image(draw_image_grid(drawn, columns=max(1, round(number**0.5))), output, console)
    if source is not None:
        console.say(f"drawn from a {source} of the training images, not from a prior")


@click.command(short_help="Show images and what a run makes of them.")
@click.argument("run", type=PATH)
@click.argument("paths", metavar="IMAGE_OR_FOLDER...", nargs=-1, required=True, type=PATH)
@LABEL
@click.option(
    "-o", "--output", type=PATH, callback=check_picture_path, default="reconstructions.png", show_default=True
)
def reconstruct(run: Path, paths: tuple[Path, ...], label: str | None, output: Path) -> None:
    """Show images, each above what RUN makes of it; a conditional RUN is told their class by --label."""
    from vaegan.images import draw_pairs

    from .image_files import read_images, run_in_batches, write_image

    console, model = _opened(run)
    known = _label(run, label, model, needed=model.networks_know_class)
    real = read_images(paths, model, MAX_PICTURE_IMAGES)
    fake = run_in_batches("Reconstructing", real, lambda images, _: model.reconstruct(images, known), console)
    write_image(draw_pairs(real, fake, columns=min(8, len(real))), output, console)


@click.command(short_help="Show the way from one image to another.")
@click.argument("run", type=PATH)
@click.argument("a", type=PATH)
@click.argument("b", type=PATH)
@click.option("--steps", type=click.IntRange(2, 1000), default=8, show_default=True, help="Images from A to B.")
@LABEL
@click.option("-o", "--output", type=PATH, callback=check_picture_path, default="interpolation.png", show_default=True)
def interpolate(run: Path, a: Path, b: Path, steps: int, label: str | None, output: Path) -> None:
    """Show the way from image A to image B along a straight line between their codes.

    A conditional RUN is told their class by --label.
    """
    import torch

    from vaegan.images import draw_image_grid

    from .image_files import read_images, run_in_batches, write_image

    console, model = _opened(run)
    known = _label(run, label, model, needed=model.networks_know_class)
    start, end = model.encode(read_images([a, b], model, most=2), known).mean
    codes = torch.stack([torch.lerp(start, end, share) for share in torch.linspace(0, 1, steps).to(start)])
    drawn = run_in_batches("Drawing", codes, lambda some, _: model.decode(some, known), console)
    write_image(draw_image_grid(drawn, columns=steps), output, console)


@click.command(short_help="List the shipped recipes, or every setting.")
@click.option("--schema", is_flag=True, help="Print every setting with its type, default and meaning.")
def configs(schema: bool) -> None:
    """List the shipped recipes."""
    from vaegan.config import list_recipes
    from vaegan.config.describe import format_schema

    if schema:
        click.echo(format_schema())
        return
    listed = list_recipes()
    for name, path in listed.items():
        first_line = path.read_text(encoding="utf-8").splitlines()[0]
        click.echo(f"{name:{max(map(len, listed))}}  {first_line.lstrip('# ')}")


@click.command(short_help="List, or fetch, the trained weights that metrics use.")
@click.argument("networks", nargs=-1)
@click.option("--fetch", is_flag=True, help="Bring those that are missing or damaged.")
def weights(networks: tuple[str, ...], fetch: bool) -> None:
    """List the files of trained weights that metrics can use: of NETWORKS, or all."""
    from vaegan.pretrained import WEIGHT_FILES

    unknown = [name for name in networks if name not in WEIGHT_FILES]
    if unknown:
        raise UserError(f"{unknown[0]}: no network of a metric; there are {', '.join(WEIGHT_FILES)}")
    console, failed = Console(shown=get_rank() == 0), []
    for name in networks or WEIGHT_FILES:
        file = WEIGHT_FILES[name]
        if fetch and (not file.there or file.damaged):
            try:
                file.fetch()
            except Failure as failure:
                failed.append(str(failure))
        state = "missing" if not file.there else "damaged" if file.damaged else "there"
        console.say(f"{name}: for {file.use}; {file.size / 2**20:,.1f} MiB; {state}")
        console.say(f"  file    {file.path}\n  SHA-256 {file.sha256}\n  from    {file.url}")
    if failed:
        raise Failure("; ".join(failed))


def load_with_note(path: Path, load: Callable[[Path], T], console: Console) -> T:
    """The model of a run as ``load`` reads it, with a word about it if the run is not finished.

    Raises:
        UserError: There is none.
    """
    from vaegan.storage.runs import Run

    run = Run(path)
    steps, model = run.config.train.steps, load(path)
    if not run.finished:
        console.note(f"{path}: not finished; this is its model after {run.exported_step} of {steps} steps")
    return model


def _density(path: Path, asked: str, model: "Autoencoder", console: Console) -> "Density":
    """A density of the codes of a run's training images, the one that its samples would be judged by."""
    from vaegan.config.load import override_evaluation
    from vaegan.data import open_data
    from vaegan.sampling import fit_density_to_images
    from vaegan.storage.runs import Run

    config = override_evaluation(Run(path).config, {"density": asked}, str(path))
    assert config.evaluate.density is not None
    try:
        with console.progress("Reading images", "images") as progress:
            data = open_data(config.data, console.note, progress)
    except UserError as mistake:
        raise UserError(f"--density {asked}: fitted to the images that {path} was trained on; {mistake}") from None
    with console.progress("Encoding", "images") as progress:
        return fit_density_to_images(
            config.evaluate.density, model, data.train, config.seed, config.evaluate.batch_size, progress
        )


def _label(run: Path, asked: str | None, model: "Autoencoder", needed: bool = False) -> int | None:
    """The number of the class that --label asks for; None: it is not given.

    Args:
        run: The run.
        asked: A class's name, or its number where none has that name.
        model: Of the run.
        needed: Whether a conditional model cannot do without.

    Raises:
        UserError: There is no such class, the model is unconditional, or it needs a class and none is given.
    """
    from vaegan.storage.loading import load_class_names
    from vaegan.text import to_one_line

    if model.classes is None:
        if asked is not None:
            raise UserError(f"--label {asked}: {run} is unconditional; leave it out, or use a run with model.labels")
        return None
    names = load_class_names(run)
    if asked in names:
        return names.index(asked)
    if asked is not None and asked.isascii() and asked.isdecimal() and int(asked) < model.classes:
        return int(asked)
    if asked is None and not needed:
        return None
    called = [f"{number} ({name})" for number, name in enumerate(names) if name != str(number)]
    allowed = f"0 to {model.classes - 1}" + (
        f", or by name: {to_one_line(', '.join(called), MAX_CLASS_LIST_CHARACTERS)}" if called else ""
    )
    if asked is None:
        raise UserError(f"--label: {run} is conditional, and the images come without labels; give {allowed}")
    raise UserError(f"--label {asked}: no class of {run}; give {allowed}")


def _opened(path: Path) -> "tuple[Console, Autoencoder]":
    """Where a command speaks, and the autoencoder of its run."""
    from vaegan.storage.loading import load

    console = Console(shown=get_rank() == 0)
    return console, load_with_note(path, load, console)
