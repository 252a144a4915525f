"""The work of the command `compare`, and of `vaegan.api`; all processes of a launch do it together."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vaegan.distributed import run_on_main
from vaegan.errors import Interrupted
from vaegan.extras import check_comparison_packages
from vaegan.progress import Reporter

from .destinations import check_is_no_other
from .runs import check_ema_metric, check_run_destination, check_step_inputs, train_run

if TYPE_CHECKING:
    from vaegan.config import Config
    from vaegan.config.load_study_files import LoadedStudy
    from vaegan.data import Data
    from vaegan.evaluate.comparing.comparison import Comparison
    from vaegan.storage.run_folder import Run


def compare_study(
    loaded: "LoadedStudy",
    folder: Path,
    reporter: Reporter,
    command: str | None = None,
    train_ahead: "Callable[[Mapping[Path, Config]], None] | None" = None,
    allow_other_data: bool = False,
    show: "Callable[[Comparison], None] | None" = None,
) -> "Comparison | None":
    """Train and evaluate those runs of a study that are not finished, and write its comparison and report.

    Args:
        loaded: The study.
        folder: Folder of the study.
        reporter: Shows progress and notes.
        command: Command line, for the record; None: the study is run from Python.
        train_ahead: Function that trains several runs, given by their folders, side by side; None: they are trained one
            after another.
        allow_other_data: Whether to go on with images that are not those of the study's runs.
        show: Called on rank 0 with the comparison before it is written; None: nothing is.

    Returns:
        The comparison; None on processes of another rank than 0.

    Raises:
        UserError: The variants are not matched, or a folder holds another run.
        Failure: A training or an evaluation failed; what is finished is kept.
        Interrupted: A training was asked to stop.
    """
    run_on_main(lambda: check_is_no_other(folder, "ablation.json", "an ablation"))
    study, configs, classifier = prepare_study(loaded, folder)
    from vaegan.evaluate.study import compare
    from vaegan.trainers.log.tracking import Tracker
    from vaegan.trainers.steps import build_step

    for name in ("WANDB_RUN_ID", "WANDB_SWEEP_ID"):  # ids of a single run, and a study has several
        os.environ.pop(name, None)

    def train_or_stop(variant: "Config", run: Path, data: "Data", resume: bool) -> "Run":
        try:
            return train_run(variant, run, reporter, data, resume=resume)
        except Interrupted as stop:
            raise Interrupted(f"{folder}: stopped in {run}; the same command goes on", stop.on_all_ranks) from stop

    return compare(
        study, configs, folder, train_or_stop, reporter, command, classifier,
        lambda variant, run: Tracker.start(variant, run, None, reporter.note), train_ahead, allow_other_data,
        show, lambda variant, data: build_step(variant).check_data(data),
    )  # fmt: skip


def prepare_study(loaded: "LoadedStudy", folder: Path) -> "LoadedStudy":
    """Check that the runs of a study can be trained and written into a folder, and return it with matched `flops`.

    This is done before its images are read.

    Raises:
        UserError: The folder holds a run or lies in that of the images, a package or an input of a training is missing,
            `train.ema_metric` cannot choose, or operations that are to be matched cannot be counted.
        FileFailure: No file can be created in the folder.
    """
    study, configs, classifier = loaded
    check_comparison_packages(configs.values())
    run_on_main(lambda: check_is_no_other(folder, "config.yaml", "a run"))
    run_on_main(lambda: check_run_destination(folder, *configs.values()))
    for name, variant in configs.items():
        if study.variants[name].prior is None:  # a prior's autoencoder is trained first, in this study
            check_step_inputs(variant)
        check_ema_metric(variant, classifier and classifier[0])
    if "flops" not in study.matched:
        return loaded
    from .training_flops import match_flops  # the counter costs a second to import

    return loaded._replace(configs=match_flops(configs))
