"""Features of real images that are kept from one evaluation to the next, since they do not depend on the model."""

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
"""Environment variable that names another folder than ~/.cache/vaegan."""
MAX_REFERENCE_FILE_BYTES = 2**34
"""Bytes of a file."""

Reference = dict[str, Tensor]
"""Of a set of images: the `rows` of their features, or the `moments` of these."""


def get_reference_file(made_of: Mapping[str, Any]) -> Path:
    """Where the features of real images lie.

    Args:
        made_of: Everything that they are a function of.
    """
    name = sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()
    return (
        Path(os.environ.get(CACHE_VARIABLE) or Path.home() / ".cache" / "vaegan") / "features" / f"{name}.safetensors"
    )


def load_reference(file: Path, names: Sequence[str]) -> Reference | None:
    """What `save_reference` kept under these names; None: nothing, or what is no such thing."""
    try:
        found = load(read_bytes(file, MAX_REFERENCE_FILE_BYTES))
    except (OSError, SafetensorError):
        return None
    whole = all(values.is_floating_point() and bool(values.isfinite().all()) for values in found.values())
    return found if whole and found.keys() == set(names) else None


def save_reference(file: Path, reference: Reference) -> None:
    """Keep features for a later evaluation; where they cannot be written it makes them again."""
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(file, f".{os.getpid()}") as partial:  # other processes may write the same file
            save_tensors(reference, partial)
