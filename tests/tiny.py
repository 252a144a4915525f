"""The smallest runs that have everything: 8x8 digits, four latent dimensions, eight channels."""

import atexit
import json
from collections.abc import Container, Iterable, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from _pytest.mark import ParameterSet
from torch import Tensor

from vaegan.config.load import add_configs_of_runs, merge, parse_overrides, validate_config
from vaegan.config.schema import Config
from vaegan.data import open_data
from vaegan.storage.checkpoints import Checkpoint, load_newest_checkpoint
from vaegan.storage.run_folder import Run
from vaegan.trainers import train

VECTOR_ADVERSARIES = ("vaegan2", "vaegan3", "larsen", "ganvae")
"""Families with a discriminator whose code is one vector."""
VECTORS = ("ae", "vae", *VECTOR_ADVERSARIES)
"""Families whose code is one vector."""
PATCHES = ("vaegan1-grid", "vaegan3-grid")
"""Families whose code is a grid, with a discriminator of patches: of real and reconstructed images, or three-way."""
GRIDS = ("vae-grid", *PATCHES)
"""Families whose code is a grid of vectors."""
OTHER_GRIDS = ("larsen-grid", "ganvae-grid")
"""Further such families, which have their rows in the oracle, in micro-batches and, long, in equality alone."""
ADVERSARIES = (*VECTOR_ADVERSARIES, *PATCHES)
"""Families that have a discriminator."""
FLOWS = ("flow", "flow-grid")
"""Priors over the codes of an autoencoder whose code is one vector, and of one whose code is a grid."""
AUTOENCODERS = (*VECTORS, *GRIDS, "vqvae", "pixelcnn", *FLOWS)
FAMILIES = (*AUTOENCODERS, "classifier")


def divide_cases(cases: Iterable[Any], short: Container[Any]) -> list[ParameterSet]:
    """Return the parameters of a test: the cases in ``short`` run in `make test`, the others in `make test-long`."""
    return [
        pytest.param(*(case if isinstance(case, tuple) else [case]), marks=[] if case in short else [pytest.mark.long])
        for case in cases
    ]


CROSSED_FAMILIES = divide_cases(FAMILIES, ("vae", "ganvae", "vaegan3", "vaegan3-grid", "vqvae", "pixelcnn"))
"""`FAMILIES` for tests that each cross with options; in `make test` some stand for the others."""
NETWORKS = ("mlp", "conv", "antialiased", "resnet", "inverted_residual")
BUILDS = (
    *((name, network) for name in VECTORS for network in NETWORKS),
    *((name, network) for name in GRIDS for network in NETWORKS[1:]),
    *((name, "conv") for name in OTHER_GRIDS),
    ("vqvae", "grid"),
    ("pixelcnn", "gated"),
    ("flow", "mlp"),
    ("flow-grid", "conv"),
    ("classifier", "resnet"),
)
"""Each family with each kind of network that it can be built of."""

LOOP_OPTIONS = (
    "data.horizontal_flip=true", "train.clip_norm=0.5", "train.ema_decay=0.9", "train.warmup_steps=2",
    "train.learning_rate={start: 1.0e-3, end: 0}",
)  # fmt: skip
"""Overrides that switch on options of the loop that are off by default."""


CONDITIONAL_OPTIONS = {
    "vae": ("model.labels=10",),
    "vaegan2": ("model.labels=10", "model.discriminator.condition=auxiliary"),
    "vaegan3": ("model.labels=10",),
    "larsen": ("model.labels=10", "model.discriminator.condition=auxiliary"),
    "ganvae": ("model.labels=10",),
    "vaegan3-grid": ("model.labels=10",),
    "pixelcnn": ("model.labels=10",),
    "flow": ("model.labels=10",),
    "flow-grid": ("model.labels=10",),
}
"""Overrides that make a family conditional, by its name."""
SCHEDULE_OPTIONS = (
    "train.learning_rate={start: 1e-3, end: 1e-4, images: 40}",
    "train.discriminator_learning_rate={start: 1e-4, end: 2e-3, images: 32}",
    "train.betas=[{start: 0.9, end: 0.5, images: 30, shape: linear}, {start: 0.9, end: 0.99, images: 24}]",
    "train.ema_half_life={start: 1, end: 24, images: 40}",
    "train.second_ema_half_life={start: 50, end: 4, images: 36}", "train.ema_metric=sample/spectrum_error",
    "train.evaluate_every=2", "evaluate.metrics=[psnr,sharpness]",
    "model.adversarial.r1={start: 1, end: 0.1, images: 24}",
    "model.adversarial.r2={start: 0.1, end: 0.5, images: 32, shape: linear}",
    "model.adversarial.weight={start: 0.05, end: 0.2, images: 40, shape: linear}",
)  # fmt: skip
"""Overrides of a VAE-GAN that give a schedule to everything that can have one, a second average of the weights too."""
FAMILY_OPTIONS = {
    "vae": ("model.learned_scale=true", *CONDITIONAL_OPTIONS["vae"]),
    "vaegan2": (
        "model.likelihood=bernoulli", "model.discriminator.spectral_norm=true", *CONDITIONAL_OPTIONS["vaegan2"],
    ),
    "vaegan3": (
        "model.learned_scale=true", "model.discriminator.spectral_norm=true", "model.adversarial.adaptive=[0.01,100]",
        "model.adversarial.instance=0.3", "model.discriminator.instance_layers=[1]",
        "model.adversarial.instance_queue=20", *CONDITIONAL_OPTIONS["vaegan3"], *SCHEDULE_OPTIONS,
    ),
    "larsen": ("model.discriminator.spectral_norm=true", *CONDITIONAL_OPTIONS["larsen"]),
    "ganvae": (
        "model.discriminator.spectral_norm=true", "model.adversarial.lecam=0.3",
        "model.adversarial.augment_target=0.1", "model.adversarial.augment_images=200",
        "model.discriminator.projected_layers=[1,2]", *CONDITIONAL_OPTIONS["ganvae"],
    ),
    "vaegan1-grid": (
        "model.adversarial.loss=hinge", "model.discriminator.norm=group", "model.adversarial.adaptive=[0.01,100]",
        "model.likelihood=laplace", "model.discriminator.packing=2",
    ),
    "vaegan3-grid": (
        "model.attention=true", "model.discriminator.spectral_norm=true", "model.discriminator.scales=[1,2]",
        "model.adversarial.lecam=0.3",
        *CONDITIONAL_OPTIONS["vaegan3-grid"],
    ),
    "pixelcnn": CONDITIONAL_OPTIONS["pixelcnn"],
    "flow": CONDITIONAL_OPTIONS["flow"],
    "flow-grid": (*CONDITIONAL_OPTIONS["flow-grid"], "model.solver=euler"),
    "vqvae": ("model.cosine=true", "model.codebook_decay=0.5", "model.revive_below=3"),
}  # fmt: skip
"""Overrides that switch on options of a family that are off by default, by its name."""
OWN_OPTIONS = (
    "model.learned_scale=true", "model.adversarial.adaptive=[0.01,100]", *CONDITIONAL_OPTIONS["vaegan3"],
)  # fmt: skip
"""Overrides of `vaegan3` whose networks are those of `own_networks.py`."""
VQVAE_SIZES = {"residual_width": 4, "depth": 1, "codes": 8, "code_size": 4}


DIFFUSERS = {
    "AutoencoderKL": {
        "block_out_channels": [8, 8], "down_block_types": ["DownEncoderBlock2D"] * 2,
        "up_block_types": ["UpDecoderBlock2D"] * 2, "norm_num_groups": 4,
    },
    "AsymmetricAutoencoderKL": {
        "down_block_out_channels": [8, 8], "down_block_types": ["DownEncoderBlock2D"] * 2,
        "up_block_out_channels": [8, 8], "up_block_types": ["UpDecoderBlock2D"] * 2, "norm_num_groups": 4,
    },
    "AutoencoderTiny": {
        "encoder_block_out_channels": [8, 8], "decoder_block_out_channels": [8, 8], "num_encoder_blocks": [1, 1],
        "num_decoder_blocks": [1, 1],
    },
    "AutoencoderDC": {
        "encoder_block_out_channels": [8, 8], "decoder_block_out_channels": [8, 8], "encoder_layers_per_block": [1, 1],
        "decoder_layers_per_block": [1, 1], "encoder_qkv_multiscales": [[], []], "decoder_qkv_multiscales": [[], []],
    },
}  # fmt: skip
"""Smallest config of each autoencoder of diffusers, but for the channels of its code."""


def tiny(name: str, *overrides: str) -> Config:
    """Return the config of a family of `FAMILIES`, or `vaegan1-diffusers`, with ``key.sub=value`` overrides."""
    family, _, code = name.partition("-")
    model: dict[str, object] = {"family": family.rstrip("123"), "width": 8}
    if name == "classifier":
        model |= {"classes": 10}
    if name == "vqvae":
        model |= VQVAE_SIZES
    if name == "pixelcnn":
        model |= {"depth": 1, "autoencoder": {"family": "vqvae", "width": 8, **VQVAE_SIZES}}
    if name in FLOWS:
        autoencoder = tiny("vae-grid" if code == "grid" else "vae").model.model_dump(mode="json")
        model |= {"depth": 1, "solver_steps": 3, "autoencoder": autoencoder}
    if name in VECTORS:
        model |= {"latent_size": 4}
    if name.startswith("vae"):
        model |= {"scale": 0.5}
    if name.startswith("vae") or family == "larsen":
        model |= {"free_bits": 0.05}
    if name in (*ADVERSARIES, *OTHER_GRIDS) or code == "diffusers":
        model["discriminator"] = {"width": 8}
    if name.startswith("vaegan"):
        model["discriminator"] |= {"classes": {"1": "reconstructed", "2": "two", "3": "three"}[family[-1]]}
        model["adversarial"] = {"weight": 0.7, "similarity": 0.3, "r1": 0.5, "penalty_every": 2}
    if code == "grid" and name not in FLOWS:
        model |= {"code": "grid", "downsampling": 4, "code_channels": 3}
    if code == "diffusers":
        del model["width"]
        model |= {"network": "diffusers", "diffusers": {"_class_name": "AutoencoderKL", **DIFFUSERS["AutoencoderKL"]}}
    if name in PATCHES or code == "diffusers":
        model["discriminator"] |= {"network": "patch"}
    if family == "larsen":
        model["gamma"] = 0.02
    if family == "ganvae":
        model |= {"adversarial": {"weight": 0.7, "r1": 0.5, "penalty_every": 2}, "cycle": 0.4}
    tree = {
        "seed": 5,
        "model": model,
        "data": {"source": "digits", "image_size": 8, "channels": 1},
        "train": {"steps": 5, "batch_size": 8, "log_every": 2},
        "track": {"wandb": "disabled"},
    }
    if name == "pixelcnn":
        tree["prior"] = {"autoencoder": str(train_once("vqvae"))}
    if name in FLOWS:
        tree["prior"] = {"autoencoder": str(train_once("vae-grid" if code == "grid" else "vae"))}
    tree = merge(tree, parse_overrides(overrides))
    if tree["model"].get("discriminator", {}).get("projected_layers"):
        tree["train"]["discriminator_features"] = str(train_once("classifier"))
    return validate_config(Config, add_configs_of_runs(tree), name)


def tiny_diffusers(family: str, name: str = "AutoencoderKL", *overrides: str) -> Config:
    """Return the config of a family `ae`, `vae` or `vaegan` with the networks of a class of diffusers."""
    networks = {"_class_name": name, "latent_channels": 4, **DIFFUSERS[name]}
    model: dict[str, object] = {"family": family, "network": "diffusers", "diffusers": networks}
    if family == "vaegan":
        model["discriminator"] = {"classes": "reconstructed", "network": "patch", "width": 8}
    tree = tiny("ae").model_dump(mode="json", exclude={"model", "networks", "prior"}) | {"model": model}
    return validate_config(Config, merge(tree, parse_overrides(overrides)), name)


@cache
def train_once(name: str) -> Path:
    """Train what another run is built on, and return its run folder, which is deleted when this process ends."""
    folder = TemporaryDirectory()
    atexit.register(folder.cleanup)
    config = tiny(name)
    return train(config, Path(folder.name) / name, open_data(config.data)).path


def get_network_overrides(name: str, network: str) -> tuple[str, ...]:
    """Return the overrides that build a family of a kind of network of `BUILDS`."""
    grids = (*GRIDS, *OTHER_GRIDS)
    parts = ("", "discriminator.") if name in VECTOR_ADVERSARIES else ("",) if name in (*VECTORS, *grids) else ()
    return tuple(f"model.{part}network={network}" for part in parts)


def get_network_names(name: str) -> list[str]:
    """Return the names of the networks of a family, the model first."""
    return {"classifier": ["classifier"], **{prior: ["prior"] for prior in ("pixelcnn", *FLOWS)}}.get(
        name, ["autoencoder"] + ["discriminator"] * (name in (*ADVERSARIES, *OTHER_GRIDS))
    )


def get_first_loss_name(name: str) -> str:
    """Return the name of the first loss term that a family logs."""
    return {
        "classifier": "loss/cross_entropy", "pixelcnn": "loss/prior", "flow": "loss/velocity", "larsen": "loss/kl",
        "ganvae": "loss/adversarial",
    }.get(name.removesuffix("-grid"), "loss/reconstruction")  # fmt: skip


def load_newest(folder: Path) -> Checkpoint:
    """Return the newest checkpoint of a run, which must be intact."""

    def fail(message: str) -> None:
        raise AssertionError(message)

    checkpoint = load_newest_checkpoint(folder / "checkpoints", fail)
    assert checkpoint is not None
    return checkpoint


def read_run_files(folder: Path) -> dict[str, bytes]:
    """Return the contents of everything in a run folder that its config determines, by path; of a folder nothing."""
    paths = [path for path in folder.rglob("*") if path.name != "timing.jsonl"]
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b"" for path in paths}


def flatten(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """Return copies of all tensors of a checkpoint, whose own are memory maps, by ``file/key``."""
    return {
        f"{file}/{key}": value.clone() for file, tensors in checkpoint.tensors.items() for key, value in tensors.items()
    }


def find_largest_difference(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> tuple[float, str]:
    """Return the largest difference of two sets of tensors, relative to each tensor's largest value, and its key."""
    assert a.keys() == b.keys()
    return max(((b[key] - a[key]).abs().max() / a[key].abs().max().clamp_min(1e-30)).item() for key in a), max(
        a, key=lambda key: ((b[key] - a[key]).abs().max() / a[key].abs().max().clamp_min(1e-30)).item()
    )


def are_bit_identical(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    """Return whether two sets of tensors are equal, bit for bit."""
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def assert_same_history(one: Run, two: Run) -> None:
    """Assert that two runs have logged the same scalars at the same steps, up to the rounding of sums."""
    lines = [[json.loads(line) for line in run.history_file.read_text().splitlines()] for run in (one, two)]
    assert lines[0] and [line["step"] for line in lines[0]] == [line["step"] for line in lines[1]]
    for a, b in zip(*lines, strict=True):
        assert a.keys() == b.keys()
        assert all(b[key] == pytest.approx(a[key], rel=1e-6, abs=1e-9) for key in a if isinstance(a[key], float))
