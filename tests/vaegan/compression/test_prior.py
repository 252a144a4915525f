"""A prior is read as it was written; a damaged one is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vaegan.compression.prior import load_prior, save_prior
from vaegan.errors import UserError

from .conftest import Fitted


@pytest.mark.parametrize("kind", ["vae", "vqvae"])
def test_a_prior_is_read_as_it_was_written(kind: str, fitted: Callable[[str], Fitted], tmp_path: Path) -> None:
    part = fitted(kind)
    file = tmp_path / "run" / "prior.safetensors"
    file.parent.mkdir()
    assert load_prior(file) is None
    save_prior(part.prior, file)
    loaded = load_prior(file)
    assert loaded is not None and loaded.digest == part.prior.digest
    assert np.array_equal(loaded.make_tables(5), part.prior.make_tables(5))
    content = file.read_bytes()
    for place in range(0, len(content), max(1, len(content) // 60)):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        file.write_bytes(changed)
        with pytest.raises(UserError, match=r"prior.safetensors: damaged \([^\n]*\); restore it, by which alone"):
            load_prior(file)
