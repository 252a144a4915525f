"""The prior of a run's codes, whole numbers in a file of the run, from which the tables of any step are made."""

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from safetensors import SafetensorError
from torch import Tensor

from vaegan.config.section import Count, Section
from vaegan.errors import UserError
from vaegan.io import hash_tensors, load_metadata, load_tensors, replace_file, save_tensors
from vaegan.text import get_reason

from .tables import Integers, merge_cells, normalise

Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
"""A SHA-256, hexadecimal."""
MAX_EXPONENT = 64
"""Largest exponent, and its negative the smallest one."""


class PriorDescription(Section):
    """What a prior was fitted to."""

    weights: Digest
    """SHA-256 of the file of the weights of the run's model."""
    kind: Literal["values", "indices"]
    """Values of vectors and of grids, or indices of codebook entries."""
    images: Count
    """Number of training images whose codes it was fitted to."""
    exponent: Annotated[int, Field(ge=-MAX_EXPONENT, le=MAX_EXPONENT)]
    """A cell of values is 2**exponent wide; 0 of indices."""
    deviation: Annotated[float, Field(ge=0)]
    """Largest standard deviation of the values of a table; 0 of indices."""


@dataclass(frozen=True, eq=False)
class CodePrior:
    """Weights of the values or indices of codes, whole numbers.

    Attributes:
        description: What the prior was fitted to.
        weights: Of values int32, shape (T, 2 H): weight of each cell around 0, a table for each dimension of a vector,
            or channel of a grid. Of indices int64, shape (1, K): number of times that each was seen.
        escapes: Of values int32, shape (T, 1): weight of all values outside the cells. Of indices empty.
    """

    description: PriorDescription
    weights: Tensor
    escapes: Tensor

    @property
    def digest(self) -> str:
        """SHA-256 of the description and the weights, hexadecimal."""
        tensors = hash_tensors({"weights": self.weights, "escapes": self.escapes})
        text = json.dumps([self.description.model_dump(mode="json"), tensors], sort_keys=True)
        return sha256(text.encode()).hexdigest()

    @property
    def most_multiple(self) -> int:
        """The largest multiple, with which all cells are one symbol."""
        return self.weights.shape[1] // 2

    def get_step(self, multiple: int) -> float:
        """Return the width of a symbol of ``multiple`` times two cells, exactly: a power of 2 times a whole number."""
        return float(2 * multiple) * 2.0**self.description.exponent

    def choose_multiple(self, step: float) -> int:
        """Return the multiple whose step is nearest to a number."""
        nearest = round(min(step / self.get_step(1), self.most_multiple))
        return min(max(1, nearest), self.most_multiple)

    def make_tables(self, multiple: int) -> Integers:
        """Return the table of each dimension or channel, the probability of the escape last, int64, shape (T, K)."""
        cells, escapes = (tensor.numpy().astype(np.int64) for tensor in (self.weights, self.escapes))
        if self.description.kind == "indices":
            return normalise(2 * cells + 1)  # half a time more than it was seen (Krichevsky & Trofimov 1981)
        return normalise(np.concatenate([merge_cells(cells, multiple), escapes], axis=1))


def save_prior(prior: CodePrior, file: Path) -> None:
    """Write a prior.

    Raises:
        OSError: The file cannot be written.
    """
    file.parent.mkdir(exist_ok=True)
    told = {"description": prior.description.model_dump(mode="json"), "sha256": prior.digest}
    with replace_file(file) as partial:
        save_tensors({"weights": prior.weights, "escapes": prior.escapes}, partial, {"prior": json.dumps(told)})


def load_prior(file: Path) -> CodePrior | None:
    """Read a prior; None: there is none.

    Raises:
        UserError: It is damaged.
    """
    try:
        told, tensors = json.loads(load_metadata(file)["prior"]), load_tensors(file)
        description = PriorDescription.model_validate(told["description"])
        prior = CodePrior(description, tensors["weights"].clone(), tensors["escapes"].clone())
        _check_layout(prior)
        if prior.digest != told["sha256"]:
            raise ValueError("it does not match its checksum")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError, SafetensorError) as error:
        mend = "restore it, by which alone older files are decoded, or remove it, and `vaegan compress` fits another"
        raise UserError(f"{file}: damaged ({get_reason(error)}); {mend}") from None
    return prior


def _check_layout(prior: CodePrior) -> None:
    """Check the shapes and types of a prior.

    Raises:
        ValueError: They are others.
    """
    weights, escapes = prior.weights, prior.escapes
    tables = len(weights)
    is_values = prior.description.kind == "values"
    dtype = torch.int32 if is_values else torch.int64
    shape = (tables, 1) if is_values else (0, 1)
    fits = weights.ndim == 2 and weights.dtype == dtype and escapes.dtype == torch.int32 and escapes.shape == shape
    if not fits or tables == 0 or weights.shape[1] < 2 or min(int(weights.min()), 0) < 0:
        raise ValueError("its tensors are not those of a prior")
