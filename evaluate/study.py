"""A study: every variant trained for every seed at the same budget, judged alike, and set side by side."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from vaegan.cli.console import Console
from vaegan.config import Config, StudyConfig
from vaegan.config.differences import describe_differences, get_training_settings
from vaegan.config.schema import PriorConfig
from vaegan.data import Data, open_data
from vaegan.distributed import broadcast_from_main, init_process_group, run_on_all_ranks, run_on_main
from vaegan.errors import UserError
from vaegan.io import write_text
from vaegan.storage.checkpoints import load_newest_checkpoint
from vaegan.storage.loading import load_classifier
from vaegan.storage.runs import Run

from .comparing.comparison import Comparison
from .comparing.matching import check_matched
from .metrics.build import check_lpips_networks_differ, check_metrics
from .model import check_images, get_device
from .publish import Publish, publish
from .report.report import write_report
from .run import evaluate_finished_run, evaluate_negative_controls, evaluate_run, measure_step_seconds, refit_density

Train = Callable[[Config, Path, Data, bool], Run]
"""Trains a run to its end in a folder; the last argument lets it go on with what lies there."""

TIMED_STEPS, TIMED_PARTS = 50, 5
"""Optimizer steps by which a variant's speed is measured, and into how many parts they are divided."""


def compare(
    study: StudyConfig,
    configs: Mapping[str, Config],
    output: Path,
    train: Train,
    console: Console,
    command: str | None = None,
    features: tuple[str, Config] | None = None,
    tracked: Publish | None = None,
    ahead: Callable[[Mapping[Path, Config]], None] | None = None,
) -> Comparison | None:
    """Train what is not finished, judge what is not judged, and write `comparison.json` and `report.html`.

    Every process of a launch takes part in training and judging; the first one, of rank 0, alone writes.

    Args:
        study: The variants and the seeds.
        configs: The config of each variant, in the study's order.
        output: Folder of the study; the runs are OUTPUT/<variant>/seed_<seed>.
        train: How a run is trained.
        console: Where notes and progress go.
        command: The command line, for the record.
        features: Name and config of the classifier of `study.features`; its run is OUTPUT/features/<name>.
        tracked: How the study is shown in a tracker; None: it is not.
        ahead: Trains the runs, by their folders, in another way; None: ``train`` does, one after another.

    Returns:
        The comparison; None on processes of another rank.

    Raises:
        UserError: The variants are not matched, or a folder holds another run.
        Failure: A training or an evaluation failed; what is finished is kept.
        Interrupted: A training was asked to stop.
    """
    plan_runs(study, configs, output)
    init_process_group()
    with console.progress("Reading images", "images") as progress:
        data = run_on_all_ranks(lambda: open_data(next(iter(configs.values())).data, console.note, progress))

    def trained(runs: Mapping[Path, Config]) -> None:
        run_on_all_ranks(lambda: check_run_folders(runs))
        if ahead is not None:
            for over in (False, True):  # what others are trained over is finished first
                ahead({folder: config for folder, config in runs.items() if (config.prior is not None) is over})
        for folder, config in runs.items():
            train_run(config, folder, data, train, console)

    some = next(iter(configs.values()))
    check_images(some, data)
    if features is not None:
        classifier = train_classifier(*features, output, data, train, console)
        update = {"features": str(classifier.path)}
        configs = {
            name: config.model_copy(update={"evaluate": config.evaluate.model_copy(update=update)})
            for name, config in configs.items()
        }
        some = next(iter(configs.values()))
    for config in configs.values():
        check_lpips_networks_differ(config.evaluate, config.model)
    run_on_all_ranks(lambda: check_metrics(some))
    configs = match_wall_clock(study, configs, output, trained)
    planned = plan_runs(study, configs, output)
    trained(planned)
    judged = {
        name: {
            seed: evaluate_finished_run(Run(folder), planned[folder], data, console)
            for seed in study.seeds
            for folder in [get_run_folder(output, name, seed)]
        }
        for name in configs
    }
    controls = evaluate_negative_controls(output / "controls", some.evaluate, data, console)
    densities = {name: refit_density(runs[study.seeds[0]], data, console) for name, runs in judged.items()}

    def conclude() -> Comparison:
        known = {name: density for name, density in densities.items() if density is not None}
        comparison = Comparison(study, judged, controls, command, known)
        write_comparison(comparison, output / "comparison.json")
        write_report(comparison, data, output / "report.html", console.note)
        if tracked is not None:
            publish(comparison, data, output, tracked)
        return comparison

    return run_on_main(conclude)


def plan_runs(study: StudyConfig, configs: Mapping[str, Config], output: Path) -> dict[Path, Config]:
    """The runs of a study by their folders: all variants at the first seed, then all at the second.

    What is cut off is then still comparable.

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
    """The folder of a variant's run."""
    return output / name / f"seed_{seed}"


def get_seed_config(config: Config, study: StudyConfig, output: Path, name: str, seed: int) -> Config:
    """A variant's config for one seed, tracked in the study's group, and over that seed's run of another variant."""
    prior, over = config.prior, study.variants[name].prior
    if over is not None:
        prior = PriorConfig(autoencoder=get_run_folder(output, over, seed))
    track = config.track.model_copy(update={"group": config.track.group or study.title, "name": f"{name}-seed_{seed}"})
    return config.model_copy(update={"seed": seed, "track": track, "prior": prior})


def match_wall_clock(
    study: StudyConfig,
    configs: Mapping[str, Config],
    output: Path,
    trained: Callable[[Mapping[Path, Config]], None],
) -> dict[str, Config]:
    """The variants, each with as many steps as take the time of the first one's, where the study matches that.

    The speed of each is that of `TIMED_STEPS` steps of a run of its own, OUTPUT/wall_clock/<variant>, which is made once and
    as the study's runs are. Checkpoints, grids and evaluations are not counted. All processes do this together.

    Args:
        study: What is matched.
        configs: The config of each variant.
        output: Folder of the study.
        trained: Trains runs, by their folders, as far as they are not finished.

    Raises:
        UserError: Such a run is there with another config.
    """
    if "wall_clock" not in study.matched:
        return dict(configs)
    runs = {name: output / "wall_clock" / name for name in configs}
    trained({runs[name]: _timed(config) for name, config in configs.items()})
    seconds = broadcast_from_main(
        lambda: {name: measure_step_seconds(Run(folder).timing_file) for name, folder in runs.items()}
    )
    reference, first = next(iter(configs.items()))
    steps = {name: max(1, round(first.train.steps * seconds[reference] / own)) for name, own in seconds.items()}
    return {
        name: config.model_copy(update={"train": config.train.model_copy(update={"steps": steps[name]})})
        for name, config in configs.items()
    }


def _timed(config: Config) -> Config:
    """A short training that does nothing but steps."""
    nothing_else = dict.fromkeys(("sample_every", "evaluate_every", "checkpoint_every"))
    update = {"steps": TIMED_STEPS, "log_every": TIMED_STEPS // TIMED_PARTS, **nothing_else}
    return config.model_copy(
        update={
            "train": config.train.model_copy(update=update),
            "track": config.track.model_copy(update={"wandb": "disabled"}),
        }
    )


def train_classifier(name: str, config: Config, output: Path, data: Data, train: Train, console: Console) -> Run:
    """The classifier of a study, finished and measured, with as many classes as the images have.

    Raises:
        UserError: They have no labels.
    """
    model = config.model.model_copy(update={"classes": max(2, len(data.classes))})
    config, folder = config.model_copy(update={"model": model}), output / "features" / name
    try:
        run_on_all_ranks(lambda: check_run_folders({folder: config}))
        run = train_run(config, folder, data, train, console)
    except UserError as mistake:
        raise UserError(f"features: {name}: {mistake}", mistake.on_all_ranks) from None
    network = run_on_all_ranks(lambda: load_classifier(run.path)).to(get_device())
    evaluate_run(run, network, config.evaluate, data, console)
    return run


def check_run_folders(runs: Mapping[Path, Config]) -> None:
    """See that no folder holds another run than its own, before any is trained.

    Raises:
        UserError: One does.
    """
    for folder, config in runs.items():
        if not (run := Run(folder)).exists:
            continue
        if differing := describe_differences(get_training_settings(run.config), get_training_settings(config)):
            raise UserError(f"{folder}: holds another run: {differing}; choose another --output")


def train_run(config: Config, folder: Path, data: Data, train: Train, console: Console) -> Run:
    """The finished run of a config: as it lies there, gone on with, or trained from the beginning.

    Raises:
        UserError: The folder holds a run of other images.
    """
    run, name = Run(folder), f"{folder.parent.name}/{folder.name}"
    if not run.finished:
        console.note(f"{name}: {'going on with it' if run.exists else 'training'}")
        return train(config, folder, data, True)
    checkpoint = load_newest_checkpoint(run.checkpoints, console.note)
    if checkpoint is not None and checkpoint.state["fingerprint"] != data.fingerprint:
        raise UserError(f"{folder}: was trained on other images than the study's data are now; choose another --output")
    console.note(f"{name}: finished already, kept")
    return run


def write_comparison(comparison: Comparison, path: Path) -> None:
    """Write `comparison.json`; whoever looks finds the old file or the new one."""
    write_text(path, json.dumps(comparison.record(), indent=2, allow_nan=False))
