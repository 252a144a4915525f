"""Small files in the real formats of the sets and weights that cannot be fetched here."""

import gzip
import pickle
import struct
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from vaegan.randomness import seeded

BATCHES = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(0, 256, shape, dtype=np.uint8)


def write_mnist(raw: Path, packed: bool = False) -> np.ndarray:
    raw.mkdir(parents=True)
    images = noise(30, 28, 28)
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
    images = noise(24, 3072)
    for number, name in enumerate(BATCHES):
        part = slice(4 * number, 4 * number + 4)
        batch = {"batch_label": name, "labels": [0, 3, 9, number], "data": images[part], "filenames": ["x.png"] * 4}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=protocol))
    names = [f"class{number}" for number in range(10)]
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": names, "num_vis": 3072}, protocol=protocol))
    return images.reshape(-1, 3, 32, 32)


def write_celeba(base: Path) -> None:
    """Twelve faces: eight to train on, one to validate on, three to test on."""
    images = base / "img_align_celeba"
    images.mkdir(parents=True)
    lines = []
    for number in range(12):
        Image.fromarray(noise(218, 178, 3)).save(images / f"{number:06}.jpg")
        lines.append(f"{number:06}.jpg {min(max(number - 7, 0), 2)}")
    (base / "list_eval_partition.txt").write_text("\n".join(lines) + "\n")


def write_alexnet(folder: Path) -> Path:
    """AlexNet's state dict with random weights, named after its hash."""
    from torchvision.models import alexnet

    with torch.device("meta"):
        layers = alexnet(weights=None).features
    layers.to_empty(device="cpu")
    with seeded(1, "stand-in"):
        layers.apply(lambda layer: layer.reset_parameters() if isinstance(layer, torch.nn.Conv2d) else None)
    weights = {f"features.{name}": value for name, value in layers.state_dict().items()}
    folder.mkdir(parents=True)
    torch.save(weights, folder / "new.pth")
    return named_by_hash(folder / "new.pth")


def named_by_hash(file: Path) -> Path:
    """The file of AlexNet's weights under the name that its contents demand."""
    return file.rename(file.with_name(f"alexnet-owt-{sha256(file.read_bytes()).hexdigest()[:8]}.pth"))
