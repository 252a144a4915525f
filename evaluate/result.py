"""What an evaluation has found, and the two files of a run that hold it."""

import json
from dataclasses import dataclass, field
from typing import Any

import torch
from pydantic import ConfigDict, TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from vaegan.io import fsync, hash_file, read_bytes, remove, save_tensors, write_text
from vaegan.storage.runs import Run

MAX_SCORES_FILE_BYTES = 2**31
"""Bytes of the file of scores."""


@dataclass(frozen=True)
class EvaluationResult:
    """What a model is worth, and how that was measured."""

    metrics: dict[str, float]
    """Figures by name, all finite: ``reconstruction/...`` of pairs, ``sample/...`` of images from the prior, or from
    `density`, ``elbo`` in nats per image, ``bits_per_dim``."""
    protocol: dict[str, Any]
    """Every choice that the figures depend on."""
    curves: dict[str, list[float]] = field(default_factory=dict)
    """Figures per radial frequency band, at ``frequency`` cycles per pixel."""
    matrices: dict[str, list[list[int]]] = field(default_factory=dict)
    """``discriminator/confusion``: a row each of real, reconstructed and generated images, a column for what they
    were taken for."""
    scores: dict[str, Tensor] = field(default_factory=dict)
    """What single images (of KID: blocks of them) say, float64, (N,) or (N, k) in the order of the images; what the
    intervals of a study are made of."""

    @property
    def density(self) -> str | None:
        """What samples were drawn from in the place of the family's prior, in words; None: from that."""
        return self.protocol["samples_from"] if self.protocol.get("density") else None


@dataclass(frozen=True)
class _Written:
    """The contents of ``metrics.json``."""

    __pydantic_config__ = ConfigDict(strict=True, allow_inf_nan=False, extra="forbid")

    metrics: dict[str, float]
    protocol: dict[str, Any]
    curves: dict[str, list[float]]
    matrices: dict[str, list[list[int]]]
    scores: str
    """SHA-256 of the file of scores, hexadecimal."""


def write_result(evaluation: EvaluationResult, run: Run) -> None:
    """Write ``scores.safetensors`` and ``metrics.json``, which bears the hash of the former.

    Whoever looks finds the old file or the new one, never half of one.

    Raises:
        ValueError: A figure is not finite.
        OSError: A file cannot be written.
    """
    partial = run.scores_file.with_name(run.scores_file.name + ".partial")
    remove(partial)
    save_tensors(evaluation.scores, partial)
    fsync(partial)
    written = {
        "metrics": evaluation.metrics,
        "protocol": evaluation.protocol,
        "curves": evaluation.curves,
        "matrices": evaluation.matrices,
        "scores": hash_file(partial),
    }
    text = json.dumps(written, indent=2, allow_nan=False)
    partial.replace(run.scores_file)
    write_text(run.metrics_file, text)


def read_result(run: Run) -> EvaluationResult:
    """The evaluation that `write_result` wrote.

    Raises:
        ValueError: The files are not what that writes.
        OSError: A file cannot be read.
    """
    try:
        found = TypeAdapter(_Written).validate_json(read_bytes(run.metrics_file))
    except ValidationError:
        raise ValueError(f"{run.metrics_file.name} is not what an evaluation writes") from None
    if hash_file(run.scores_file) != found.scores:
        raise ValueError(f"{run.scores_file.name} does not match its checksum")
    try:
        scores = load(read_bytes(run.scores_file, MAX_SCORES_FILE_BYTES))
    except SafetensorError as error:
        raise ValueError(f"{run.scores_file.name}: {error}") from None
    if any(values.dtype != torch.float64 or not values.isfinite().all() for values in scores.values()):
        raise ValueError(f"{run.scores_file.name}: not finite numbers of double precision")
    return EvaluationResult(found.metrics, found.protocol, found.curves, found.matrices, scores)
