"""The number of processes is not a hyperparameter: any division of the batch trains the same weights."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from vaegan.config import dump

from ..tiny import EVERYTHING, FAMILIES, flat, last, tiny
from .pool import Pool

STEPS = 20
DIVISIONS = {
    "2 processes": (2, ()),
    "4 processes": (4, ()),
    "2 micro-batches": (1, ("train.micro_batch_size=8",)),
    "4 micro-batches": (1, ("train.micro_batch_size=4",)),
    "2 processes, 2 micro-batches": (2, ("train.micro_batch_size=4",)),
    "2 processes, DataLoader": (2, ("data.cache=none", "data.workers=1")),
    "2 micro-batches, DataLoader": (1, ("data.cache=none", "data.workers=1", "train.micro_batch_size=8")),
}
"""How the 16 images of a step are divided and held: processes, and words of the config."""
BOUNDS = {"float64": 1e-10, "float32": 1e-4}
ARGMIN: set[str] = set()
"""Families that choose the nearest code, where rounding decides now and then: compared in float64 only."""


def words(name: str, dtype: str) -> tuple[str, ...]:
    spectral = ("model.discriminator.spectral_norm=true",) if name.startswith("vaegan") else ()
    loop = (f"train.dtype={dtype}", f"train.steps={STEPS}", "train.batch_size=16", "train.learning_rate=0.01")
    return (*EVERYTHING, *spectral, *loop)


def distance(a: dict[str, Tensor], b: dict[str, Tensor], network: str) -> float:
    """Norm of the difference of a network's weights, relative to their norm."""
    keys = [key for key in a if key.startswith(f"{network}/")]
    difference, size = (
        torch.cat([value.double().flatten() for value in values]).norm()
        for values in ([b[key] - a[key] for key in keys], [a[key] for key in keys])
    )
    return float(difference / size)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("dtype", BOUNDS)
def test_every_division_of_the_batch_trains_the_same_weights(name: str, dtype: str, pool: Pool, tmp_path: Path) -> None:
    if dtype == "float32" and name in ARGMIN:
        pytest.skip("rounding decides which code is the nearest")
    jobs = []
    for number, (world, division) in enumerate([(1, ()), *DIVISIONS.values()]):
        file = tmp_path / f"{number}.yaml"
        file.write_text(dump(tiny(name, *words(name, dtype), *division)))
        jobs.append((world, "training", {"config": str(file), "folder": str(tmp_path / str(number))}))
    pool.run_all(jobs)
    whole = flat(last(tmp_path / "0"))
    networks = {key.partition("/")[0] for key in whole if ".optimizer/" not in key}
    found = {}
    for number, division in enumerate(DIVISIONS, start=1):
        divided = flat(last(tmp_path / str(number)))
        assert divided.keys() == whole.keys()
        found[division] = max(distance(whole, divided, network) for network in networks)
    print(name, dtype, {key: f"{value:.1e}" for key, value in found.items()})
    assert max(found.values()) < BOUNDS[dtype], found
    assert min(found.values()) > 0  # they were divided
