"""The result of an evaluation, the two files of a run folder that hold it, and its reuse."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from pydantic import ConfigDict, TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from vaegan.config import Config
from vaegan.distributed import broadcast_from_main, run_on_main
from vaegan.io import hash_file, read_bytes, replace_file, save_tensors, write_text
from vaegan.storage.run_folder import Run

MAX_SCORES_FILE_BYTES = 2**31
"""Largest size of `scores.safetensors` that is read."""


@dataclass(frozen=True)
class EvaluationResult:
    """Metrics of a model, and the protocol by which they were measured."""

    metrics: dict[str, float]
    """Metrics by name, all finite: ``reconstruction/...`` of pairs, ``sample/...`` of images from the prior or from
    `density`, ``elbo`` in nats per image, ``bits_per_dim``."""
    protocol: dict[str, Any] = field(repr=False)
    """Every choice that the metrics depend on."""
    curves: dict[str, list[float]] = field(default_factory=dict, repr=False)
    """Values per radial frequency band, at ``frequency`` cycles per pixel; ``calibration/coverage`` of the intervals of
    each ``calibration/level``."""
    matrices: dict[str, list[list[int]]] = field(default_factory=dict, repr=False)
    """``discriminator/confusion``: a row each for real, reconstructed and generated images (or patches), as far as the
    discriminator has seen them, a column for each predicted class."""
    scores: dict[str, Tensor] = field(default_factory=dict, repr=False)
    """Values of single images (of KID: of blocks of them), float64, shape (N,) or (N, k) in the order of the images,
    from which a study computes its intervals."""

    @property
    def density(self) -> str | None:
        """The density that samples were drawn from, in words; None: they were drawn from the prior, or not at all."""
        return self.protocol["samples_from"] if self.protocol.get("density") else None


@dataclass(frozen=True)
class EvaluatedRun:
    """A finished run with its result and its cost."""

    run: Run
    config: Config
    evaluation: EvaluationResult
    cost: Mapping[str, float]
    """`seconds`, the training's wall-clock time, and `memory_bytes`, the most in the run's `timing.jsonl`: of a GPU, or
    of the process when a line was logged. Empty: the file does not say."""
    parameters: Mapping[str, int]
    """Number of trained parameters of each network."""

    @property
    def metrics(self) -> dict[str, float]:
        """Metrics of the evaluation and of the cost."""
        return {**self.evaluation.metrics, **self.cost, "parameters": sum(self.parameters.values())}


@dataclass(frozen=True)
class _MetricsFile:
    """The contents of ``metrics.json``."""

    __pydantic_config__ = ConfigDict(strict=True, allow_inf_nan=False, extra="forbid")

    metrics: dict[str, float]
    protocol: dict[str, Any]
    curves: dict[str, list[float]]
    matrices: dict[str, list[list[int]]]
    scores: str
    """SHA-256 of ``scores.safetensors``, hexadecimal."""


def format_left_out(left_out: Mapping[str, str]) -> str:
    """Return metrics that were left out, with their reasons, in a few words."""
    reasons: dict[str, list[str]] = {}
    for name, reason in left_out.items():
        reasons.setdefault(reason, []).append(name)
    return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in reasons.items())


def add_left_out(result: EvaluationResult, left_out: Mapping[str, str], notify: Callable[[str], None]) -> None:
    """Add metrics that were left out to the protocol of a result, with their reasons, and say so in a line.

    Args:
        result: The result.
        left_out: Reason of each metric by its name; with none, nothing is added.
        notify: Called with the line.
    """
    if left_out:
        result.protocol["left_out"] = {**result.protocol.get("left_out", {}), **left_out}
        notify(f"evaluate.metrics: left out are {format_left_out(left_out)}")


def write_result(result: EvaluationResult, run: Run) -> None:
    """Write ``scores.safetensors`` and ``metrics.json``, which holds the hash of the former, each atomically.

    Raises:
        ValueError: A metric is not finite.
        OSError: A file cannot be written.
    """
    with replace_file(run.scores_file) as partial:
        save_tensors(result.scores, partial)
        text = json.dumps({**vars(result), "scores": hash_file(partial)}, indent=2, allow_nan=False)
    write_text(run.metrics_file, text)


def read_result(run: Run) -> EvaluationResult:
    """Return the result that `write_result` wrote.

    Raises:
        ValueError: The files are not what that writes.
        OSError: A file cannot be read.
    """
    try:
        contents = TypeAdapter(_MetricsFile).validate_json(read_bytes(run.metrics_file))
    except ValidationError:
        raise ValueError(f"{run.metrics_file.name} is not what an evaluation writes") from None
    if hash_file(run.scores_file) != contents.scores:
        raise ValueError(f"{run.scores_file.name} does not match its checksum")
    try:
        scores = load(read_bytes(run.scores_file, MAX_SCORES_FILE_BYTES))
    except SafetensorError as error:
        raise ValueError(f"{run.scores_file.name}: {error}") from None
    if any(values.dtype != torch.float64 or not values.isfinite().all() for values in scores.values()):
        raise ValueError(f"{run.scores_file.name}: not finite numbers of double precision")
    return EvaluationResult(contents.metrics, contents.protocol, contents.curves, contents.matrices, scores)


def load_or_evaluate(
    run: Run,
    describe: Callable[[], dict[str, Any]],
    evaluate: Callable[[], EvaluationResult],
    force: bool = False,
    show: Callable[[EvaluationResult], None] | None = None,
) -> EvaluationResult:
    """Return the result stored in a folder, or else compute it and write it there.

    All processes do this together.

    Args:
        run: Folder of the result.
        describe: Function that returns the origin: everything that the result is a function of.
        evaluate: Function that computes the result.
        force: Whether to compute it even if the folder has a valid result.
        show: Called with a new result before it is written, so that it is not lost if writing fails; None: not called.
    """

    def look_up() -> tuple[dict[str, Any], EvaluationResult | None]:
        origin = describe()
        return origin, None if force else load_cached_result(run, origin)

    origin, cached = broadcast_from_main(look_up)
    if cached is not None:
        return cached
    result = evaluate()
    result.protocol["origin"] = origin
    if show is not None:
        show(result)

    def write() -> None:
        run.path.mkdir(parents=True, exist_ok=True)
        write_result(result, run)

    run_on_main(write)
    return result


def load_cached_result(run: Run, origin: Mapping[str, Any]) -> EvaluationResult | None:
    """Return the result stored in a run's folder; None: there is none, or it has another origin."""
    try:
        result = read_result(run)
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    return result if result.protocol.get("origin") == origin else None
