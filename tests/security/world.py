"""A working folder with everything that the commands read, each data set in its real format, and what they read."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest
import yaml
from PIL import Image

from ..standins import draw_noise, write_backbone, write_celeba, write_cifar, write_mnist

RUN = {
    "model": {
        "family": "vaegan", "network": "mlp", "width": 8, "latent_size": 2,
        "discriminator": {"network": "mlp", "width": 8},
    },
    "train": {"steps": 4, "batch_size": 4, "checkpoint_every": 2},
    "evaluate": {"metrics": ["psnr", "lpips", "frechet"], "features": "runs/features/net", "batch_size": 8},
    "track": {"wandb": "disabled"},
}  # fmt: skip
SETS = {"folder": "images", "cifar10": "sets", "mnist": "sets", "fashion_mnist": "sets", "celeba": "sets"}
FOLDERS = {"TORCH_HOME": "torch", "VAEGAN_CACHE": "cache"}
"""Environment variables and the folders that they name."""
IMAGES = ("images/a/00.png", "images/b/01.png")

NET = {
    "model": {"family": "classifier", "classes": 2, "width": 8},
    "train": {"steps": 2, "batch_size": 4},
    "track": {"wandb": "disabled"},
}

PRIOR = {
    "vqvae": {"model": {"family": "vqvae", "width": 8, "codes": 4, "code_size": 2}},
    "pixelcnn": {
        "model": {"family": "pixelcnn", "width": 8, "depth": 1, "labels": 2},
        "prior": {"autoencoder": "runs/vqvae"},
    },
    "flow": {
        "model": {"family": "flow", "width": 8, "depth": 1},
        "prior": {"autoencoder": "runs/folder"},
    },
}
"""Settings of an autoencoder, and of priors that read its run and that of `RUN`."""

COMMANDS: list[tuple[list[str], list[str]]] = [
    (["train-features", "net.yaml"], []),
    (["train", "folder.yaml", "--dry-run"], []),
    (["train", "folder.yaml"], []),
    (["train", "folder.yaml", "--resume"], []),
    (["train", "folder.yaml", "--resume"], ["runs/folder/model"]),
    (["evaluate", "runs/folder"], []),
    (["evaluate", "runs/folder"], []),
    (["sample", "runs/folder"], []),
    (["reconstruct", "runs/folder", *IMAGES], []),
    (["interpolate", "runs/folder", *IMAGES], []),
    (["compare", "study.yaml"], []),
    (["compare", "study.yaml"], []),
    *((["train", f"{name}.yaml", "train.steps=1"], []) for name in SETS if name != "folder"),
    (["train", "vqvae.yaml"], []),
    (["train", "pixelcnn.yaml"], []),
    (["sample", "runs/pixelcnn", "--label", "a"], []),
    (["train", "flow.yaml"], []),
    (["sample", "runs/flow"], []),
]
"""Commands to run one after another, each with the folders that are deleted before it."""


@dataclass(frozen=True)
class World:
    """The working folder, and a copy of it from before each command."""

    work: Path
    copies: Path
    opened_files: list[list[str]]
    """Names of the files that each command reads."""

    def restore(self, number: int) -> None:
        """Restore the folder to its state before a command, and change to it."""
        shutil.rmtree(self.work)
        shutil.copytree(self.copies / str(number), self.work, copy_function=_copy)
        os.chdir(self.work)


def build_world(folder: Path) -> World:
    """Build the working folder, and run every command in another process."""
    work, copies = folder / "work", folder / "copies"
    for number in range(12):
        image = work / "images" / "ab"[number % 2] / f"{number:02}.png"
        image.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw_noise(8 + number, 9, 3)).save(image)
    write_cifar(work / "sets" / "cifar-10-batches-py")
    write_mnist(work / "sets" / "MNIST" / "raw")
    write_mnist(work / "sets" / "FashionMNIST" / "raw", packed=True)
    write_celeba(work / "sets" / "celeba")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_HOME", str(work / "torch"))
        write_backbone("alex")
    for source, root in SETS.items():
        config = {**RUN, "data": {"source": source, "root": str(work / root), "image_size": 8}}
        (work / f"{source}.yaml").write_text(yaml.safe_dump(config))
    for name, others in PRIOR.items():
        (work / f"{name}.yaml").write_text(yaml.safe_dump({**RUN, "data": get_data_section(work), **others}))
    net = {**NET, "data": get_data_section(work)}
    (work / "net.yaml").write_text(yaml.safe_dump(net))
    variants = {name: {"recipe": "folder.yaml", "set": {"model": {"beta": int(name[1])}}} for name in ("v1", "v2")}
    study = {"title": "T", "variants": variants, "shared": {"evaluate": {"metrics": ["psnr"]}}}
    (work / "study.yaml").write_text(yaml.safe_dump(study))
    command = [sys.executable, Path(__file__).with_name("record_opens.py"), work, copies, json.dumps(COMMANDS)]
    paths = os.pathsep.join(path for path in sys.path if path)
    environment = os.environ | {name: str(work / folder) for name, folder in FOLDERS.items()} | {"PYTHONPATH": paths}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return World(work, copies, json.loads(done.stdout))


def get_data_section(work: Path) -> dict[str, object]:
    """Return the `data` section of runs that train on the folder of images."""
    return {"source": "folder", "root": str(work / "images"), "image_size": 8}


def fix_checksums(file: Path) -> None:
    """Update the checksums of a file that was exchanged, as an attacker would."""
    if file.parent.name.startswith("step_") and file.name != "sha256.json":
        _set(file.with_name("sha256.json"), file.name, file)
    if file.name == "model.safetensors":
        _set(file.with_name("config.json"), "sha256", file)
    if file.name == "scores.safetensors":
        _set(file.with_name("metrics.json"), "scores", file)


def _set(description: Path, key: str, file: Path) -> None:
    checksum = sha256(file.read_bytes()).hexdigest()
    description.write_text(json.dumps({**json.loads(description.read_text()), key: checksum}))


def _copy(source: str, target: str) -> None:
    """Copy a file; link the large one, which no command writes into."""
    (os.link if source.endswith(".pth") else shutil.copyfile)(source, target)
