"""The command that evaluates a run: `evaluate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vaegan.distributed import run_on_all_ranks
from vaegan.errors import UserError
from vaegan.extras import check_evaluation_packages

from .completion import complete_metrics, complete_words
from .console import Console
from .options import DENSITY_OPTION, FOLDER, PROCESSES_OPTION

if TYPE_CHECKING:
    from vaegan.config import Config
    from vaegan.evaluate.result import EvaluationResult


@click.command(short_help="Evaluate a trained run.")
@click.argument("run", type=FOLDER)
@click.option(
    "--metrics",
    metavar="NAMES",
    shell_complete=complete_metrics,
    help="Metrics, separated by commas: psnr,lpips.  [default: evaluate.metrics]",
)
@click.option("--samples", type=int, help="Images to draw, and at most to reconstruct.  [default: evaluate.samples]")
@click.option(
    "--split",
    metavar="NAME",
    shell_complete=complete_words("train", "validation", "test"),
    help="train, validation or test.  [default: evaluate.split]",
)
@click.option(
    "--features", metavar="NAME|RUN", shell_complete=complete_words("inception", path="dir"),
    help="inception, or a run of train-features.  [default: evaluate.features]",
)  # fmt: skip
@DENSITY_OPTION
@PROCESSES_OPTION
def evaluate(run: Path, metrics: str | None, processes: int, **settings: Any) -> None:
    """Evaluate the trained model of RUN and write RUN/metrics.json; of a classifier, its accuracy."""
    from vaegan.config.load import override_evaluation
    from vaegan.evaluate.metric_descriptions import format_sample_source
    from vaegan.storage.run_folder import Run

    from .launch import join_processes

    folder, console = Run(run), Console()
    settings = {"metrics": metrics and metrics.replace(" ", "").split(","), **settings}
    if folder.config.model.family == "classifier" and (metrics or settings["features"]):
        raise UserError("--metrics, --features: a classifier is measured by its accuracy alone; leave them out")
    config = override_evaluation(folder.config, settings, str(run))
    check_evaluation_packages(config)
    join_processes(processes, [], console)
    result = evaluate_run_folder(run, config, console)
    rows = [
        [name + format_sample_source(name, result.density), f"{value:.4g}"] for name, value in result.metrics.items()
    ]
    console.table(["metric", str(run)], rows)
    console.say(f"written to {folder.metrics_file}, with the protocol of every metric")


def evaluate_run_folder(folder: Path, config: "Config", console: Console) -> "EvaluationResult":
    """Evaluate a run's model with all processes, and write `metrics.json` and `scores.safetensors` into its folder.

    Args:
        folder: Run folder.
        config: The run's config, with the settings of the evaluation.
        console: Shows progress and notes.

    Raises:
        UserError: The folder holds no model, the images are missing or not the run's, or nothing can be measured.
        Failure: A result is not finite, or a file cannot be read or written.
    """
    from vaegan.evaluate.one_pass import get_device
    from vaegan.evaluate.run_evaluation import check_images, evaluate_run
    from vaegan.storage.loading import load_model
    from vaegan.storage.run_folder import Run

    from .inputs import load_run_model, open_images

    model: Any = run_on_all_ranks(lambda: load_run_model(folder, load_model, console)).to(get_device())
    data = open_images(config, console)
    check_images(config, data, "--split")
    return evaluate_run(Run(folder), model, config.evaluate, data, console, force=True)
