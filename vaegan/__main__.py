"""The command line, where the library, the trainers and the evaluation come together.

Heavy packages are imported inside the commands that need them, so that `vaegan --help` answers at once.
"""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vaegan import __version__
from vaegan.console import Console, Update
from vaegan.ending import Commands, one_line
from vaegan.errors import Interrupted, Mistake
from vaegan.options import OVERRIDES, PATH, PROCESSES, folder, picture
from vaegan.processes import by_the_first, join, leave, nobody_lost, rank, size, together

if TYPE_CHECKING:
    from vaegan.config import Config
    from vaegan.data import Data
    from vaegan.models import Autoencoder
    from vaegan.runs import Run

MOST = 10_000
"""Images of one picture."""
TOGETHER = ("train", "evaluate", "compare")
"""Commands that all processes of a launch take part in; the others are done by the first one alone."""


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__)
@click.pass_context
def cli(context: click.Context) -> None:
    """Train autoencoder generators (AE, VAE, two-way and three-way VAE-GAN), judge them and compare them."""
    if rank() != 0 and context.invoked_subcommand not in TOGETHER:
        context.exit()


@cli.command(short_help="Train a config or a shipped recipe.")
@click.argument("config")
@OVERRIDES
@click.option("--output", type=PATH, callback=folder, help="Run folder.  [default: runs/NAME]")
@click.option("--resume", is_flag=True, help="Go on from the run folder's newest checkpoint.")
@click.option(
    "--extend", is_flag=True, help="With --resume: let train.steps be more than before, where train.decay is constant."
)
@PROCESSES
@click.option("--dry-run", is_flag=True, help="Show the resolved config and the size of the run; train nothing.")
def train(
    config: str,
    overrides: tuple[str, ...],
    output: Path | None,
    resume: bool,
    extend: bool,
    processes: int,
    dry_run: bool,
) -> None:
    """Train CONFIG: a YAML file, or a shipped recipe such as cifar10/vaegan3."""
    from vaegan.config import load_config
    from vaegan.config.comparing import training_settings
    from vaegan.runs import Run

    resolved, console = load_config(config, overrides), _console()
    if extend and not resume:
        raise Mistake("--extend: a run is made longer where it is gone on with; give --resume as well")
    if dry_run:
        _show_plan(resolved, processes, console)
        return
    run = Run(output or _default_folder(config))
    if resume and run.finished and training_settings(run.config) == training_settings(resolved):
        console.say(f"{run.path}: finished already, with {resolved.train.steps} steps")
        return
    _meet(processes, [resolved], console)
    _train(resolved, run.path, _open(resolved, console), console, resume=resume, extend=extend)
    console.say(f"{run.path}: trained {resolved.train.steps} steps; judge it with `vaegan evaluate {run.path}`")


@cli.command(short_help="Judge a trained run.")
@click.argument("run", type=PATH)
@click.option("--metrics", help="Which ones, separated by commas.  [default: the run's evaluate.metrics]")
@click.option("--samples", type=int, help="Images to draw, and at most to reconstruct.  [default: evaluate.samples]")
@click.option("--split", help="train, validation or test.  [default: evaluate.split]")
@PROCESSES
def evaluate(run: Path, metrics: str | None, samples: int | None, split: str | None, processes: int) -> None:
    """Judge the trained model of RUN and write RUN/metrics.json."""
    from vaegan.config.reading import check
    from vaegan.config.schema import Config
    from vaegan.evaluate import runner
    from vaegan.evaluate.evaluation import write_evaluation
    from vaegan.runs import Run, load_discriminator

    folder, console = Run(run), _console()
    tree = folder.config.model_dump(mode="json")
    asked = {"metrics": metrics and metrics.replace(" ", "").split(","), "samples": samples, "split": split}
    tree["evaluate"] |= {key: value for key, value in asked.items() if value is not None}
    config = check(Config, tree, str(run))
    _meet(processes, [], console)
    model = together(lambda: _load(run, console)).to(runner.device())
    split, notify = config.evaluate.split, console.note
    data = _open(config, console)
    images = getattr(data, split)
    if not len(images):
        raise Mistake(f"--split {split}: the run keeps no image in it (data.{split} is 0)", everywhere=True)
    with console.progress("Evaluating", "images") as progress:
        result = runner.evaluate(
            model, images, config.evaluate, split=split, seed=config.seed, discriminator=load_discriminator(folder),
            fingerprint=data.fingerprint, progress=progress, notify=notify,
        )  # fmt: skip
    by_the_first(lambda: write_evaluation(result, folder))
    console.table(["figure", str(run)], [[name, f"{value:.4g}"] for name, value in result.metrics.items()])
    console.say(f"written to {folder.metrics_file}, with the protocol of every figure")


@cli.command(short_help="Train and judge the variants of a study, and report.")
@click.argument("study")
@OVERRIDES
@click.option("--output", type=PATH, callback=folder, help="Folder of the study.  [default: runs/NAME]")
@PROCESSES
def compare(study: str, overrides: tuple[str, ...], output: Path | None, processes: int) -> None:
    """Train and judge every variant of STUDY for every seed, and write comparison.json and report.html.

    What is finished already is kept, what was cut off is resumed.
    """
    from vaegan.config import load_study

    described, configs = load_study(study, overrides)
    from vaegan.evaluate.study import compare as run_study

    folder, console = output or _default_folder(study), _console()
    _meet(processes, list(configs.values()), console)

    def train_one(config: "Config", into: Path, data: "Data", resume: bool) -> "Run":
        try:
            return _train(config, into, data, console, resume=resume)
        except Interrupted as stop:
            raise Interrupted(f"{folder}: stopped in {into}; the same command goes on", stop.everywhere) from stop

    comparison = run_study(described, configs, folder, train_one, console, shlex.join(["vaegan", *sys.argv[1:]]))
    if comparison is not None:
        console.table(*comparison.table())
        console.say("\n".join(comparison.sentences()))
        console.say(f"report: {(folder / 'report.html').absolute()}")


@cli.command(short_help="Draw images from the prior of a run.")
@click.argument("run", type=PATH)
@click.option("-n", "--number", type=click.IntRange(1, MOST), default=64, show_default=True, help="Images to draw.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Root of their codes.")
@click.option("-o", "--output", type=PATH, callback=picture, default="samples.png", show_default=True)
def sample(run: Path, number: int, seed: int, output: Path) -> None:
    """Draw images from the prior of RUN."""
    from vaegan.images import grid
    from vaegan.pictures import make, write

    console = _console()
    model = _load(run, console)
    drawn = make("Drawing", model.prior_codes(0, number, seed), model.decode, console)
    write(grid(drawn, columns=max(1, round(number**0.5))), output, console)


@cli.command(short_help="Show images and what a run makes of them.")
@click.argument("run", type=PATH)
@click.argument("paths", metavar="IMAGE_OR_FOLDER...", nargs=-1, required=True, type=PATH)
@click.option("-o", "--output", type=PATH, callback=picture, default="reconstructions.png", show_default=True)
def reconstruct(run: Path, paths: tuple[Path, ...], output: Path) -> None:
    """Show images, each above what RUN makes of it."""
    from vaegan.images import beside
    from vaegan.pictures import make, read, write

    console = _console()
    model = _load(run, console)
    real = read(paths, model, MOST)
    fake = make("Reconstructing", real, model.reconstruct, console)
    write(beside(real, fake, columns=min(8, len(real))), output, console)


@cli.command(short_help="Show the way from one image to another.")
@click.argument("run", type=PATH)
@click.argument("a", type=PATH)
@click.argument("b", type=PATH)
@click.option("--steps", type=click.IntRange(2, 1000), default=8, show_default=True, help="Images from A to B.")
@click.option("-o", "--output", type=PATH, callback=picture, default="interpolation.png", show_default=True)
def interpolate(run: Path, a: Path, b: Path, steps: int, output: Path) -> None:
    """Show the way from image A to image B along a straight line between their codes."""
    import torch

    from vaegan.images import grid
    from vaegan.pictures import make, read, write

    console = _console()
    model = _load(run, console)
    start, end = model.encode(read([a, b], model, most=2)).mean
    codes = torch.stack([torch.lerp(start, end, share) for share in torch.linspace(0, 1, steps).to(start)])
    write(grid(make("Drawing", codes, model.decode, console), columns=steps), output, console)


@cli.command(short_help="List the shipped recipes, or every setting.")
@click.option("--schema", is_flag=True, help="Print every setting with its type, default and meaning.")
def configs(schema: bool) -> None:
    """List the shipped recipes."""
    from vaegan.config import recipes
    from vaegan.config.describe import schema_text

    if schema:
        click.echo(schema_text())
        return
    listed = recipes()
    for name, path in listed.items():
        first_line = path.read_text(encoding="utf-8").splitlines()[0]
        click.echo(f"{name:{max(map(len, listed))}}  {first_line.lstrip('# ')}")


def _meet(processes: int, configs: "list[Config]", console: Console) -> None:
    """Be one of the processes that do the work together, or start them and end with them.

    Raises:
        Mistake: They cannot share a config's batches.
    """
    from vaegan.launching import follow_the_launcher, launch
    from vaegan.trainers.dividing import share

    for config in configs:
        share(config.train, 0, processes)
    if processes > size():
        launch(processes, console)
    follow_the_launcher()
    join()


def _train(
    config: "Config", folder: Path, data: "Data", console: Console, *, resume: bool, extend: bool = False
) -> "Run":
    from vaegan.evaluate.runner import evaluate
    from vaegan.trainers import train

    def validate(model: "Autoencoder", images: "Data", progress: Update) -> dict[str, float]:
        return evaluate(
            model, images.validation, config.evaluate, split="validation", seed=config.seed, progress=progress,
            notify=console.note_once,
        ).metrics  # fmt: skip

    return train(config, folder, data, validate, console, resume=resume, extend=extend)


def _default_folder(name: str) -> Path:
    """Where a config file or a recipe is recorded if nothing else is said."""
    own = Path(name).stem if Path(name).is_file() else name.replace("/", "-")
    return Path("runs") / (own.strip(".") or "run")


def _open(config: "Config", console: Console) -> "Data":
    from vaegan.data import open_data

    with console.progress("Reading images", "images") as progress:
        return together(lambda: open_data(config.data, console.note, progress))


def _load(path: Path, console: Console) -> "Autoencoder":
    """The model of a run, with a word about it if the run is not finished."""
    from vaegan.runs import Run, load

    run = Run(path)
    steps, model = run.config.train.steps, load(path)
    if not run.finished:
        console.note(f"{path}: not finished; this is its model after {run.exported_step} of {steps} steps")
    return model


def _show_plan(config: "Config", processes: int, console: Console) -> None:
    from vaegan.config import dump
    from vaegan.trainers.plan import plan

    planned = plan(config, processes)
    sizes = {**planned.parameters, "all": sum(planned.parameters.values())}
    console.say(dump(config))
    console.table(["network", "parameters"], [[name, f"{count:,}"] for name, count in sizes.items()])
    console.say(
        f"weights {planned.weight_bytes / 2**20:,.1f} MiB (with the averaged copy),"
        f" optimizer state {planned.optimizer_bytes / 2**20:,.1f} MiB,"
        f" {planned.images_per_process} images per step on each process; nothing was trained"
    )


def _console() -> Console:
    return Console(shown=rank() == 0)


def main() -> None:
    """Run the command line."""
    with one_line(), nobody_lost("start again"):
        cli.main(prog_name="vaegan", standalone_mode=False)
        leave()


if __name__ == "__main__":
    main()
