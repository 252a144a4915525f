"""Measure sets of millions of images: memory of a process, time to the first step, the turn of a pass; JPEG decoding.

    python benchmarks/large_sets.py write FOLDER --images 10000000
    vaegan index FOLDER
    python benchmarks/large_sets.py open FOLDER
    python benchmarks/large_sets.py jpeg

`write` makes tar shards of 10,000 JPEG files of 32 x 32 pixels and about 0.9 kB. `open` opens them as a training does,
and takes its first step and those around the turn of a pass. `jpeg` decodes photographs of 256 x 256 pixels on one
core, with this toolkit and with plain PyTorch.
"""

import argparse
import io
import os
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.io import ImageReadMode, decode_jpeg, read_file

from vaegan.config.data import DataConfig
from vaegan.data import iterate_batches
from vaegan.data.dataset import Images
from vaegan.data.sources import open_data, open_images
from vaegan.data.webdataset.build_index import build_index
from vaegan.progress import Reporter

IMAGES_OF_A_SHARD = 10_000
DIFFERENT_IMAGES = 2_000
BATCH = 64


def write_shards(folder: Path, count: int) -> None:
    """Write tar shards of small JPEG files with noise, of which there are `DIFFERENT_IMAGES`."""
    folder.mkdir(parents=True, exist_ok=True)
    generator, contents = np.random.default_rng(0), []
    for _ in range(DIFFERENT_IMAGES):
        low = Image.fromarray(generator.integers(0, 256, (4, 4, 3), dtype=np.uint8)).resize((32, 32))
        noisy = np.asarray(low) + generator.normal(0, 6, (32, 32, 3))
        contents.append(encode(np.clip(noisy, 0, 255).astype(np.uint8), 80))
    for start in range(0, count, IMAGES_OF_A_SHARD):
        with (folder / f"part-{start // IMAGES_OF_A_SHARD:05}.tar").open("wb") as file:
            for number in range(start, min(count, start + IMAGES_OF_A_SHARD)):
                content = contents[number * 7919 % DIFFERENT_IMAGES]
                header = tarfile.TarInfo(f"{number:09}.jpg")
                header.size = len(content)
                file.write(header.tobuf() + content + b"\0" * (-len(content) % tarfile.BLOCKSIZE))
            file.write(b"\0" * 2 * tarfile.BLOCKSIZE)


def encode(pixels: np.ndarray, quality: int) -> bytes:
    """Return pixels (H, W, 3) as JPEG."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def read_memory() -> dict[str, float]:
    """Return the memory of this process in MB: its own, and what is mapped from files, which processes share."""
    lines = Path("/proc/self/status").read_text().splitlines()
    values = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith(("Rss", "VmHWM"))}
    return {"own": int(values["RssAnon"]) / 1e3, "files": int(values["RssFile"]) / 1e3}


def measure_opening(folder: Path, workers: int) -> None:
    """Print what opening a set, the first step and the turn of a pass take."""
    config = DataConfig(source="webdataset", root=folder.absolute(), image_size=32, cache="none", workers=workers)
    before, start = read_memory(), time.monotonic()
    data = open_images(config, Reporter())
    opened = time.monotonic() - start
    steps = iterate(data.train, config, 0, 200)
    next(steps)
    first, after = time.monotonic() - start, read_memory()
    count = len(data.train)
    print(f"{count:,} of {count + len(data.validation) + len(data.test):,} images to train on, {workers} workers")
    print(f"opened after {opened:.2f} s, first step after {first:.2f} s")
    for name in before:
        print(f"memory, {name}: {after[name] - before[name]:.0f} MB more than before ({before[name]:.0f} MB)")
    seconds = time_each(steps)
    print(f"steps 2 to 200: {BATCH / np.mean(seconds):,.0f} images/s")
    turn = count // BATCH
    seconds = time_each(iterate(data.train, config, turn - 50, turn + 50))[1:]
    print(f"turn of a pass: slowest step {1e3 * max(seconds):.0f} ms, median {1e3 * np.median(seconds):.1f} ms")
    after = read_memory()
    for name in before:
        print(f"memory, {name}: {after[name] - before[name]:.0f} MB more after the turn")


def iterate(images: Images, config: DataConfig, start: int, stop: int) -> Iterator[object]:
    """Iterate over the batches of a training."""
    return iterate_batches(images, config, 0, BATCH, slice(0, BATCH), None, torch.device("cpu"), start, stop)


def time_each(steps: Iterator[object]) -> list[float]:
    """Return the seconds of each step."""
    times = [time.monotonic()]
    times += [time.monotonic() for _ in steps]
    return np.diff(times).tolist()


class Files(Dataset[Tensor]):
    """JPEG files, decoded in a plain way, uint8, shape (3, S, S)."""

    def __init__(self, paths: list[str], decode: Callable[[str], Tensor]) -> None:
        self.paths, self.decode = paths, decode

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        return self.decode(self.paths[index])


def decode_with_pillow(path: str) -> Tensor:
    """Decode a file with Pillow."""
    with Image.open(path) as image:
        return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)


def decode_with_torchvision(path: str) -> Tensor:
    """Decode a file with torchvision."""
    return decode_jpeg(read_file(path), ImageReadMode.RGB)


def measure_jpeg(count: int, rounds: int) -> None:
    """Print how many photographs a second one core decodes, the best of some rounds."""
    torch.set_num_threads(1)
    generator, photographs = np.random.default_rng(0), load_sample_images().images
    with tempfile.TemporaryDirectory() as folder:
        root, paths = Path(folder) / "files", []
        root.mkdir()
        for number in range(count):
            photograph = photographs[number % 2]
            top, left = (int(generator.integers(size - 256)) for size in photograph.shape[:2])
            paths.append(root / f"{number:05}.jpg")
            paths[-1].write_bytes(encode(photograph[top : top + 256, left : left + 256], 90))
        with tarfile.open(root.with_name("a.tar"), "w") as archive:
            for path in paths:
                archive.add(path, path.name)
        os.environ["VAEGAN_CACHE"] = str(Path(folder) / "cache")
        build_index(root.with_name("a.tar"))
        shared = {"image_size": 256, "cache": "none", "workers": 0, "validation": 0.0, "test": 0.0}
        loops: dict[str, Callable[[], Iterator[object]]] = {}
        for source, place in (("folder", root), ("webdataset", root.with_name("a.tar"))):
            config = DataConfig.model_validate({"source": source, "root": place, **shared})
            images = open_data(config).train
            loops[f"vaegan, {source}"] = lambda i=images, c=config: iterate(i, c, 0, count // BATCH)
        for name, decode in (("Pillow", decode_with_pillow), ("torchvision.io", decode_with_torchvision)):
            files = Files(list(map(str, paths)), decode)
            loops[f"DataLoader, {name}"] = lambda f=files: iter(DataLoader(f, BATCH, shuffle=True, drop_last=True))
        seconds: dict[str, list[float]] = {name: [] for name in loops}
        for _ in range(rounds):
            for name, loop in loops.items():
                start = time.process_time()
                batches = sum(1 for _ in loop())
                seconds[name].append((time.process_time() - start) / (batches * BATCH))
        size = sum(path.stat().st_size for path in paths) / count
        print(
            f"{count:,} photographs of 256 x 256 pixels, {size / 1e3:.1f} kB, {rounds} rounds, CPU time of one thread"
        )
        for name, values in seconds.items():
            print(f"{name}: {1 / min(values):,.0f} images/s (median {1 / np.median(values):,.0f})")


def main() -> None:
    """Run the part that is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="part", required=True)
    for name in ("write", "open"):
        part = parts.add_parser(name)
        part.add_argument("folder", type=Path)
        if name == "write":
            part.add_argument("--images", type=int, default=10_000_000)
        else:
            part.add_argument("--workers", type=int, default=4)
    part = parts.add_parser("jpeg")
    part.add_argument("--images", type=int, default=1024)
    part.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if options.part == "write":
        write_shards(options.folder, options.images)
    elif options.part == "open":
        measure_opening(options.folder, options.workers)
    else:
        measure_jpeg(options.images, options.rounds)


if __name__ == "__main__":
    main()
