"""The options of `evaluate --images`, which compares two sets of images without a run, and its work."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from vaegan.errors import Failure, UserError
from vaegan.extras import METRIC_PACKAGES, check_packages
from vaegan.workflows.shared_settings import check_tile

from .completion import complete_words
from .console import Console
from .options import PATH, Integer, make_file_check

MAX_IMAGE_SIDE_PIXELS = 4096
"""Largest `--image-size`."""
IMAGE_OPTIONS = ("image_size", "fit", "paired_by_index", "save_statistics", "output")
"""Parameters that only `--images` takes."""
RUN_OPTIONS = ("split", "density", "data_root", "allow_other_data", "tile")
"""Parameters that only a run takes."""


def add_image_set_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a comparison of two sets of images."""
    for option in (
        click.option(
            "-o", "--output", type=PATH, callback=make_file_check(".json"), metavar="FILE.json",
            help="With --images: file that the metrics are written to, with their protocol.",
        ),
        click.option(
            "--save-statistics", type=PATH, callback=make_file_check(".npz"), metavar="FILE.npz",
            help="With --images: file for mean and covariance of REAL's features, as pytorch-fid has them.",
        ),
        click.option(
            "--paired-by-index", is_flag=True, help="With --images: pair images at the same place, not by their names."
        ),
        click.option(
            "--fit", type=click.Choice(["crop", "stretch"]), shell_complete=complete_words("crop", "stretch"),
            help="With --images: fitting of images of another size.  [default: crop]",
        ),
        click.option(
            "--native-size", is_flag=True,
            help="Keep the size of each image, and measure pairs (with RUN: images and reconstructions) one by one.",
        ),
        click.option(
            "--image-size", type=Integer(8, MAX_IMAGE_SIDE_PIXELS), metavar="N",
            help="With --images: side in pixels at which they are compared.  [default: that of all images]",
        ),
        click.option(
            "--images", type=(PATH, PATH), metavar="REAL FAKE",
            help="Compare two sets of images, folders or .npz files; REAL may be statistics of pytorch-fid.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


def is_same_file(one: Path, other: Path) -> bool:
    """Return whether two paths lead to the same file, which is there."""
    return one.exists() and other.exists() and one.samefile(other)


def check_options(parameters: Mapping[str, Any]) -> None:
    """Check that the parameters of `evaluate` belong together: either a run or two sets of images.

    Raises:
        UserError: Both or neither are given, or a parameter that the given one does not take.
    """
    images, run = parameters["images"], parameters["run"]
    if images is not None and run is not None:
        raise UserError(f"--images: compares images without a run; leave {run} out")
    if images is None and run is None:
        raise UserError("RUN: missing; give the folder of a run, or --images REAL FAKE")
    check_tile(parameters["tile"], parameters["native_size"])
    if run is not None and parameters["native_size"] and parameters["density"] is not None:
        raise UserError("--density: samples have one size; leave it out, or --native-size")
    others = RUN_OPTIONS if images is not None else IMAGE_OPTIONS
    if given := [f"--{name.replace('_', '-')}" for name in others if parameters[name] not in (None, False)]:
        problem = "not with --images" if images is not None else "only with --images"
        raise UserError(f"{', '.join(given)}: {problem}; leave {'it' if len(given) == 1 else 'them'} out")


def evaluate_images(
    images: tuple[Path, Path], settings: Mapping[str, Any], parameters: Mapping[str, Any], console: Console
) -> None:
    """Compare two sets of images, print the metrics, and write them where `--output` says.

    Args:
        images: The real images and the others.
        settings: Settings of the section `evaluate`; those that are None have their defaults.
        parameters: Those of `IMAGE_OPTIONS`.
        console: Takes the table, notes and progress.

    Raises:
        UserError: A set or a setting is wrong, or nothing can be measured.
        Failure: An image cannot be read, or a file cannot be written.
    """
    from vaegan.config.load import validate_config
    from vaegan.config.schema import EvaluateConfig
    from vaegan.distributed import run_on_main
    from vaegan.evaluate.image_sets import evaluate_image_sets, open_image_sets
    from vaegan.evaluate.metrics.build import IMAGE_METRICS, SET_METRICS
    from vaegan.evaluate.metrics.frechet_statistics import is_statistics_file
    from vaegan.io import write_text
    from vaegan.text import get_reason

    (real, fake), statistics_file = images, parameters["save_statistics"]
    has_real_images = not is_statistics_file(real)
    given = {name: value for name, value in settings.items() if value is not None}
    config = validate_config(EvaluateConfig, given, "evaluate --images")
    if settings["metrics"] is None:
        names: list[str] = [name for name in config.metrics if name in IMAGE_METRICS]
        if not has_real_images:
            names = ["frechet"]
        elif settings["features"] is not None or statistics_file is not None:
            names += sorted(SET_METRICS)
        config = config.model_copy(update={"metrics": tuple(names)})
    if others := [name for name in config.metrics if name not in IMAGE_METRICS]:
        allowed = ", ".join(sorted(IMAGE_METRICS))
        raise UserError(f"--metrics: {', '.join(others)}: of a model, not of images alone; take some of {allowed}")
    if statistics_file is not None and not (has_real_images and "frechet" in config.metrics):
        raise UserError("--save-statistics: needs images as REAL, and frechet among --metrics")
    if statistics_file is not None and any(is_same_file(statistics_file, path) for path in images):
        raise UserError(f"--save-statistics {statistics_file}: one of the two sets, which it would replace")
    check_packages([METRIC_PACKAGES[name] for name in config.metrics if name in METRIC_PACKAGES], "eval")
    if parameters["native_size"] and (parameters["image_size"] is not None or parameters["fit"] is not None):
        raise UserError("--native-size: keeps the size of each image; leave --image-size and --fit out")
    sets = open_image_sets(
        real, fake, console, parameters["image_size"], parameters["fit"] or "crop", parameters["paired_by_index"],
        parameters["native_size"],
    )  # fmt: skip
    result = evaluate_image_sets(sets, config, console, statistics_file)
    console.table(["metric", str(fake)], [[name, f"{value:.4g}"] for name, value in result.metrics.items()])
    counts = [f"{result.protocol[f'{kind}_images']:,} {kind}" for kind in ("real", "fake")]
    console.say(f"{' and '.join(counts)} images, {result.protocol['pairs']:,} pairs")
    if (output := parameters["output"]) is not None:
        contents = {name: getattr(result, name) for name in ("metrics", "protocol", "curves")}

        def write() -> None:
            try:
                output.parent.mkdir(parents=True, exist_ok=True)
                write_text(output, json.dumps(contents, indent=2, allow_nan=False) + "\n")
            except OSError as error:
                raise Failure(f"{output}: {get_reason(error)}") from None

        run_on_main(write)
        console.say(f"written to {output}, with the protocol of every metric")
    if statistics_file is not None:
        console.say(f"{statistics_file}: mean and covariance of the features of {real}")
