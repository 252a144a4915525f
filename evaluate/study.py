"""A study: every variant trained for every seed at the same budget, judged alike, and set side by side."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from vaegan.checkpoints import load_latest, write_text
from vaegan.config import Config, StudyConfig
from vaegan.config.comparing import differences, training_settings
from vaegan.config.schema import PriorConfig
from vaegan.console import Console
from vaegan.data import Data, open_data
from vaegan.errors import Mistake
from vaegan.processes import by_the_first, from_the_first, join, together
from vaegan.runs import Run, load_features

from .comparing.comparison import Comparison
from .comparing.matching import check_matched
from .judging import density_of, evaluate_run, judge, judge_controls, speed
from .metrics.making import see_another_network, see_metrics
from .publishing import Publish, publish
from .report.report import write_report
from .runner import device, see_images

Train = Callable[[Config, Path, Data, bool], Run]
"""Trains a run to its end in a folder; the last argument lets it go on with what lies there."""

TIMED, PARTS = 50, 5
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
        Mistake: The variants are not matched, or a folder holds another run.
        Failure: A training or an evaluation failed; what is finished is kept.
        Interrupted: A training was asked to stop.
    """
    plan_runs(study, configs, output)
    join()
    with console.progress("Reading images", "images") as progress:
        data = together(lambda: open_data(next(iter(configs.values())).data, console.note, progress))

    def trained(runs: Mapping[Path, Config]) -> None:
        together(lambda: see_that_they_are(runs))
        if ahead is not None:
            for over in (False, True):  # what others are trained over is finished first
                ahead({folder: config for folder, config in runs.items() if (config.prior is not None) is over})
        for folder, config in runs.items():
            train_run(config, folder, data, train, console)

    some = next(iter(configs.values()))
    see_images(some, data)
    if features is not None:
        classifier = train_classifier(*features, output, data, train, console)
        update = {"features": str(classifier.path)}
        configs = {
            name: config.model_copy(update={"evaluate": config.evaluate.model_copy(update=update)})
            for name, config in configs.items()
        }
        some = next(iter(configs.values()))
    for config in configs.values():
        see_another_network(config.evaluate, config.model)
    together(lambda: see_metrics(some))
    configs = in_equal_time(study, configs, output, trained)
    planned = plan_runs(study, configs, output)
    trained(planned)
    judged = {
        name: {
            seed: judge(Run(folder), planned[folder], data, console)
            for seed in study.seeds
            for folder in [folder_of(output, name, seed)]
        }
        for name in configs
    }
    controls = judge_controls(output / "controls", some.evaluate, data, console)
    densities = {name: density_of(runs[study.seeds[0]], data, console) for name, runs in judged.items()}

    def conclude() -> Comparison:
        known = {name: density for name, density in densities.items() if density is not None}
        comparison = Comparison(study, judged, controls, command, known)
        write_comparison(comparison, output / "comparison.json")
        write_report(comparison, data, output / "report.html", console.note)
        if tracked is not None:
            publish(comparison, data, output, tracked)
        return comparison

    return by_the_first(conclude)


def plan_runs(study: StudyConfig, configs: Mapping[str, Config], output: Path) -> dict[Path, Config]:
    """The runs of a study by their folders: all variants at the first seed, then all at the second.

    What is cut off is then still comparable.

    Raises:
        Mistake: The variants are not matched.
    """
    check_matched(configs, study.matched)
    return {
        folder_of(output, name, seed): of_seed(config, study, output, name, seed)
        for seed in study.seeds
        for name, config in configs.items()
    }


def folder_of(output: Path, name: str, seed: int) -> Path:
    """The folder of a variant's run."""
    return output / name / f"seed_{seed}"


def of_seed(config: Config, study: StudyConfig, output: Path, name: str, seed: int) -> Config:
    """A variant's config for one seed, tracked in the study's group, and over that seed's run of another variant."""
    prior, over = config.prior, study.variants[name].prior
    if over is not None:
        prior = PriorConfig(autoencoder=folder_of(output, over, seed))
    track = config.track.model_copy(update={"group": config.track.group or study.title, "name": f"{name}-seed_{seed}"})
    return config.model_copy(update={"seed": seed, "track": track, "prior": prior})


def in_equal_time(
    study: StudyConfig,
    configs: Mapping[str, Config],
    output: Path,
    trained: Callable[[Mapping[Path, Config]], None],
) -> dict[str, Config]:
    """The variants, each with as many steps as take the time of the first one's, where the study matches that.

    The speed of each is that of `TIMED` steps of a run of its own, OUTPUT/wall_clock/<variant>, which is made once and
    as the study's runs are. Checkpoints, grids and evaluations are not counted. All processes do this together.

    Args:
        study: What is matched.
        configs: The config of each variant.
        output: Folder of the study.
        trained: Trains runs, by their folders, as far as they are not finished.

    Raises:
        Mistake: Such a run is there with another config.
    """
    if "wall_clock" not in study.matched:
        return dict(configs)
    runs = {name: output / "wall_clock" / name for name in configs}
    trained({runs[name]: _timed(config) for name, config in configs.items()})
    seconds = from_the_first(lambda: {name: speed(Run(folder).timing_file) for name, folder in runs.items()})
    reference, first = next(iter(configs.items()))
    steps = {name: max(1, round(first.train.steps * seconds[reference] / own)) for name, own in seconds.items()}
    return {
        name: config.model_copy(update={"train": config.train.model_copy(update={"steps": steps[name]})})
        for name, config in configs.items()
    }


def _timed(config: Config) -> Config:
    """A short training that does nothing but steps."""
    nothing_else = dict.fromkeys(("sample_every", "evaluate_every", "checkpoint_every"))
    update = {"steps": TIMED, "log_every": TIMED // PARTS, **nothing_else}
    return config.model_copy(
        update={
            "train": config.train.model_copy(update=update),
            "track": config.track.model_copy(update={"wandb": "disabled"}),
        }
    )


def train_classifier(name: str, config: Config, output: Path, data: Data, train: Train, console: Console) -> Run:
    """The classifier of a study, finished and measured, with as many classes as the images have.

    Raises:
        Mistake: They have no labels.
    """
    model = config.model.model_copy(update={"classes": max(2, len(data.classes))})
    config, folder = config.model_copy(update={"model": model}), output / "features" / name
    try:
        together(lambda: see_that_they_are({folder: config}))
        run = train_run(config, folder, data, train, console)
    except Mistake as mistake:
        raise Mistake(f"features: {name}: {mistake}", mistake.everywhere) from None
    network = together(lambda: load_features(run.path)).to(device())
    evaluate_run(run, network, config.evaluate, data, console)
    return run


def see_that_they_are(runs: Mapping[Path, Config]) -> None:
    """See that no folder holds another run than its own, before any is trained.

    Raises:
        Mistake: One does.
    """
    for folder, config in runs.items():
        if not (run := Run(folder)).exists:
            continue
        if differing := differences(training_settings(run.config), training_settings(config)):
            raise Mistake(f"{folder}: holds another run: {differing}; choose another --output")


def train_run(config: Config, folder: Path, data: Data, train: Train, console: Console) -> Run:
    """The finished run of a config: as it lies there, gone on with, or trained from the beginning.

    Raises:
        Mistake: The folder holds a run of other images.
    """
    run, name = Run(folder), f"{folder.parent.name}/{folder.name}"
    if not run.finished:
        console.note(f"{name}: {'going on with it' if run.exists else 'training'}")
        return train(config, folder, data, True)
    checkpoint = load_latest(run.checkpoints, console.note)
    if checkpoint is not None and checkpoint.state["fingerprint"] != data.fingerprint:
        raise Mistake(f"{folder}: was trained on other images than the study's data are now; choose another --output")
    console.note(f"{name}: finished already, kept")
    return run


def write_comparison(comparison: Comparison, path: Path) -> None:
    """Write `comparison.json`; whoever looks finds the old file or the new one."""
    write_text(path, json.dumps(comparison.record(), indent=2, allow_nan=False))
