"""The command that evaluates a run, or images without one: `evaluate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vaegan.extras import check_evaluation_packages
from vaegan.workflows.runs import evaluate_folder, read_evaluation_config

from .completion import complete_metrics, complete_words
from .console import Console
from .image_sets import add_image_set_options, check_options, evaluate_images
from .options import DATA_ROOT_OPTION, DENSITY_OPTION, FOLDER, OTHER_DATA_OPTION, PROCESSES_OPTION, TILE_OPTION

if TYPE_CHECKING:
    from vaegan.evaluate.result import EvaluationResult


@click.command(short_help="Evaluate a trained run, or compare images.")
@click.argument("run", type=FOLDER, required=False)
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
@click.option("--batch-size", type=int, help="Images of one forward pass.  [default: evaluate.batch_size]")
@DENSITY_OPTION
@TILE_OPTION
@DATA_ROOT_OPTION
@OTHER_DATA_OPTION
@add_image_set_options
@PROCESSES_OPTION
@click.pass_context
def evaluate(
    context: click.Context, /, run: Path, metrics: str | None, data_root: Path | None, allow_other_data: bool,
    processes: int, images: tuple[Path, Path] | None, **options: Any,
) -> None:  # fmt: skip
    """Evaluate the trained model of RUN and write RUN/metrics.json; of a classifier, its accuracy.

    With --native-size, measure the reconstructions of image files in their own sizes, by a model whose code is a
    grid. With --images, compare the images of FAKE with those of REAL instead: metrics of pairs over images of the same
    name, metrics of sets over all.
    """
    from vaegan.evaluate.metric_descriptions import format_sample_source
    from vaegan.evaluate.metrics.build import list_unmeasured
    from vaegan.storage.run_folder import Run

    from .launch import join_processes

    check_options(context.params)
    names = ("samples", "split", "features", "batch_size", "density")
    settings = {"metrics": metrics and metrics.replace(" ", "").split(","), **{name: options[name] for name in names}}
    console = Console()
    if images is not None:
        join_processes(processes, [], console)
        evaluate_images(images, settings, options, console)
        return
    config = read_evaluation_config(run, settings)
    check_evaluation_packages(config)
    join_processes(processes, [], console)

    def show(result: "EvaluationResult") -> None:
        names = {name: name + format_sample_source(name, result.density) for name in result.metrics}
        console.table(["metric", str(run)], [[names[name], f"{value:.4g}"] for name, value in result.metrics.items()])
        if settings["metrics"] and (others := list_unmeasured(config.evaluate, result.protocol)):
            console.say(f"left out, since a run of {config.model.family} has none: {', '.join(others)}")

    evaluate_folder(
        run, config, console, data_root=data_root, allow_other_data=allow_other_data, show=show,
        native_size=options["native_size"], tile_side=options["tile"],
    )  # fmt: skip
    console.say(f"written to {Run(run).metrics_file}, with the protocol of every metric")
