"""Judging finished runs: what they score, what they cost, and what real images score in their place."""

import math
import statistics
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import nn

import vaegan
from vaegan.cli.console import Console
from vaegan.config import Config
from vaegan.config.models import AdversaryConfig
from vaegan.config.schema import EvaluateConfig
from vaegan.data import Data
from vaegan.distributed import broadcast_from_main, run_on_all_ranks, run_on_main
from vaegan.errors import UserError
from vaegan.io import hash_file, read_json_lines
from vaegan.models import Autoencoder, Classifier
from vaegan.models.density import Density
from vaegan.models.discriminator import build_discriminator
from vaegan.models.model import count_parameters
from vaegan.pretrained import WEIGHT_FILES
from vaegan.sampling import fit_density_to_images
from vaegan.storage.loading import load, load_class_names, load_discriminator
from vaegan.storage.runs import WEIGHTS_FILE, Run
from vaegan.text import get_reason, to_one_line

from . import classifier
from .comparing.comparison import EvaluatedRun
from .metrics.build import get_feature_network
from .metrics.feature_extractors import INCEPTION
from .model import evaluate_model, evaluation_mode, get_device, get_versions
from .negative_controls import NEGATIVE_CONTROLS, DistortedImages
from .result import EvaluationResult, read_result, write_result


def evaluate_finished_run(run: Run, config: Config, data: Data, console: Console) -> EvaluatedRun:
    """A finished run with its figures and its price; all processes do this together."""
    model = run_on_all_ranks(lambda: load(run.path)).to(get_device())
    evaluation = evaluate_run(run, model, config.evaluate, data, console)
    cost = broadcast_from_main(lambda: read_training_cost(run.timing_file, console.note))
    return EvaluatedRun(run, config, evaluation, cost, count_run_parameters(model, config))


def refit_density(judged: EvaluatedRun, data: Data, console: Console) -> Density | None:
    """What a run's samples are judged by, made again for whom its figures are not enough; None: it is the prior.

    All processes do this together.
    """
    asked = judged.config.evaluate.density
    if asked is None:
        return None
    model = run_on_all_ranks(lambda: load(judged.run.path)).to(get_device())
    with console.progress(f"Encoding for {judged.run.path.parent.name}", "images") as progress, evaluation_mode(model):
        return fit_density_to_images(
            asked, model, data.train, judged.config.seed, judged.config.evaluate.batch_size, progress
        )


def read_training_cost(timing: Path, notify: Callable[[str], None]) -> dict[str, float]:
    """Seconds that a training took and bytes that it had; nothing, and a note, where the file does not say so."""
    try:
        _, seconds, memory = _timed(timing)
    except UserError as mistake:
        notify(f"{mistake}; what the training cost is left out")
        return {}
    return {"seconds": sum(seconds), "memory_bytes": max(memory)}


def measure_step_seconds(timing: Path) -> float:
    """Seconds of a step once the first one, which has much to prepare, is done: the median of the lines.

    Raises:
        UserError: The file does not say so.
    """
    steps, seconds, _ = _timed(timing)
    pairs = zip(pairwise(steps), seconds[1:], strict=True)
    own = [taken / (after - before) for (before, after), taken in pairs if after > before and taken > 0]
    if not own:
        raise UserError(f"{timing}: does not say how long a step takes; remove the run's folder, and it is timed again")
    return statistics.median(own)


def _timed(timing: Path) -> list[list[float]]:
    """Steps, seconds and bytes of each line.

    Raises:
        UserError: They are not there.
    """
    try:
        lines = read_json_lines(timing)
        found = [[float(line[key]) for line, _ in lines] for key in ("step", "seconds", "memory_bytes")]
    except OSError as error:
        raise UserError(f"{timing}: {get_reason(error)}") from None
    except (KeyError, TypeError, ValueError, OverflowError):
        found = []
    if not found or not sum(found[1]) or not all(0 <= value < math.inf for values in found for value in values):
        raise UserError(f"{timing}: not what a training writes")
    return found


def evaluate_run(
    run: Run,
    model: Autoencoder | Classifier,
    config: EvaluateConfig,
    data: Data,
    console: Console,
    *,
    again: bool = False,
) -> EvaluationResult:
    """The evaluation of a run's exported model, in the run's folder; all processes make it together.

    What lies there is used if it was made with the same weights, images, settings and versions, on the same kind of
    device.

    Args:
        run: The run.
        model: Its model, on the device where it is judged.
        config: What is measured, of which split.
        data: The images.
        console: Where notes and progress go.
        again: Whether it is made anew whatever lies there; it then has to have a figure, since it replaces others.

    Raises:
        UserError: It has none; what lies there is kept. Or as `check_classes`.
    """
    if isinstance(model, Autoencoder):
        check_classes(run, model, data)
    title = f"Evaluating {run.path.parent.name}/{run.path.name}"

    def make() -> EvaluationResult:
        if isinstance(model, Classifier):
            with console.progress(title, "images") as progress:
                return classifier.evaluate_classifier_splits(
                    model, data, config, seed=run.config.seed, progress=progress
                )
        judged = "confusion" in config.metrics
        discriminator = run_on_all_ranks(lambda: load_discriminator(run, console.note)) if judged else None
        found = _evaluate(title, model, config, data, run.config.seed, discriminator, console)
        if again and not found.metrics:
            asked = ", ".join(config.metrics)
            raise UserError(f"evaluate.metrics: {run.path} has no figure of {asked}; name others", on_all_ranks=True)
        return found

    return load_or_evaluate(
        run, lambda: describe_origin(config, data, hash_file(run.model_folder / WEIGHTS_FILE)), make, again
    )


def evaluate_negative_controls(
    folder: Path, config: EvaluateConfig, data: Data, console: Console
) -> dict[str, EvaluationResult]:
    """What real images score, untouched and with each defect, where models are measured; all processes do this.

    Their reconstructions are the real images of the split, their samples those of another one.

    Args:
        folder: Where each has a folder with its figures, which are used again as those of runs are.
        config: What is measured, of which split.
        data: The images.
        console: Where progress goes.
    """
    config = config.model_copy(update={"density": None})
    images = getattr(data, config.split)
    others, count = data.test if config.split == "train" else data.train, config.samples or len(images)
    if len(others) < count:
        console.note(
            f"real images: {len(others)} beside those of the {config.split} split, fewer than {count}: samples have no"
            " floor and no controls; hold out fewer images, or give evaluate.samples"
        )
    channels, size, _ = images[torch.zeros(1, dtype=torch.long)].shape[1:]
    found = {}
    for name, defect in NEGATIVE_CONTROLS.items():
        model = DistortedImages(defect, (channels, size, size), others, count).to(get_device())

        def make(name: str = name, model: Autoencoder = model) -> EvaluationResult:
            return _evaluate(f"Measuring {name}", model, config, data, 0, None, console)

        found[name] = load_or_evaluate(
            Run(folder / name.replace(" ", "_")), lambda: describe_origin(config, data, None), make
        )
    return found


def _evaluate(
    title: str, model: Autoencoder, config: EvaluateConfig, data: Data, seed: int, discriminator: nn.Module | None,
    console: Console,
) -> EvaluationResult:  # fmt: skip
    with console.progress(title, "images") as progress:
        return evaluate_model(
            model, getattr(data, config.split), config, split=config.split, seed=seed, training=data.train,
            discriminator=discriminator, fingerprint=data.fingerprint, progress=progress, notify=console.note_once,
        )  # fmt: skip


def check_classes(run: Run, model: Autoencoder, data: Data) -> None:
    """See that a conditional model is judged by images of the classes that it knows; all processes do this together.

    Raises:
        UserError: They are others, or in another order.
    """
    known = broadcast_from_main(lambda: load_class_names(run.path)) if model.classes is not None else ()
    if known and known != data.classes:
        listed = [to_one_line(", ".join(names)) for names in (known, data.classes)]
        raise UserError(
            f"{run.path}: knows the classes {listed[0]}, and the images of data.source are {listed[1]};"
            " judge it by those that it was trained on",
            on_all_ranks=True,
        )


def load_or_evaluate(
    run: Run, made_of: Callable[[], dict[str, Any]], make: Callable[[], EvaluationResult], again: bool = False
) -> EvaluationResult:
    """An evaluation that lies in a folder, or else a new one, which is then put there; all processes do this together.

    Args:
        run: The folder.
        made_of: Everything that the figures are a function of.
        make: How they are made.
        again: Whether they are made whatever lies there.
    """

    def look() -> tuple[dict[str, Any], EvaluationResult | None]:
        wanted = made_of()
        return wanted, None if again else load_cached_result(run, wanted)

    wanted, known = broadcast_from_main(look)
    if known is not None:
        return known
    evaluation = make()
    evaluation.protocol["origin"] = wanted

    def write() -> None:
        run.path.mkdir(parents=True, exist_ok=True)
        write_result(evaluation, run)

    run_on_main(write)
    return evaluation


def describe_origin(config: EvaluateConfig, data: Data, weights: str | None) -> dict[str, Any]:
    """Everything that a model's figures are a function of.

    Args:
        config: What is measured.
        data: The images.
        weights: Hash of the model's; None: it has none.
    """
    return {
        "weights": weights,
        "data": data.fingerprint,
        "settings": config.model_dump(mode="json", exclude={"features"}),
        "trained_lpips": "lpips" in config.metrics and WEIGHT_FILES["alex"].there,
        "features": hash_feature_network(config),
        "versions": {"vaegan": vaegan.__version__, **get_versions()},
        "device": get_device(),
    }


def load_cached_result(run: Run, origin: Mapping[str, Any]) -> EvaluationResult | None:
    """What a run's files hold, if that came from the same ``describe_origin``."""
    try:
        known = read_result(run)
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    return known if known.protocol.get("origin") == origin else None


def hash_feature_network(config: EvaluateConfig) -> str | None:
    """What tells the network of `evaluate_model.features` from others; None: it is not used."""
    network = get_feature_network(config)
    if network is None or network == INCEPTION:
        return network
    try:
        return hash_file(Run(Path(network)).model_folder / WEIGHTS_FILE)
    except OSError as error:
        raise UserError(
            f"evaluate.features: {network}: no run of `vaegan train-features` ({WEIGHTS_FILE}: {get_reason(error)});"
            " name one, as with --features"
        ) from None


def count_run_parameters(model: Autoencoder, config: Config) -> dict[str, int]:
    """Parameters of each part of a run's model, and of its discriminator."""
    found = count_parameters(model)
    if isinstance(config.model, AdversaryConfig):
        with torch.device("meta"):
            discriminator = build_discriminator(config.model, model.image_shape, config.seed)
        found["discriminator"] = sum(count_parameters(discriminator).values())
    return found
