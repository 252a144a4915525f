"""The number of processes is not a hyperparameter: any division of the batch trains the same weights."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from vaegan.config import dump_config
from vaegan.data import open_data
from vaegan.storage.run_folder import Run, read_description
from vaegan.trainers import train

from ..tiny import (
    FAMILIES,
    FAMILY_OPTIONS,
    LOOP_OPTIONS,
    NETWORKS,
    OTHER_GRIDS,
    OWN_OPTIONS,
    PATCHES,
    divide_cases,
    flatten,
    load_newest,
    tiny,
)
from .pool import Pool

STEPS = 20
Divisions = dict[str, tuple[int, tuple[str, ...]]]

DIVISIONS: Divisions = {
    "2 processes": (2, ()),
    "4 processes": (4, ()),
    "2 micro-batches": (1, ("train.micro_batch_size=8",)),
    "4 micro-batches": (1, ("train.micro_batch_size=4",)),
    "2 processes, 2 micro-batches": (2, ("train.micro_batch_size=4",)),
    "2 processes, 2 micro-batches, checkpointing": (2, ("train.micro_batch_size=4", "train.checkpointing=true")),
    "2 processes, DataLoader": (2, ("data.cache=none", "data.workers=1")),
    "2 micro-batches, DataLoader": (1, ("data.cache=none", "data.workers=1", "train.micro_batch_size=8")),
}
"""Ways to divide the 16 images of a step: number of processes, and words of the config."""
BOUNDS = {"float64": 1e-10, "float32": 1e-4}
SHORT_ROWS = {
    "float64": [name for name in FAMILIES if name not in (*PATCHES, "flow-grid")],  # PATCHES have a test of their own
    "float32": ["vaegan3"],
}
"""Families that every division trains in `make test`; the others are tried by `make test-long`."""


def get_words(name: str, dtype: str) -> tuple[str, ...]:
    loop = (f"train.dtype={dtype}", f"train.steps={STEPS}", "train.batch_size=16", "train.learning_rate=0.01")
    return (*loop, *LOOP_OPTIONS, *FAMILY_OPTIONS.get(name, ()))


def compute_distance(a: dict[str, Tensor], b: dict[str, Tensor], network: str) -> float:
    """Return the norm of the difference of a network's weights, relative to their norm."""
    keys = [key for key in a if key.startswith(f"{network}/")]
    difference, size = (
        torch.cat([value.double().flatten() for value in values]).norm()
        for values in ([b[key] - a[key] for key in keys], [a[key] for key in keys])
    )
    return float(difference / size)


def find_largest_distance(
    pool: Pool, folder: Path, name: str, words: tuple[str, ...], divisions: Divisions, own: bool = False
) -> float:
    """Train a family with whole and divided batches; return the largest distance of a division from the whole.

    With ``own`` its networks are those of `own_networks.py`.
    """
    jobs = []
    for number, (world, division) in enumerate([(1, ()), *divisions.values()]):
        file = folder / f"{number}.yaml"
        file.write_text(dump_config(tiny(name, *words, *division)))
        arguments = {"config": str(file), "folder": str(folder / str(number)), "own": [0] * world if own else None}
        jobs.append((world, "train", arguments))
    pool.run_all(jobs)
    whole = flatten(load_newest(folder / "0"))
    networks = {key.partition("/")[0] for key in whole if ".optimizer/" not in key}
    distances = {}
    for number, division in enumerate(divisions, start=1):
        divided = flatten(load_newest(folder / str(number)))
        assert divided.keys() == whole.keys()
        distances[division] = max(compute_distance(whole, divided, network) for network in networks)
    print(name, words[0], {key: f"{value:.1e}" for key, value in distances.items()})
    assert min(distances.values()) > 0  # they were divided
    return max(distances.values())


@pytest.mark.parametrize(
    ("name", "dtype"),
    divide_cases(
        [(name, dtype) for name in (*FAMILIES, *OTHER_GRIDS) for dtype in BOUNDS],
        [(name, dtype) for dtype, names in SHORT_ROWS.items() for name in names],
    ),
)
def test_every_division_of_the_batch_trains_the_same_weights(name: str, dtype: str, pool: Pool, tmp_path: Path) -> None:
    assert find_largest_distance(pool, tmp_path, name, get_words(name, dtype), DIVISIONS) < BOUNDS[dtype]


@pytest.mark.parametrize("dtype", divide_cases(BOUNDS, ["float64"]))
def test_every_division_of_the_batch_trains_the_same_weights_of_own_modules(
    dtype: str, pool: Pool, tmp_path: Path
) -> None:
    loop = (f"train.dtype={dtype}", f"train.steps={STEPS}", "train.batch_size=16", "train.learning_rate=0.01")
    divisions = {key: division for key, division in DIVISIONS.items() if "DataLoader" not in key}
    words = (*loop, *LOOP_OPTIONS, *OWN_OPTIONS)
    assert find_largest_distance(pool, tmp_path, "vaegan3", words, divisions, own=True) < BOUNDS[dtype]


def test_adaptive_state_adapts_alike(pool: Pool, tmp_path: Path) -> None:
    """The adaptive weight, ADA's strength and LeCam's averages follow the whole batch, however it is divided."""
    adaptive = (
        "model.adversarial.loss=relativistic", "model.adversarial.adaptive=[0.01,100]", "model.adversarial.lecam=0.3",
        "model.adversarial.augment_target=0.1", "model.adversarial.augment_images=2000", "model.adversarial.r2=0.5",
        "model.adversarial.augment=0.5", "model.adversarial.warmup_steps=3", "model.adversarial.ramp_steps=5",
        "model.cycle=0.2",
    )  # fmt: skip
    divisions = {key: DIVISIONS[key] for key in ("2 processes", "2 micro-batches", "2 processes, 2 micro-batches")}
    words = (*get_words("vaegan3", "float64"), *adaptive)
    assert find_largest_distance(pool, tmp_path, "vaegan3", words, divisions) < BOUNDS["float64"]
    final = {key: value for key, value in flatten(load_newest(tmp_path / "0")).items() if key.startswith("controls/")}
    assert {key.removeprefix("controls/") for key in final} == {
        "adaptive", "augment", "real", "fake", "instance_queue/1"
    }  # fmt: skip
    assert 0 < final["controls/augment"] < 1 and final["controls/augment"] != 0.5 and final["controls/adaptive"] != 1


@pytest.mark.parametrize("name", divide_cases([*PATCHES, "vaegan1-diffusers"], PATCHES))
def test_a_grid_with_everything_is_divided_alike(name: str, pool: Pool, tmp_path: Path) -> None:
    """LPIPS and the adaptive weight, which multiplies the rounding of float32, are compared in float64 alone."""
    options = ("model.adversarial.adaptive=[0.01,100]", "model.perceptual=1", "model.perceptual_network=random")
    divisions = {key: DIVISIONS[key] for key in ("4 processes", "2 processes, 2 micro-batches")}
    words = (*get_words(name, "float64"), *options)
    assert find_largest_distance(pool, tmp_path, name, words, divisions) < BOUNDS["float64"]


def test_a_decoder_alone_is_divided_alike(pool: Pool, tmp_path: Path) -> None:
    """A frozen encoder has no gradient that a process could wait for, with an adaptive weight and R1 on patches.

    It is that of a run, which every process reads; the scale of its codes is measured by all of them.
    """
    donor = tiny("vae-grid", "train.steps=1", "seed=9", "train.dtype=float64")
    train(donor, tmp_path / "donor", open_data(donor.data))
    divisions = {key: DIVISIONS[key] for key in ("4 processes", "2 processes, 2 micro-batches, checkpointing")}
    words = (*get_words("vaegan1-grid", "float64"), "train.freeze=[encoder]", f"train.init={tmp_path / 'donor'}")
    assert find_largest_distance(pool, tmp_path, "vaegan1-grid", words, divisions) < BOUNDS["float64"]
    runs = [Run(tmp_path / name) for name in ("0", "1", "2", "donor")]
    whole, *divided, source = (read_description(run.model_folder).code_scale for run in runs)
    assert whole is not None and divided == [whole, whole] and whole.std == pytest.approx(source.std, rel=0.05)
    assert len({json.dumps(run.config.train.init_sha256) for run in runs[:3]}) == 1


@pytest.mark.parametrize("network", divide_cases(NETWORKS, ["resnet", "inverted_residual"]))
def test_every_kind_of_network_can_be_divided(network: str, pool: Pool, tmp_path: Path) -> None:
    kinds = (f"model.network={network}", f"model.discriminator.network={network}")
    if network == "inverted_residual":
        kinds += ("model.discriminator.spectral_norm=false",)
    keys = ("2 processes", "2 processes, 2 micro-batches, checkpointing")
    divisions = {key: DIVISIONS[key] for key in keys}
    words = (*get_words("vaegan3", "float64"), *kinds)
    assert find_largest_distance(pool, tmp_path, "vaegan3", words, divisions) < BOUNDS["float64"]
