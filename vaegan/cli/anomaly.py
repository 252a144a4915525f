"""The command `anomaly`: how little images are like those of a run, calibrated on held-out ones."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vaegan.errors import UserError
from vaegan.extras import check_packages
from vaegan.text import make_encodable, make_printable, shorten, to_one_line
from vaegan.workflows.destinations import check_picture_size
from vaegan.workflows.trained_model import check_output_of_run, load_model_and_classes, open_images_of_run

from .anomaly_results import CALIBRATION_IMAGES, AnomalyResults, check_table_file
from .completion import complete_words
from .console import Console
from .options import ALL, DATA_ROOT_OPTION, FOLDER, LABEL_OPTION, OTHER_DATA_OPTION, PATH, Integer, check_picture_path

if TYPE_CHECKING:
    from vaegan.workflows.image_files import ImageFile

SCORE_NAMES = ("elbo", "iwae", "elbo_complexity", "pixels", "lpips", "features", "code", "realness")
"""Names of the scores of `vaegan.applications.anomaly_scores`, which is slow to import."""
MAX_IMAGES = 100_000
"""Most images of one command."""
MAX_DRAWN_IMAGES = 1000
"""Most images of the contact sheet."""
DEFAULT_DENSITY = "gaussian"
"""Density of the codes for the score `code`, by default."""
TRUTHS = {"0": False, "normal": False, "1": True, "anomalous": True}
"""Labels of normal and anomalous images in a label file."""


def _check_rate(context: click.Context, option: click.Parameter, rate: float) -> float:
    if not 0 < rate < 1:
        raise UserError(f"--false-alarms {rate:g}: a rate lies between 0 and 1, such as 0.05")
    return rate


@click.command(short_help="Find images that are not like those of a run, and where they differ.")
@click.argument("run", type=FOLDER)
@click.argument("paths", metavar="IMAGE_OR_FOLDER...", nargs=-1, required=True, type=PATH)
@click.option(
    "--score", metavar="NAMES", default="pixels", show_default=True, shell_complete=complete_words(*SCORE_NAMES, ALL),
    help=f"Scores, separated by commas, or {ALL}; the first one sorts and flags: {', '.join(SCORE_NAMES)}.",
)  # fmt: skip
@click.option(
    "--false-alarms", metavar="RATE", type=float, callback=_check_rate, default=0.05, show_default=True,
    help="Fraction of normal images that may be flagged.",
)  # fmt: skip
@click.option(
    "--split", type=click.Choice(["validation", "test"]), default="validation", show_default=True,
    help="Split of the run's images that the scores are calibrated on.",
)  # fmt: skip
@click.option("--features", type=FOLDER, metavar="RUN", help="Run of train-features, for the score features.")
@click.option(
    "--density", metavar="NAME", shell_complete=complete_words("gaussian", "gmm"),
    help=f"Density of the codes, for the score code: {DEFAULT_DENSITY} (the default), gmm, or gmm:K.",
)  # fmt: skip
@click.option("--labels", type=PATH, metavar="FILE.csv", help="Columns file and label: 0 or normal, 1 or anomalous.")
@click.option("--anomalous", metavar="CLASS,...", help="Class folders of anomalous images; the others are normal.")
@click.option(
    "-n", "--number", type=Integer(1, MAX_DRAWN_IMAGES), default=32, show_default=True,
    help="Images to draw, the most anomalous ones; the CSV file has all images.",
)  # fmt: skip
@LABEL_OPTION
@DATA_ROOT_OPTION
@OTHER_DATA_OPTION
@click.option(
    "-o", "--output", type=PATH, callback=check_picture_path, default="anomalies.png", show_default=True,
    help="Picture to write; a CSV file of its name is written beside it.",
)  # fmt: skip
def anomaly(
    run: Path, paths: tuple[Path, ...], score: str, false_alarms: float, split: str, features: Path | None,
    density: str | None, labels: Path | None, anomalous: str | None, number: int, label: str | None,
    data_root: Path | None, allow_other_data: bool, output: Path,
) -> None:  # fmt: skip
    """Score how unlike the training images of RUN each image is, and draw where it differs.

    A p-value is about the fraction of held-out images with at least this score. If --labels or --anomalous says which
    images are anomalous, ROC-AUC and PR-AUC say how well the scores find them.
    """
    check_packages(["matplotlib"])
    import torch

    from vaegan.applications.anomaly_sheet import get_sheet_size
    from vaegan.storage.loading import load_decoding
    from vaegan.workflows.image_files import find_image_files, read_pixels

    from .anomaly_judges import choose_scores, load_judges
    from .picture_files import write_image

    console, decoding, table = Console(), load_decoding(run), output.with_suffix(".csv")
    check_output_of_run(run, output, table, data_root=data_root)
    check_table_file(table, [labels] if labels is not None else [])
    files = find_image_files(paths, output, MAX_IMAGES, decoding[0], console)
    truths = _find_truths(files, labels, anomalous)
    model, numbers = load_model_and_classes(run, label, console, [file.label for file in files])
    check_picture_size(output, *get_sheet_size(min(number, len(files)), model.image_shape[-1]))
    names = choose_scores(score, run, model, features, density)
    data, _ = open_images_of_run(run, split, console, data_root, allow_other_data)
    normal = getattr(data, split)
    AnomalyResults.check_rate(false_alarms, len(normal))
    judges, shown = load_judges(names, run, model, features, density or DEFAULT_DENSITY, data.train, console)
    pixels, read = read_pixels(files, model, decoding, console)
    classes = None if numbers is None else torch.tensor([numbers[file.label] for file in read])
    results = AnomalyResults.measure(shown, model, judges, normal, pixels, classes, false_alarms, console)
    console.say(f"calibrated on {min(len(normal), CALIBRATION_IMAGES):,} {split} images, which count as normal")
    known = None if truths is None else torch.tensor([truths[file.path] for file in read])
    results.show(known, console)
    results.write_table(table, [file.path for file in read], known, console)
    write_image(results.draw([file.path for file in read], number, console), output, console)


def _find_truths(
    files: "Sequence[ImageFile]", labels: Path | None, anomalous: str | None
) -> Mapping[Path, bool] | None:
    """Return which images are anomalous, by --labels or --anomalous; None: neither is given.

    Raises:
        UserError: Both are given, or they do not tell.
    """
    paths = [file.path for file in files]
    if labels is not None and anomalous is not None:
        raise UserError("--labels, --anomalous: both say which images are anomalous; give one of them")
    if labels is not None:
        option, truths = f"--labels {shorten(labels)}", _read_truths(paths, labels)
    elif anomalous is not None:
        option, truths = "--anomalous", _find_classes(files, anomalous)
    else:
        return None
    if len(set(truths)) == 1:
        kind = "anomalous" if truths[0] else "normal"
        raise UserError(f"{option}: all images are {kind}; give both kinds, or leave the option out")
    return dict(zip(paths, truths, strict=True))


def _read_truths(paths: Sequence[Path], labels: Path) -> list[bool]:
    """Return whether each image is anomalous by a label file."""
    from vaegan.applications.label_files import label_paths

    found = label_paths(paths, labels)
    for path, text in zip(paths, found, strict=True):
        if text.lower() not in TRUTHS:
            problem = f"{make_printable(path)} has the label {shorten(text)}"
            raise UserError(f"--labels {make_printable(labels)}: {problem}; allowed: {', '.join(TRUTHS)}")
    return [TRUTHS[text.lower()] for text in found]


def _find_classes(files: "Sequence[ImageFile]", anomalous: str) -> list[bool]:
    """Return whether each image lies in one of the class folders of --anomalous."""
    wanted = {make_encodable(name.strip()) for name in anomalous.split(",")}
    present = {file.label for file in files if file.label is not None}
    if missing := sorted(wanted - present):
        named = to_one_line(", ".join(sorted(present)), 300) or "none, since images were named by themselves"
        raise UserError(f"--anomalous {shorten(missing[0])}: no class folder of these images; there are {named}")
    return [file.label in wanted for file in files]
