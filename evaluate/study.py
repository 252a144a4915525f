"""A study: every variant trained for every seed at the same budget, judged alike, and set side by side."""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

import vaegan
from vaegan.checkpoints import digest, load_latest, write_text
from vaegan.config import Config, StudyConfig
from vaegan.config.comparing import Settings, differences, flat, training_settings
from vaegan.config.models import VAEGANConfig
from vaegan.config.schema import EvaluateConfig
from vaegan.console import Console, Update, silent
from vaegan.data import Data, open_data
from vaegan.errors import Mistake
from vaegan.files import json_lines
from vaegan.images import to_float
from vaegan.models import Autoencoder
from vaegan.models.vaegan import build_discriminator
from vaegan.processes import by_the_first, from_the_first, join, together
from vaegan.runs import WEIGHTS, Run, load

from .comparison import Comparison, Judged
from .perceptual import backbone
from .report import write_report
from .runner import Evaluation, device, evaluate, read_metrics, versions, write_metrics
from .sharpness import kurtosis_gap, laplacian_gap, moments, spectrum, spectrum_error, statistics
from .sums import Sums, added

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

    def conclude() -> Comparison:
        with console.progress("Measuring real images", "images") as progress:
            floor = real_against_real(data, some.evaluate, progress)
        comparison = Comparison(study, judged, floor, command)
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


def judge(run: Run, config: Config, data: Data, console: Console) -> Judged:
    """A finished run with its figures and its price; all processes do this together."""
    model = together(lambda: load(run.path)).to(device())
    evaluation = evaluate_run(run, model, config.evaluate, data, console)
    seconds, memory = from_the_first(lambda: price(run.timing_file))
    return Judged(run, config, evaluation, seconds, memory, count_parameters(model, config))


def price(timing: Path) -> tuple[float, float]:
    """Seconds and bytes that a training took.

    Raises:
        Mistake: The file does not say so.
    """
    try:
        seconds, memory = ([float(line[key]) for line, _ in json_lines(timing)] for key in ("seconds", "memory_bytes"))
        if not all(0 <= value < math.inf for value in (*seconds, *memory)):
            raise ValueError("numbers that no clock shows")
        return sum(seconds), max(memory)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise Mistake(f"{timing}: not what a training writes; train the run again") from None


def evaluate_run(run: Run, model: Autoencoder, config: EvaluateConfig, data: Data, console: Console) -> Evaluation:
    """The evaluation of a run's exported model, in its `metrics.json`; all processes make it together.

    What lies there is used again if it was made with the same weights (the model's and those of LPIPS), images,
    settings and versions, on the same kind of device.
    """

    def look() -> tuple[dict[str, Any], Evaluation | None]:
        origin = {
            "weights": digest(run.model_folder / WEIGHTS),
            "data": data.fingerprint,
            "settings": config.model_dump(mode="json"),
            "backbone": backbone() if "lpips" in config.metrics else None,
            "versions": {"vaegan": vaegan.__version__, **versions()},
            "device": next(model.parameters()).device.type,
        }
        return origin, known_evaluation(run.metrics_file, origin)

    images, seed = getattr(data, config.split), run.config.seed
    origin, known = from_the_first(look)
    if known is not None:
        return known
    with console.progress(f"Evaluating {run.path.parent.name}/{run.path.name}", "images") as progress:
        evaluation = evaluate(
            model, images, config, split=config.split, seed=seed, progress=progress, notify=console.note_once
        )
    evaluation.protocol["origin"] = origin
    by_the_first(lambda: write_metrics(evaluation, run.metrics_file))
    return evaluation


def known_evaluation(path: Path, origin: Mapping[str, Any]) -> Evaluation | None:
    """What ``metrics.json`` holds, if that came from the same ``origin``."""
    if not path.is_file():
        return None
    try:
        known = read_metrics(path)
    except (ValueError, TypeError, RecursionError):
        return None
    return known if known.protocol.get("origin") == origin else None


def count_parameters(model: Autoencoder, config: Config) -> dict[str, int]:
    """Trained numbers of each network of a run."""
    networks = dict(model.named_children())
    if isinstance(config.model, VAEGANConfig):
        with torch.device("meta"):
            networks["discriminator"] = build_discriminator(config.model, model.image_shape, config.seed)
    return {name: sum(each.numel() for each in network.parameters()) for name, network in networks.items()}


def real_against_real(data: Data, config: EvaluateConfig, progress: Update = silent) -> dict[str, float]:
    """What other real images score where samples are measured: the floor that finite numbers of images leave.

    As many of them as there are samples, or as there are.

    Args:
        data: The images.
        config: What is measured, of which split.
        progress: Called with (images done, images in all) after each batch.
    """
    images = getattr(data, config.split)
    others = data.test if config.split == "train" else data.train
    if "sharpness" not in config.metrics or not len(others):
        return {}
    counts = [min(len(split), config.samples or len(images)) for split in (images, others)]
    found, done = [], 0
    for split, count in zip((images, others), counts, strict=True):
        total: Sums = {}
        for chosen in split.spread(count).split(config.batch_size):
            pixels = to_float(split[chosen])
            total = added(total, moments(pixels, spectrum(pixels)))
            done += len(chosen)
            progress(done, sum(counts))
        found.append(statistics(total))
    real, other = found
    return {
        "sample/spectrum_error": spectrum_error(real.power, other.power),
        "sample/laplacian_gap": laplacian_gap(real, other),
        "sample/kurtosis_gap": kurtosis_gap(real, other),
    }


def write_comparison(comparison: Comparison, path: Path) -> None:
    """Write `comparison.json`; whoever looks finds the old file or the new one."""
    write_text(path, json.dumps(comparison.record(), indent=2, allow_nan=False))


def _each_seed_first(planned: Mapping[str, Mapping[int, Config]]) -> Iterator[tuple[str, int, Config]]:
    """All variants at the first seed, then all at the second: what is cut off is still comparable."""
    for seed in next(iter(planned.values())):
        for name, configs in planned.items():
            yield name, seed, configs[seed]
