"""A study: every variant trained for every seed at the same budget, judged alike, and set side by side."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from vaegan.checkpoints import load_latest, write_text
from vaegan.config import Config, StudyConfig
from vaegan.config.comparing import Settings, differences, flat, training_settings
from vaegan.console import Console
from vaegan.data import Data, open_data
from vaegan.errors import Mistake
from vaegan.processes import by_the_first, join, together
from vaegan.runs import Run

from .comparison import Comparison
from .judging import judge, judge_controls
from .report import write_report

Train = Callable[[Config, Path, Data, bool], Run]
"""Trains a run to its end in a folder; the last argument lets it go on with what lies there."""


def compare(
    study: StudyConfig,
    configs: Mapping[str, Config],
    output: Path,
    train: Train,
    console: Console,
    command: str | None = None,
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

    Returns:
        The comparison; None on processes of another rank.

    Raises:
        Mistake: The variants are not matched, or a folder holds another run.
        Failure: A training or an evaluation failed; what is finished is kept.
        Interrupted: A training was asked to stop.
    """
    check_matched(configs)
    check_seeds(study)
    join()
    planned = {
        name: {seed: of_seed(config, study, name, seed) for seed in study.seeds} for name, config in configs.items()
    }
    some = next(iter(configs.values()))
    with console.progress("Reading images", "images") as progress:
        data = together(lambda: open_data(some.data, console.note, progress))
    runs: dict[str, dict[int, Run]] = {name: {} for name in planned}
    for name, seed, config in _each_seed_first(planned):
        runs[name][seed] = train_run(config, output / name / f"seed_{seed}", data, train, console)
    judged = {
        name: {seed: judge(run, planned[name][seed], data, console) for seed, run in of_name.items()}
        for name, of_name in runs.items()
    }
    controls = judge_controls(output / "controls", some.evaluate, data, console)

    def conclude() -> Comparison:
        comparison = Comparison(study, judged, controls, command)
        write_comparison(comparison, output / "comparison.json")
        write_report(comparison, data, output / "report.html")
        return comparison

    return by_the_first(conclude)


def check_matched(configs: Mapping[str, Config]) -> None:
    """See that the variants differ in what they train, not in what they are given.

    Raises:
        Mistake: Decoder, latent size, images seen, data or evaluation differ.
    """
    (reference, first), *others = configs.items()
    for name, config in others:
        differing = differences(matched_settings(first), matched_settings(config))
        if differing:
            raise Mistake(f"{reference} and {name} are not matched: {differing}; give them one value under `shared:`")


def matched_settings(config: Config) -> Settings:
    """What has to be the same for all variants of a study: name and value of each setting."""
    decoder = {f"model.{key}": getattr(config.model, key) for key in ("network", "width", "depth", "latent_size")}
    seen = {"train.steps * train.batch_size": config.train.steps * config.train.batch_size}
    sections = {"data": config.data.model_dump(mode="json"), "evaluate": config.evaluate.model_dump(mode="json")}
    return decoder | seen | flat(sections)


def check_seeds(study: StudyConfig) -> None:
    """See that no seed is counted twice.

    Raises:
        Mistake: One is.
    """
    twice = {seed for seed in study.seeds if study.seeds.count(seed) > 1}
    if twice:
        raise Mistake(f"seeds: {', '.join(map(str, sorted(twice)))} given twice; list each seed once")


def of_seed(config: Config, study: StudyConfig, name: str, seed: int) -> Config:
    """A variant's config for one seed, tracked in the study's group."""
    track = config.track.model_copy(update={"group": config.track.group or study.title, "name": f"{name}-seed_{seed}"})
    return config.model_copy(update={"seed": seed, "track": track})


def train_run(config: Config, folder: Path, data: Data, train: Train, console: Console) -> Run:
    """The finished run of a config: as it lies there, gone on with, or trained from the beginning.

    Raises:
        Mistake: The folder holds a run of another config or of other images.
    """
    run, name = Run(folder), f"{folder.parent.name}/{folder.name}"
    if not run.finished:
        console.note(f"{name}: {'going on with it' if run.exists else 'training'}")
        return train(config, folder, data, True)
    differing = differences(training_settings(run.config), training_settings(config))
    if differing:
        raise Mistake(f"{folder}: holds another finished run: {differing}; choose another --output")
    checkpoint = load_latest(run.checkpoints, console.note)
    if checkpoint is not None and checkpoint.state["fingerprint"] != data.fingerprint:
        raise Mistake(f"{folder}: was trained on other images than the study's data are now; choose another --output")
    console.note(f"{name}: finished already, kept")
    return run


def write_comparison(comparison: Comparison, path: Path) -> None:
    """Write `comparison.json`; whoever looks finds the old file or the new one."""
    write_text(path, json.dumps(comparison.record(), indent=2, allow_nan=False))


def _each_seed_first(planned: Mapping[str, Mapping[int, Config]]) -> Iterator[tuple[str, int, Config]]:
    """All variants at the first seed, then all at the second: what is cut off is still comparable."""
    for seed in next(iter(planned.values())):
        for name, configs in planned.items():
            yield name, seed, configs[seed]
