"""Small stand-in files in the real formats of data sets and weights that cannot be downloaded."""

import gzip
import pickle
import struct
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from PIL import Image

from vaegan.pretrained import WEIGHT_FILES, WeightFile
from vaegan.randomness import seed_global_generator

BATCHES = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]


def draw_noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(0, 256, shape, dtype=np.uint8)


def write_mnist(raw: Path, packed: bool = False) -> np.ndarray:
    raw.mkdir(parents=True)
    images = draw_noise(30, 28, 28)
    for name, part in (("train", slice(0, 20)), ("t10k", slice(20, 30))):
        for kind, array in (("images-idx3", images[part]), ("labels-idx1", np.arange(30, dtype=np.uint8)[part] % 10)):
            content = struct.pack(f">I{array.ndim}I", 0x800 + array.ndim, *array.shape) + array.tobytes()
            path = raw / f"{name}-{kind}-ubyte"
            if packed:
                Path(f"{path}.gz").write_bytes(gzip.compress(content))
            else:
                path.write_bytes(content)
    return images


def write_cifar(folder: Path, protocol: int = 2) -> np.ndarray:
    folder.mkdir(parents=True)
    images = draw_noise(24, 3072)
    for number, name in enumerate(BATCHES):
        part = slice(4 * number, 4 * number + 4)
        batch = {"batch_label": name, "labels": [0, 3, 9, number], "data": images[part], "filenames": ["x.png"] * 4}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=protocol))
    names = [f"class{number}" for number in range(10)]
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": names, "num_vis": 3072}, protocol=protocol))
    return images.reshape(-1, 3, 32, 32)


def write_celeba(base: Path) -> None:
    """Write twelve faces: eight for training, one for validation, three for testing."""
    images = base / "img_align_celeba"
    images.mkdir(parents=True)
    lines = []
    for number in range(12):
        Image.fromarray(draw_noise(218, 178, 3)).save(images / f"{number:06}.jpg")
        lines.append(f"{number:06}.jpg {min(max(number - 7, 0), 2)}")
    (base / "list_eval_partition.txt").write_text("\n".join(lines) + "\n")


NETWORKS = {"alex": "alexnet", "vgg": "vgg16", "squeeze": "squeezenet1_1"}
"""Names of the networks in torchvision."""


def write_backbone(network: str) -> WeightFile:
    """Write a network's state dict with random weights where the published one would lie, and describe the file.

    Of torchvision's networks it has only the features; the metric has to ignore the other layers.
    """
    if network == "inception":
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3 as Inception

        layers = build_without_file(Inception)
        weights = layers.state_dict()
    else:
        import torchvision

        with torch.device("meta"):
            layers = getattr(torchvision.models, NETWORKS[network])(weights=None).features
        layers.to_empty(device="cpu")
        with seed_global_generator(1, "stand-in"):
            layers.apply(lambda layer: layer.reset_parameters() if isinstance(layer, torch.nn.Conv2d) else None)
        weights = {f"features.{name}": value for name, value in layers.state_dict().items()}
    path = WEIGHT_FILES[network].path
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(weights, path)
    return accept_file(network, path)


def accept_file(network: str, file: Path) -> WeightFile:
    """Return a description that accepts a file as the published one of a network."""
    return replace(WEIGHT_FILES[network], sha256=sha256(file.read_bytes()).hexdigest())


def build_without_file(kind: type[torch.nn.Module]) -> torch.nn.Module:
    """Build torch-fidelity's network with random weights of sensible size, always the same."""
    with seed_global_generator(1, "stand-in"), patch.object(torch, "load"), patch.object(kind, "load_state_dict"):
        network = kind("inception", ["2048"], feature_extractor_weights_path="none")
        for layer in network.modules():
            if isinstance(layer, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(layer.weight)
            elif isinstance(layer, torch.nn.BatchNorm2d):
                layer.running_mean.normal_(std=0.1)
                layer.running_var.uniform_(0.8, 1.2)
    return network
