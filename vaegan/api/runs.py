"""The interface to runs and studies: train, evaluate, compare and ablate them."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vaegan.config import Config, StudyConfig
from vaegan.config.load import load_config, nest_settings
from vaegan.config.load_ablation import load_ablation
from vaegan.config.load_study_files import load_study
from vaegan.config.recipes import describe_recipes, get_default_folder
from vaegan.data.given import GivenImages, describe_given
from vaegan.distributed import init_process_group
from vaegan.entry import python_entry
from vaegan.errors import UserError
from vaegan.extras import check_training_packages
from vaegan.networks.given import GivenNetworks, add_networks
from vaegan.notebook import make_reporter
from vaegan.paths import expand_path
from vaegan.storage.adopted_settings import adopt_settings
from vaegan.storage.run_data import open_training_data
from vaegan.storage.run_folder import Run
from vaegan.workflows.ablation import run_ablation
from vaegan.workflows.runs import check_step_inputs, evaluate_folder, is_finished, read_evaluation_config, train_run
from vaegan.workflows.study import compare_study

from .models import RunPath, find_run

if TYPE_CHECKING:  # the packages that these import are not installed everywhere
    from vaegan.evaluate.ablation import Ablation
    from vaegan.evaluate.comparing.comparison import Comparison
    from vaegan.evaluate.result import EvaluationResult
    from vaegan.workflows.ablation_plan import Plan


@python_entry
def train(
    config: str | Path | Mapping[str, Any] | Config,
    settings: Mapping[str, Any] | None = None,
    *,
    output: str | Path | None = None,
    data: GivenImages | None = None,
    networks: GivenNetworks | None = None,
    resume: bool = False,
    extend: bool = False,
    allow_other_data: bool = False,
    progress: bool = True,
) -> Run:
    """Train a run to its end, and return it.

    Args:
        config: A recipe (`vaegan.recipes` lists them), the path of a YAML file, nested settings, or a `Config`.
        settings: Settings that replace those of the config: ``{"train.steps": 500, "model.latent_size": 16}``.
        output: The run's folder; None: runs/NAME, after the recipe or the file.
        data: Images in the place of those that the config names: a uint8 array or tensor of shape (N, C, S, S), a pair
            of one and N integer labels, or a data set with random access, whose items are such images (C, S, S) or PIL
            images, alone or in a pair with a label. They are resized if ``settings`` has another `data.image_size`.
        networks: Modules in the place of those that the config describes, by the names ``encoder``, ``decoder`` and
            ``discriminator``; `vaegan.networks.given` says what each must do. They are copied.
        resume: Go on from the newest checkpoint in the folder; begin if there is none.
        extend: Let a resumed run have more `train.steps` than it was started with.
        allow_other_data: Let a resumed run go on although images are missing or have other labels. Other images take
            the places of missing ones; new images are ignored.
        progress: Whether a bar is shown.

    Raises:
        UserError: A setting or an argument is wrong, or the folder holds another run.
        Failure: A gradient is not finite, a file cannot be read or written, or another process has ended.
        Interrupted: A signal, such as a notebook's stop button, asked the training to stop; a checkpoint was written.
    """
    overrides, reporter = nest_settings(settings or {}), make_reporter(progress)
    if data is not None:
        overrides = describe_given(data, overrides)
    folder = get_default_folder(config) if output is None else expand_path("output", output)
    images = None
    resolved = adopt_settings(load_config(config, overrides), folder)
    check_training_packages(resolved)
    init_process_group()
    resolved = add_networks(resolved, networks)
    if data is not None:
        if not (resume and Run(folder).finished):
            check_step_inputs(resolved, networks)  # before all images are read
        images, resolved = open_training_data(resolved, folder, reporter, data, allow_other_data=allow_other_data)
    if not is_finished(folder, resolved, resume=resume, extend=extend):
        check_step_inputs(resolved, networks)
        train_run(
            resolved, folder, reporter, images, networks, resume=resume, extend=extend,
            allow_other_data=allow_other_data,
        )  # fmt: skip
    return Run(folder.absolute())


@python_entry
def evaluate_run(
    run: RunPath,
    *,
    metrics: str | Sequence[str] | None = None,
    samples: int | None = None,
    split: str | None = None,
    features: RunPath | None = None,
    density: str | None = None,
    data: GivenImages | None = None,
    networks: GivenNetworks | None = None,
    data_root: str | Path | None = None,
    allow_other_data: bool = False,
    native_size: bool = False,
    progress: bool = True,
) -> "EvaluationResult":
    """Evaluate the trained model of a run, write `metrics.json` into its folder, and return the result.

    `EvaluationResult.metrics` is a dictionary of numbers by name, `EvaluationResult.protocol` every choice that they
    depend on. An argument that is None has the value of the run's own config, section `evaluate`.

    Args:
        run: The run, or its folder.
        metrics: Metrics to compute, such as ``["psnr", "lpips", "sharpness"]``.
        samples: Number of images to sample, and the largest number to reconstruct.
        split: ``train``, ``validation`` or ``test``.
        features: ``inception``, or a run of `vaegan train-features`.
        density: Density over the codes that samples are drawn from: ``gaussian``, ``gmm`` or ``gmm:K``.
        data: The images of a run that was given its images.
        networks: The modules of a run that was given modules; their weights are replaced by the trained ones.
        data_root: Folder that the run's images have moved to, which is remembered.
        allow_other_data: Evaluate even if the images are not those that the run was trained on; the protocol then says
            so. Images that it was trained on are in no other split.
        native_size: Measure reconstructions of the image files in their own sizes, and nothing else; for codes that
            are grids.
        progress: Whether a bar is shown.

    Raises:
        UserError: There is no trained model, the images are not the run's, or nothing can be measured.
        Failure: A result is not finite, or a file cannot be read or written.
    """
    if native_size and density is not None:
        raise UserError("density: samples have one size; leave it out, or native_size")
    settings = {
        "metrics": [metrics] if isinstance(metrics, str) else metrics, "samples": samples, "split": split,
        "features": features and os.fspath(features), "density": density,
    }  # fmt: skip
    folder, reporter = find_run(run), make_reporter(progress)
    config = read_evaluation_config(folder, settings)
    init_process_group()
    return evaluate_folder(
        folder, config, reporter, None, networks, images=data,
        data_root=None if data_root is None else expand_path("data_root", data_root), allow_other_data=allow_other_data,
        native_size=native_size,
    )  # fmt: skip


@python_entry
def compare(
    study: str | Path | Mapping[str, Any] | StudyConfig,
    settings: Mapping[str, Any] | None = None,
    *,
    output: str | Path | None = None,
    allow_other_data: bool = False,
    progress: bool = True,
) -> "Comparison | None":
    """Train and evaluate every variant of a study for every seed, and return their comparison.

    Finished runs in the folder are kept, interrupted ones resumed. `Comparison.to_dataframe` has the metrics of every
    run, `Comparison.list_sentences` the verdicts; the folder gets `comparison.json` and the page `report.html`.

    Args:
        study: A recipe of a study, the path of a YAML file, nested settings, or a `StudyConfig`.
        settings: Settings that replace those of the study; those of a run (``{"train.steps": 500}``) apply to every
            variant, others (``{"seeds": [0, 1]}``) to the study.
        output: Folder of the study; None: runs/NAME, after the recipe or the file.
        allow_other_data: Go on although the images are not those that the runs in the folder were trained on.
        progress: Whether bars are shown.

    Returns:
        The comparison; None on processes of another rank than 0.

    Raises:
        UserError: A setting is wrong, the variants are not matched, or a folder holds another run.
        Failure: A training or an evaluation failed; what is finished is kept.
        Interrupted: A training was asked to stop; calling the function again goes on.
    """
    loaded, reporter = load_study(study, nest_settings(settings or {})), make_reporter(progress)
    init_process_group()
    folder = get_default_folder(study) if output is None else expand_path("output", output)
    return compare_study(loaded, folder, reporter, allow_other_data=allow_other_data)


@python_entry
def ablate(
    ablation: str | Path | Mapping[str, Any],
    settings: Mapping[str, Any] | None = None,
    *,
    output: str | Path | None = None,
    allow_other_data: bool = False,
    progress: bool = True,
) -> "Ablation | None":
    """Screen the changes of an ablation and their sum, confirm those that are better, and return the ablation.

    Finished runs in the folder are kept, interrupted ones resumed. `Ablation.to_dataframe` has the effects with their
    intervals, `Ablation.list_sentences` the outcome; the folder gets `report.html`, `effects.csv`, `effects.png` and
    `ablation.json`. Everything is evaluated on validation images.

    Args:
        ablation: A recipe of an ablation, the path of a YAML file, or nested settings.
        settings: Settings that replace those of the ablation; those of a run (``{"model.width": 16}``) apply to the
            base, others (``{"screen.steps": 500}``) to the ablation.
        output: Folder of the runs; None: runs/NAME, after the recipe or the file.
        allow_other_data: Go on although the images are not those that the runs in the folder were trained on.
        progress: Whether bars are shown.

    Returns:
        The ablation; None on processes of another rank than 0.

    Raises:
        UserError: A setting is wrong, or a folder holds another run.
        Failure: A training or an evaluation failed; what is finished is kept.
        Interrupted: A training was asked to stop; calling the function again goes on.
    """
    loaded, reporter = load_ablation(ablation, nest_settings(settings or {})), make_reporter(progress)
    init_process_group()
    folder = get_default_folder(ablation) if output is None else expand_path("output", output)

    def show_plan(plan: "Plan") -> None:
        for line in plan.list_lines():
            reporter.note(line)

    return run_ablation(loaded, folder, reporter, allow_other_data=allow_other_data, show_plan=show_plan)


def recipes() -> dict[str, str]:
    """Return what each shipped recipe trains, in one line, by the recipe's name."""
    return describe_recipes()
