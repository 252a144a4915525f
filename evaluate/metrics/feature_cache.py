"""Cache of the features of real images, which do not depend on the model."""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from vaegan.io import read_bytes, replace_file, save_tensors

CACHE_VARIABLE = "VAEGAN_CACHE"
"""Environment variable with the folder of the cache, in place of ~/.cache/vaegan."""
MAX_REFERENCE_FILE_BYTES = 2**34
"""Largest size of a cached file that is read."""

Reference = dict[str, Tensor]
"""Features of a set of images by name: their `rows`, or the sums of `frechet.compute_moments`."""


def get_reference_file(origin: Mapping[str, Any]) -> Path:
    """Return the cached file of the features of real images.

    Args:
        origin: Everything that the features are a function of.
    """
    name = sha256(json.dumps(origin, sort_keys=True).encode()).hexdigest()
    cache = Path(os.environ.get(CACHE_VARIABLE) or Path.home() / ".cache" / "vaegan")
    return cache / "features" / f"{name}.safetensors"


def load_reference(file: Path, names: Sequence[str]) -> Reference | None:
    """Return the tensors that `save_reference` wrote; None: the file is missing or damaged."""
    try:
        reference = load(read_bytes(file, MAX_REFERENCE_FILE_BYTES))
    except (OSError, SafetensorError):
        return None
    valid = all(values.is_floating_point() and bool(values.isfinite().all()) for values in reference.values())
    return reference if valid and reference.keys() == set(names) else None


def save_reference(file: Path, reference: Reference) -> None:
    """Write features for later evaluations, which compute them again if the file cannot be written."""
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(file, f".{os.getpid()}") as partial:  # other processes may write the same file
            save_tensors(reference, partial)
