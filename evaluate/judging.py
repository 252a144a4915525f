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
from vaegan.checkpoints import digest
from vaegan.config import Config
from vaegan.config.models import AdversaryConfig
from vaegan.config.schema import EvaluateConfig
from vaegan.console import Console
from vaegan.data import Data
from vaegan.errors import Mistake
from vaegan.files import json_lines
from vaegan.fitting import fitted
from vaegan.models import Autoencoder, Classifier
from vaegan.models.density import Density
from vaegan.models.discriminator import build_discriminator
from vaegan.models.model import sizes
from vaegan.processes import by_the_first, from_the_first, together
from vaegan.runs import WEIGHTS, Run, class_names, load, load_discriminator
from vaegan.weights import FILES
from vaegan.wording import one_line, reason

from . import accuracy
from .comparing.comparison import Judged
from .controls import CONTROLS, Distorted
from .evaluation import Evaluation, read_evaluation, write_evaluation
from .metrics.extractors import INCEPTION
from .metrics.making import feature_network
from .runner import device, evaluate, evaluating, versions


def judge(run: Run, config: Config, data: Data, console: Console) -> Judged:
    """A finished run with its figures and its price; all processes do this together."""
    model = together(lambda: load(run.path)).to(device())
    evaluation = evaluate_run(run, model, config.evaluate, data, console)
    cost = from_the_first(lambda: price(run.timing_file, console.note))
    return Judged(run, config, evaluation, cost, count_parameters(model, config))


def density_of(judged: Judged, data: Data, console: Console) -> Density | None:
    """What a run's samples are judged by, made again for whom its figures are not enough; None: it is the prior.

    All processes do this together.
    """
    asked = judged.config.evaluate.density
    if asked is None:
        return None
    model = together(lambda: load(judged.run.path)).to(device())
    with console.progress(f"Encoding for {judged.run.path.parent.name}", "images") as progress, evaluating(model):
        return fitted(asked, model, data.train, judged.config.seed, judged.config.evaluate.batch_size, progress)


def price(timing: Path, notify: Callable[[str], None]) -> dict[str, float]:
    """Seconds that a training took and bytes that it had; nothing, and a note, where the file does not say so."""
    try:
        _, seconds, memory = _timed(timing)
    except Mistake as mistake:
        notify(f"{mistake}; what the training cost is left out")
        return {}
    return {"seconds": sum(seconds), "memory_bytes": max(memory)}


def speed(timing: Path) -> float:
    """Seconds of a step once the first one, which has much to prepare, is done: the median of the lines.

    Raises:
        Mistake: The file does not say so.
    """
    steps, seconds, _ = _timed(timing)
    pairs = zip(pairwise(steps), seconds[1:], strict=True)
    own = [taken / (after - before) for (before, after), taken in pairs if after > before and taken > 0]
    if not own:
        raise Mistake(f"{timing}: does not say how long a step takes; remove the run's folder, and it is timed again")
    return statistics.median(own)


def _timed(timing: Path) -> list[list[float]]:
    """Steps, seconds and bytes of each line.

    Raises:
        Mistake: They are not there.
    """
    try:
        lines = json_lines(timing)
        found = [[float(line[key]) for line, _ in lines] for key in ("step", "seconds", "memory_bytes")]
    except OSError as error:
        raise Mistake(f"{timing}: {reason(error)}") from None
    except (KeyError, TypeError, ValueError, OverflowError):
        found = []
    if not found or not sum(found[1]) or not all(0 <= value < math.inf for values in found for value in values):
        raise Mistake(f"{timing}: not what a training writes")
    return found


def evaluate_run(
    run: Run,
    model: Autoencoder | Classifier,
    config: EvaluateConfig,
    data: Data,
    console: Console,
    *,
    again: bool = False,
) -> Evaluation:
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
        Mistake: It has none; what lies there is kept. Or as `see_classes`.
    """
    if isinstance(model, Autoencoder):
        see_classes(run, model, data)
    title = f"Evaluating {run.path.parent.name}/{run.path.name}"

    def make() -> Evaluation:
        if isinstance(model, Classifier):
            with console.progress(title, "images") as progress:
                return accuracy.judge(model, data, config, seed=run.config.seed, progress=progress)
        judged = "confusion" in config.metrics
        discriminator = together(lambda: load_discriminator(run, console.note)) if judged else None
        found = _evaluate(title, model, config, data, run.config.seed, discriminator, console)
        if again and not found.metrics:
            asked = ", ".join(config.metrics)
            raise Mistake(f"evaluate.metrics: {run.path} has no figure of {asked}; name others", everywhere=True)
        return found

    return known_or_made(run, lambda: origin(config, data, digest(run.model_folder / WEIGHTS)), make, again)


def judge_controls(folder: Path, config: EvaluateConfig, data: Data, console: Console) -> dict[str, Evaluation]:
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
    for name, defect in CONTROLS.items():
        model = Distorted(defect, (channels, size, size), others, count).to(device())

        def make(name: str = name, model: Autoencoder = model) -> Evaluation:
            return _evaluate(f"Measuring {name}", model, config, data, 0, None, console)

        found[name] = known_or_made(Run(folder / name.replace(" ", "_")), lambda: origin(config, data, None), make)
    return found


def _evaluate(
    title: str, model: Autoencoder, config: EvaluateConfig, data: Data, seed: int, discriminator: nn.Module | None,
    console: Console,
) -> Evaluation:  # fmt: skip
    with console.progress(title, "images") as progress:
        return evaluate(
            model, getattr(data, config.split), config, split=config.split, seed=seed, training=data.train,
            discriminator=discriminator, fingerprint=data.fingerprint, progress=progress, notify=console.note_once,
        )  # fmt: skip


def see_classes(run: Run, model: Autoencoder, data: Data) -> None:
    """See that a conditional model is judged by images of the classes that it knows; all processes do this together.

    Raises:
        Mistake: They are others, or in another order.
    """
    known = from_the_first(lambda: class_names(run.path)) if model.classes is not None else ()
    if known and known != data.classes:
        listed = [one_line(", ".join(names)) for names in (known, data.classes)]
        raise Mistake(
            f"{run.path}: knows the classes {listed[0]}, and the images of data.source are {listed[1]};"
            " judge it by those that it was trained on",
            everywhere=True,
        )


def known_or_made(
    run: Run, made_of: Callable[[], dict[str, Any]], make: Callable[[], Evaluation], again: bool = False
) -> Evaluation:
    """An evaluation that lies in a folder, or else a new one, which is then put there; all processes do this together.

    Args:
        run: The folder.
        made_of: Everything that the figures are a function of.
        make: How they are made.
        again: Whether they are made whatever lies there.
    """

    def look() -> tuple[dict[str, Any], Evaluation | None]:
        wanted = made_of()
        return wanted, None if again else known_evaluation(run, wanted)

    wanted, known = from_the_first(look)
    if known is not None:
        return known
    evaluation = make()
    evaluation.protocol["origin"] = wanted

    def write() -> None:
        run.path.mkdir(parents=True, exist_ok=True)
        write_evaluation(evaluation, run)

    by_the_first(write)
    return evaluation


def origin(config: EvaluateConfig, data: Data, weights: str | None) -> dict[str, Any]:
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
        "trained_lpips": "lpips" in config.metrics and FILES["alex"].there,
        "features": feature_weights(config),
        "versions": {"vaegan": vaegan.__version__, **versions()},
        "device": device(),
    }


def known_evaluation(run: Run, origin: Mapping[str, Any]) -> Evaluation | None:
    """What a run's files hold, if that came from the same ``origin``."""
    try:
        known = read_evaluation(run)
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    return known if known.protocol.get("origin") == origin else None


def feature_weights(config: EvaluateConfig) -> str | None:
    """What tells the network of `evaluate.features` from others; None: it is not used."""
    network = feature_network(config)
    if network is None or network == INCEPTION:
        return network
    try:
        return digest(Run(Path(network)).model_folder / WEIGHTS)
    except OSError as error:
        raise Mistake(
            f"evaluate.features: {network}: no run of `vaegan train-features` ({WEIGHTS}: {reason(error)});"
            " name one, as with --features"
        ) from None


def count_parameters(model: Autoencoder, config: Config) -> dict[str, int]:
    """Parameters of each part of a run's model, and of its discriminator."""
    found = sizes(model)
    if isinstance(config.model, AdversaryConfig):
        with torch.device("meta"):
            discriminator = build_discriminator(config.model, model.image_shape, config.seed)
        found["discriminator"] = sum(sizes(discriminator).values())
    return found
