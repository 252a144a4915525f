"""The command `vaegan inspect`: what the codes of a run hold."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vaegan.workflows.runs import load_run_model
from vaegan.workflows.trained_model import check_output_of_run, open_images_of_run

from .console import Console
from .options import DATA_ROOT_OPTION, FOLDER, OTHER_DATA_OPTION, check_folder_path

if TYPE_CHECKING:
    from vaegan.evaluate.inspection import Inspection

MAX_TABLE_ROWS = 12
"""Most dimensions that are printed."""


@click.command(short_help="Describe the dimensions of the codes, and map them.")
@click.argument("run", type=FOLDER)
@click.option(
    "--split", type=click.Choice(["train", "validation", "test"]), help="Images to encode.  [default: evaluate.split]"
)
@DATA_ROOT_OPTION
@OTHER_DATA_OPTION
@click.option(
    "-o", "--output", type=FOLDER, callback=check_folder_path, help="Folder to write.  [default: RUN/inspection]"
)
def inspect(run: Path, split: str | None, data_root: Path | None, allow_other_data: bool, output: Path | None) -> None:
    """Say what each dimension of the codes of RUN's images holds: divergence, activity, distance from the prior.

    Linear probes tell how well classes can be read from the codes, from the pixels and from their PCA. The page
    inspection.html has the plots, and maps of the images; inspection.json has the figures.
    """
    from vaegan.applications.encoding import check_continuous_codes
    from vaegan.evaluate.inspection import inspect_codes
    from vaegan.evaluate.report.inspection_page import write_inspection
    from vaegan.evaluate.run_evaluation import check_classes
    from vaegan.extras import check_packages
    from vaegan.storage.loading import load
    from vaegan.storage.run_folder import Run

    console, output = Console(), output or run / "inspection"
    check_packages(["jinja2", "matplotlib", "sklearn"], "eval")
    check_output_of_run(run, output, data_root=data_root)
    model = load_run_model(run, load, console)
    check_continuous_codes(model, run)
    data, config = open_images_of_run(run, split, console, data_root, allow_other_data)
    check_classes(Run(run), model, data)
    inspection = inspect_codes(model, data, config.evaluate.split, config.seed, console)
    _print(inspection, console)
    write_inspection(inspection, config, run, output)
    console.say(f"{output / 'inspection.html'}: the page, beside its pictures and inspection.json")


def _print(inspection: "Inspection", console: Console) -> None:
    statistics, size = inspection.statistics, len(inspection.statistics.active)
    order = statistics.order.tolist()
    header = ["dimension", "KL, nats", "var of mean", "aggregate mean", "its variance", "Wasserstein"]
    columns = [statistics.kl, statistics.mean_variance, statistics.mean, statistics.variance, statistics.wasserstein]
    shown = [(name, column) for name, column in zip(header[1:], columns, strict=True) if column is not None]
    rows = [[f"z{index}", *(f"{column[index]:.3f}" for _, column in shown)] for index in order[:MAX_TABLE_ROWS]]
    console.table([header[0], *(name for name, _ in shown)], rows)
    if len(order) > MAX_TABLE_ROWS:
        console.say(f"and {len(order) - MAX_TABLE_ROWS} more in inspection.json")
    total = "" if statistics.kl is None else f", {statistics.kl.sum():.2f} nats an image"
    images = f"{len(inspection.posterior.mean):,} {inspection.split} images"
    console.say(f"{len(order)} of {size} dimensions active{total}; {images}")
    for name, probe in inspection.probes.items():
        accuracy, low, high = (f"{100 * value:.1f}" for value in (probe.accuracy, *probe.interval))
        console.say(f"linear probe of {name}: {accuracy} % correct ({low} to {high} %)")
    for note in inspection.notes:
        console.note(note)
