"""Judging finished runs: what they score, what they cost, and what real images score in their place."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

import vaegan
from vaegan.checkpoints import digest
from vaegan.config import Config
from vaegan.config.models import VAEGANConfig
from vaegan.config.schema import EvaluateConfig
from vaegan.console import Console
from vaegan.data import Data
from vaegan.errors import Mistake
from vaegan.files import json_lines
from vaegan.models import Autoencoder
from vaegan.models.vaegan import build_discriminator
from vaegan.processes import by_the_first, from_the_first, together
from vaegan.runs import WEIGHTS, Run, load, load_discriminator
from vaegan.weights import FILES

from .comparison import Judged
from .controls import CONTROLS, Distorted
from .evaluation import Evaluation, read_evaluation, write_evaluation
from .extractors import INCEPTION
from .runner import OF_SETS, device, evaluate, versions


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
            "trained_lpips": "lpips" in config.metrics and FILES["alex"].there,
            "features": feature_weights(config),
            "versions": {"vaegan": vaegan.__version__, **versions()},
            "device": next(model.parameters()).device.type,
        }
        return origin, known_evaluation(run, origin)

    images, seed = getattr(data, config.split), run.config.seed
    origin, known = from_the_first(look)
    if known is not None:
        return known
    with console.progress(f"Evaluating {run.path.parent.name}/{run.path.name}", "images") as progress:
        evaluation = evaluate(
            model, images, config, split=config.split, seed=seed, discriminator=load_discriminator(run),
            fingerprint=data.fingerprint, progress=progress, notify=console.note_once,
        )  # fmt: skip
    evaluation.protocol["origin"] = origin
    by_the_first(lambda: write_evaluation(evaluation, run))
    return evaluation


def known_evaluation(run: Run, origin: Mapping[str, Any]) -> Evaluation | None:
    """What a run's files hold, if that came from the same ``origin``."""
    try:
        known = read_evaluation(run)
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    return known if known.protocol.get("origin") == origin else None


def feature_weights(config: EvaluateConfig) -> str | None:
    """What tells the network of `evaluate.features` from others; None: it is not used."""
    if not OF_SETS & set(config.metrics):
        return None
    return INCEPTION if config.features == INCEPTION else digest(Run(Path(config.features)).model_folder / WEIGHTS)


def count_parameters(model: Autoencoder, config: Config) -> dict[str, int]:
    """Trained numbers of each network of a run."""
    networks = dict(model.named_children())
    if isinstance(config.model, VAEGANConfig):
        with torch.device("meta"):
            networks["discriminator"] = build_discriminator(config.model, model.image_shape, config.seed)
    return {name: sum(each.numel() for each in network.parameters()) for name, network in networks.items()}


def judge_controls(data: Data, config: EvaluateConfig, console: Console) -> dict[str, Evaluation]:
    """What real images score, untouched and with each defect, where models are measured; all processes do this.

    Their reconstructions are the real images of the split, their samples those of another one.

    Args:
        data: The images.
        config: What is measured, of which split.
        console: Where progress goes.
    """
    images = getattr(data, config.split)
    others = data.test if config.split == "train" else data.train
    count, shape = config.samples or len(images), tuple(images[torch.zeros(1, dtype=torch.long)].shape[1:])
    found = {}
    for name, defect in CONTROLS.items():
        with console.progress(f"Measuring {name}", "images") as progress:
            found[name] = evaluate(
                Distorted(defect, shape, others, count).to(device()), images, config, split=config.split, seed=0,
                fingerprint=data.fingerprint, progress=progress, notify=console.note_once,
            )  # fmt: skip
    return found
