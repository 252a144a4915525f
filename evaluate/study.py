"""A study: every variant trained for every seed at the same budget, evaluated alike, and compared."""

import json
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

from vaegan.config import Config, StudyConfig
from vaegan.config.schema import PriorConfig
from vaegan.data import Data
from vaegan.distributed import broadcast_from_main, init_process_group, run_on_all_ranks, run_on_main
from vaegan.errors import UserError
from vaegan.io import write_text
from vaegan.long_work import run_long_on_main
from vaegan.progress import Reporter
from vaegan.storage.adopted_settings import adopt_settings
from vaegan.storage.loading import load_classifier
from vaegan.storage.run_data import open_study_data
from vaegan.storage.run_folder import Run, read_description
from vaegan.text import make_encodable

from .augmentation import AUGMENTATION
from .comparing.comparison import Comparison
from .comparing.matching import check_matched, match_steps
from .complete_runs import Train, check_run_folders, complete_run
from .metrics.build import check_metrics
from .metrics.lpips import check_lpips_networks_differ
from .negative_controls import evaluate_negative_controls
from .one_pass import get_device
from .publish import StartPublisher, publish
from .report.report import write_report
from .result import EvaluatedRun
from .run_evaluation import check_features, check_images, evaluate_finished_run, evaluate_run, refit_density
from .training_cost import measure_step_seconds

TIMED_STEPS = 50
"""Optimizer steps of the run that a variant's speed is measured with."""
TIMED_PARTS = 5
"""Lines of `timing.jsonl` of that run; the first one is not counted."""


def compare(
    study: StudyConfig,
    configs: Mapping[str, Config],
    output: Path,
    train: Train,
    reporter: Reporter,
    command: str | None = None,
    features: tuple[str, Config] | None = None,
    start_publisher: StartPublisher | None = None,
    train_ahead: Callable[[Mapping[Path, Config]], None] | None = None,
    allow_other_data: bool = False,
    show: Callable[[Comparison], None] | None = None,
    check_data: Callable[[Config, Data], None] | None = None,
) -> Comparison | None:
    """Train and evaluate all unfinished runs, and write `comparison.json`, `report.html`, tables and pictures.

    Every process of a launch takes part in training and evaluation; rank 0 alone writes.

    Args:
        study: Variants and seeds.
        configs: Config of each variant, in the study's order.
        output: Folder of the study; the runs are OUTPUT/<variant>/seed_<seed>.
        train: Function that trains a run.
        reporter: Receiver of notes and progress.
        command: Command line, for the record.
        features: Name and config of the classifier of `study.features`; its run is OUTPUT/features/<name>.
        start_publisher: Function that opens a run of a tracker for the comparison; None: it is not published.
        train_ahead: Function that trains several runs, given by their folders, before ``train`` goes over them; None:
            ``train`` trains them one after another.
        allow_other_data: Whether to go on with images that are not those of the runs that are there.
        show: Called on rank 0 with the comparison before it is written; None: nothing is.
        check_data: Function that raises a UserError if a config cannot be trained on the images, called before the
            first training; None: they are not checked.

    Returns:
        The comparison; None on processes of another rank.

    Raises:
        UserError: The variants are not matched, or a folder holds another run.
        Failure: A training or an evaluation failed; what is finished is kept.
        Interrupted: A training was asked to stop.
    """
    data, configs, planned = train_study(
        study, configs, output, train, reporter, features, train_ahead, allow_other_data, check_data
    )
    first = next(iter(configs.values()))

    def evaluate(folder: Path) -> EvaluatedRun:
        shared = output / AUGMENTATION / folder.name
        return evaluate_finished_run(Run(folder), planned[folder], data, train, shared, reporter)

    evaluated = {name: {seed: evaluate(get_run_folder(output, name, seed)) for seed in study.seeds} for name in configs}
    controls = evaluate_negative_controls(output / "controls", first.evaluate, data, reporter)
    densities = {name: refit_density(runs[study.seeds[0]], data, reporter) for name, runs in evaluated.items()}

    def write() -> Comparison:
        page = output / "report.html"
        comparison = Comparison(study, evaluated, controls, command, densities, page)
        if show is not None:
            show(comparison)
        write_comparison(comparison, output / "comparison.json")
        write_report(comparison, data, page, reporter.note)
        if start_publisher is not None:
            publish(comparison, data, output, start_publisher)
        return comparison

    return run_long_on_main(write)


def train_study(
    study: StudyConfig,
    configs: Mapping[str, Config],
    output: Path,
    train: Train,
    reporter: Reporter,
    features: tuple[str, Config] | None = None,
    train_ahead: Callable[[Mapping[Path, Config]], None] | None = None,
    allow_other_data: bool = False,
    check_data: Callable[[Config, Data], None] | None = None,
) -> tuple[Data, dict[str, Config], dict[Path, Config]]:
    """Train all runs of a study that are not finished, in the order in which they need each other.

    The arguments are those of `compare`.

    Returns:
        The images; the config of each variant as it was trained, with its number of steps and the features of its
        metrics; and the config of each run by its folder.

    Raises:
        UserError: The variants are not matched, one cannot be trained on the images or is measured by the features that
            its discriminator is trained on, or a folder holds another run.
        Failure: A training failed; what is finished is kept.
        Interrupted: A training was asked to stop.
    """
    folders = [*plan_runs(study, configs, output), *(output / "wall_clock" / name for name in configs)]
    folders += [output / "features" / features[0]] if features is not None else []
    configs = {name: adopt_settings(config, *folders) for name, config in configs.items()}
    features = features and (features[0], adopt_settings(features[1], *folders))
    init_process_group()
    started = [run for run in map(Run, folders) if run.exists]
    data = open_study_data(next(iter(configs.values())), started, reporter, allow_other_data)

    def train_runs(runs: Mapping[Path, Config]) -> None:
        run_on_all_ranks(lambda: check_run_folders(runs))
        trained = {folder: config for folder, config in runs.items() if config.train.steps}
        for folder in (folder for folder in runs if folder not in trained):  # first: one may be damaged
            complete_run(runs[folder], folder, data, train, reporter)
        if train_ahead is not None:
            run_on_main(lambda: hand_out_members(trained, data))
            for has_prior in (False, True):  # the autoencoders of priors are finished first
                train_ahead({folder: c for folder, c in trained.items() if (c.prior is not None) is has_prior})
        for folder, config in trained.items():
            complete_run(config, folder, data, train, reporter)

    check_images(next(iter(configs.values())), data)
    if check_data is not None:
        for name, config in configs.items():
            if not all(Run(get_run_folder(output, name, seed)).finished for seed in study.seeds):
                check_data(config, data)
    if features is not None:
        network = {"features": str(train_classifier(*features, output, data, train, reporter).path)}
        configs = {name: _override(config, evaluate=network) for name, config in configs.items()}
    for config in configs.values():
        check_lpips_networks_differ(config.evaluate, config.model)
        if config.train.discriminator_features is not None:
            run_on_all_ranks(partial(_check_features, config, "evaluate.features" if features is None else "features"))
    run_on_all_ranks(lambda: check_metrics(next(iter(configs.values()))))
    configs = match_wall_clock(study, configs, output, train_runs)
    planned = plan_runs(study, configs, output)
    train_runs(planned)
    return data, configs, planned


def plan_runs(study: StudyConfig, configs: Mapping[str, Config], output: Path) -> dict[Path, Config]:
    """Return the configs of a study's runs by their folders: all variants at the first seed, then all at the second.

    A study that is cut off can then still be compared.

    Raises:
        UserError: The variants are not matched.
    """
    check_matched(configs, study.matched)
    return {
        get_run_folder(output, name, seed): get_seed_config(config, study, output, name, seed)
        for seed in study.seeds
        for name, config in configs.items()
    }


def get_run_folder(output: Path, name: str, seed: int) -> Path:
    """Return the folder of a variant's run."""
    return output / name / f"seed_{seed}"


def get_seed_config(config: Config, study: StudyConfig, output: Path, name: str, seed: int) -> Config:
    """Return a variant's config for one seed; a prior is trained over the study's autoencoder of the same seed."""
    prior, autoencoder = config.prior, study.variants[name].prior
    if autoencoder is not None:
        prior = PriorConfig(autoencoder=get_run_folder(output, autoencoder, seed))
    track = {"group": config.track.group or study.title, "name": f"{name}-seed_{seed}"}
    return _override(config, track=track).model_copy(update={"seed": seed, "prior": prior})


def match_wall_clock(
    study: StudyConfig, configs: Mapping[str, Config], output: Path, train_runs: Callable[[Mapping[Path, Config]], None]
) -> dict[str, Config]:
    """Return the configs with as many steps as take the time of the first that is trained, if `wall_clock` is matched.

    The speed of a variant is measured by `TIMED_STEPS` steps of a run of its own, OUTPUT/wall_clock/<variant>, which is
    trained once, in the same way as the study's runs. Checkpoints, grids and evaluations are not counted. All processes
    do this together.

    Args:
        study: Quantities to match.
        configs: Config of each variant.
        output: Folder of the study.
        train_runs: Function that trains those of some runs, given by their folders, that are not finished.

    Raises:
        UserError: The folder of a timed run holds a run of another config, or its `timing.jsonl` cannot be used.
    """
    if "wall_clock" not in study.matched:
        return dict(configs)
    trained = {name: config for name, config in configs.items() if config.train.steps}
    if not trained:
        return dict(configs)
    folders = {name: output / "wall_clock" / name for name in trained}
    train_runs({folders[name]: _make_timed_config(config) for name, config in trained.items()})
    seconds = broadcast_from_main(
        lambda: {name: measure_step_seconds(Run(folder).timing_file) for name, folder in folders.items()}
    )
    return match_steps(configs, seconds)


def train_classifier(name: str, config: Config, output: Path, data: Data, train: Train, reporter: Reporter) -> Run:
    """Train and evaluate the classifier of a study, with as many classes as the images have, and return its run.

    Raises:
        UserError: The images have no labels, or the folder holds another run.
    """
    config, folder = _override(config, model={"classes": max(2, len(data.classes))}), output / "features" / name
    try:
        run_on_all_ranks(lambda: check_run_folders({folder: config}))
        run = complete_run(config, folder, data, train, reporter)
    except UserError as error:
        raise UserError(f"features: {name}: {error}", error.on_all_ranks) from None
    network = run_on_all_ranks(lambda: load_classifier(run.path)).to(get_device())
    evaluate_run(run, network, config.evaluate, data, reporter)
    return run


def hand_out_members(runs: Iterable[Path], data: Data) -> None:
    """Write the list of a study's images into the folders of runs that other processes will begin.

    They are then trained on the images of the list, whatever has come into the folder since.
    """
    if data.members is not None and data.members.members:
        for run in map(Run, runs):
            if not run.exists:
                run.write_members(data.members)


def write_comparison(comparison: Comparison, path: Path) -> None:
    """Write `comparison.json` atomically."""
    write_text(path, json.dumps(make_encodable(comparison.to_record()), indent=2, allow_nan=False))


def _make_timed_config(config: Config) -> Config:
    """Return the config of a short training that does nothing but steps, without a second average."""
    nothing_else = ("sample_every", "evaluate_every", "checkpoint_every", "second_ema_half_life", "ema_metric")
    train = {"steps": TIMED_STEPS, "log_every": TIMED_STEPS // TIMED_PARTS, **dict.fromkeys(nothing_else)}
    return _override(config, train=train, track={"wandb": "disabled"})


def _override(config: Config, **sections: Mapping[str, object]) -> Config:
    """Return a config with other values of some settings, which are given by section."""
    update = {name: getattr(config, name).model_copy(update=settings) for name, settings in sections.items()}
    return config.model_copy(update=update)


def _check_features(config: Config, source: str) -> None:
    """Check that the classifier of a variant's discriminator is not that of its metrics, which ``source`` names.

    Raises:
        UserError: It is, or it is not there.
    """
    assert config.train.discriminator_features is not None
    run = Run(config.train.discriminator_features)
    check_features(read_description(run.model_folder).sha256, config.evaluate, source)
