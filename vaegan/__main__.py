"""The command line, where the library, the trainers and the evaluation come together.

Heavy packages are imported inside the commands that need them, so that `vaegan --help` answers at once.
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vaegan import __version__
from vaegan.errors import Failure, Interrupted, Mistake

if TYPE_CHECKING:
    from torch import Tensor

    from vaegan.config import Config
    from vaegan.console import Console
    from vaegan.data import Data
    from vaegan.models import Autoencoder
    from vaegan.runs import Run

SAMPLE_BATCH = 256
"""Images drawn or encoded at a time by the commands that make pictures."""


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__)
def cli() -> None:
    """Train autoencoder generators (AE, VAE, two-way and three-way VAE-GAN), judge them and compare them."""


@cli.command()
@click.argument("config")
@click.argument("overrides", metavar="[key.sub=value]...", nargs=-1)
@click.option("--output", type=click.Path(path_type=Path), help="Run folder.  [default: runs/NAME]")
@click.option("--resume", is_flag=True, help="Go on from the run folder's newest checkpoint.")
@click.option("--dry-run", is_flag=True, help="Show the resolved config and the size of the run; train nothing.")
def train(config: str, overrides: tuple[str, ...], output: Path | None, resume: bool, dry_run: bool) -> None:
    """Train CONFIG: a YAML file, or a shipped recipe such as cifar10/vaegan3."""
    from vaegan.config import load_config

    resolved = load_config(config, overrides)
    if dry_run:
        _show_plan(resolved)
        return
    folder = output or Path("runs") / Path(config).with_suffix("").as_posix().strip("./").replace("/", "-")
    console = _console()
    run = _train(resolved, folder, _open(resolved, console), resume, console)
    if console.shown:
        click.echo(f"{run.path}: trained {resolved.train.steps} steps; judge it with `vaegan evaluate {run.path}`")


@cli.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--metrics", help="Which ones, separated by commas.  [default: the run's evaluate.metrics]")
@click.option("--samples", type=int, help="Images to draw, and at most to reconstruct.  [default: evaluate.samples]")
@click.option("--split", help="train, validation or test.  [default: evaluate.split]")
def evaluate(run: Path, metrics: str | None, samples: int | None, split: str | None) -> None:
    """Judge the trained model of RUN and write RUN/metrics.json."""
    from vaegan.config.reading import check
    from vaegan.config.schema import Config
    from vaegan.evaluate.runner import evaluate as judge
    from vaegan.evaluate.runner import write_metrics
    from vaegan.runs import Run

    folder, console = Run(run), _console()
    tree = folder.config.model_dump(mode="json")
    asked = {"metrics": metrics.split(",") if metrics else None, "samples": samples, "split": split}
    tree["evaluate"] |= {key: value for key, value in asked.items() if value is not None}
    config = check(Config, tree, "vaegan evaluate")
    model, data = _load(run), _open(config, console)
    images = getattr(data, config.evaluate.split)
    with console.progress("Evaluating", "images") as progress:
        result = judge(
            model, images, config.evaluate, split=config.evaluate.split, seed=config.seed, progress=progress, notify=console.note
        )  # fmt: skip
    write_metrics(result, folder.metrics_file)
    _table(["figure", str(run)], [[name, f"{value:.4g}"] for name, value in result.metrics.items()])
    click.echo(f"written to {folder.metrics_file}, with the protocol of every figure")


@cli.command()
@click.argument("study")
@click.argument("overrides", metavar="[key.sub=value]...", nargs=-1)
@click.option("--output", type=click.Path(path_type=Path), help="Folder of the study.  [default: runs/NAME]")
def compare(study: str, overrides: tuple[str, ...], output: Path | None) -> None:
    """Train and judge every variant of STUDY for every seed, and write comparison.json and report.html.

    What is finished already is kept, what was cut off is resumed.
    """
    from vaegan.config import load_study

    described, configs = load_study(study, overrides)
    from vaegan.evaluate.study import compare as run_study

    folder, console = output or Path("runs") / Path(study).stem, _console()

    def train_one(config: "Config", into: Path, data: "Data", resume: bool) -> "Run":
        return _train(config, into, data, resume, console)

    comparison = run_study(described, configs, folder, train_one, console)
    header, rows = comparison.table()
    _table(header, rows)
    for sentence in comparison.sentences():
        click.echo(sentence)
    click.echo(f"report: {(folder / 'report.html').absolute()}")


@cli.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("-n", "--number", type=click.IntRange(1, 100_000), default=64, show_default=True, help="Images to draw.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Root of their codes.")
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("samples.png"), show_default=True)
def sample(run: Path, number: int, seed: int, output: Path) -> None:
    """Draw images from the prior of RUN."""
    from vaegan.images import grid, to_uint8

    model = _load(run)
    chunks = range(0, number, SAMPLE_BATCH)
    drawn = [to_uint8(model.decode(model.prior_codes(i, min(i + SAMPLE_BATCH, number), seed))) for i in chunks]
    _save(grid(_joined(drawn), columns=max(1, round(number**0.5))), output)


@cli.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("paths", metavar="IMAGE_OR_FOLDER...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("reconstructions.png"), show_default=True)
def reconstruct(run: Path, paths: tuple[Path, ...], output: Path) -> None:
    """Show images, each above what RUN makes of it."""
    from vaegan.data import find_images
    from vaegan.images import beside, to_float, to_uint8

    model = _load(run)
    files = [file for path in paths for file in ([path / name for name in find_images(path)] if path.is_dir() else [path])]
    real = _read(files, model)
    fake = [to_uint8(model.reconstruct(_like(model, to_float(chunk)))) for chunk in real.split(SAMPLE_BATCH)]
    _save(beside(real, _joined(fake)), output)


@cli.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@click.option("--steps", type=click.IntRange(2, 1000), default=8, show_default=True, help="Images from A to B.")
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("interpolation.png"), show_default=True)
def interpolate(run: Path, a: Path, b: Path, steps: int, output: Path) -> None:
    """Show the way from image A to image B along a straight line between their codes."""
    import torch

    from vaegan.images import grid, to_float

    model = _load(run)
    start, end = model.encode(_like(model, to_float(_read([a, b], model)))).mean
    codes = torch.stack([torch.lerp(start, end, float(share)) for share in torch.linspace(0, 1, steps)])
    _save(grid(model.decode(codes), columns=steps), output)


@cli.command()
@click.option("--schema", is_flag=True, help="Print every setting with its type, default and meaning.")
def configs(schema: bool) -> None:
    """List the shipped recipes."""
    from vaegan.config import recipes
    from vaegan.config.describe import schema_text

    if schema:
        click.echo(schema_text())
        return
    listed = {name: path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ") for name, path in recipes().items()}
    width = max(map(len, listed))
    for name, line in listed.items():
        click.echo(f"{name:{width}}  {line}")


def _train(config: "Config", folder: Path, data: "Data", resume: bool, console: "Console") -> "Run":
    from vaegan.evaluate.runner import evaluate as judge
    from vaegan.trainers import train as run_training

    def validate(model: "Autoencoder", images: "Data") -> dict[str, float]:
        held_out = images.validation
        return judge(model, held_out, config.evaluate, split="validation", seed=config.seed, notify=console.note).metrics

    return run_training(config, folder, data, resume, validate, console)


def _open(config: "Config", console: "Console") -> "Data":
    from vaegan.data import open_data

    with console.progress("Reading images", "images") as progress:
        return open_data(config.data, console.note, progress)


def _load(run: Path) -> "Autoencoder":
    from vaegan import load

    return load(run)


def _read(files: list[Path], model: "Autoencoder") -> "Tensor":
    """Image files as the model takes them, uint8 (N, C, S, S)."""
    import numpy as np
    import torch

    from vaegan.data import Unreadable, read_image

    channels, side, _ = model.image_shape
    try:
        return torch.from_numpy(np.stack([read_image(file, side, channels) for file in files]))
    except Unreadable as error:
        raise Mistake(f"{error.file}: {error.reason}") from None


def _like(model: "Autoencoder", images: "Tensor") -> "Tensor":
    """Images in the type of the model's weights."""
    return images.to(next(model.parameters()))


def _joined(chunks: list["Tensor"]) -> "Tensor":
    import torch

    return torch.cat(chunks)


def _save(picture: "object", output: Path) -> None:
    from PIL import Image

    assert isinstance(picture, Image.Image)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        picture.save(output)
    except (OSError, ValueError) as error:
        raise Mistake(f"--output {output}: {error}") from None
    click.echo(f"{output}: {picture.width} x {picture.height} pixels")


def _show_plan(config: "Config") -> None:
    from vaegan.config import dump
    from vaegan.trainers.plan import plan

    planned = plan(config)
    click.echo(dump(config))
    rows = [[name, f"{count:,}"] for name, count in planned.parameters.items()]
    rows.append(["all", f"{sum(planned.parameters.values()):,}"])
    _table(["network", "parameters"], rows)
    click.echo(
        f"weights {planned.weight_bytes / 2**20:,.1f} MiB (with the averaged copy),"
        f" optimizer state {planned.optimizer_bytes / 2**20:,.1f} MiB,"
        f" {planned.images_per_process} images per step on each process; nothing was trained"
    )


def _table(header: list[str], rows: list[list[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console as Terminal
    from rich.table import Table

    table = Table(*header[:1], box=SIMPLE_HEAD)
    for name in header[1:]:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*row)
    Terminal(width=None if sys.stdout.isatty() else 200, markup=False, highlight=False).print(table)


def _console() -> "Console":
    from vaegan.console import Console

    return Console(shown=os.environ.get("RANK", "0") == "0")


def main() -> None:
    """Run the command line: exit code 0 done, 2 a mistake in what was asked, 1 a failure, 130 interrupted."""
    try:
        cli.main(prog_name="vaegan", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except Mistake as mistake:
        _end(f"vaegan: {mistake}", 2)
    except (Failure, OSError) as failure:
        _end(f"vaegan: {failure}", 1)
    except Interrupted as interrupted:
        _end(f"vaegan: {interrupted}", 130)
    except (KeyboardInterrupt, click.Abort):
        _end("vaegan: interrupted", 130)


def _end(message: str, code: int) -> None:
    rank = os.environ.get("RANK", "0")
    if rank == "0" or code == 1:
        click.echo(message if rank == "0" else f"[rank {rank}] {message}", err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
