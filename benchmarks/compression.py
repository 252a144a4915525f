"""Measure rate, distortion and perception of compressed test images: trained runs beside JPEG, WebP and AVIF.

    python benchmarks/compression.py RUN... --images 1000 --features runs/features/cifar10

The test images of the runs are written in their size as PNG files, compressed by each run at each `--rates`
(`vaegan compress --rate`) and by Pillow's codecs at each quality, one file an image, and compared with what comes back:
PSNR and SSIM (distortion), the Fréchet distance in the features of a classifier or of Inception, and the Laplacian gap
(perception). Bits per pixel are of the files, and of the codes alone; of Pillow's formats the latter are the bytes
beyond those of a grey image of the same size and quality, which holds little but headers. It prints Markdown, a row as
soon as it is known. Recorded results: benchmarks/README.md.
"""

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path

import PIL.Image
import torch
from PIL.Image import Image

import vaegan
from vaegan.cli.console import Console
from vaegan.config.schema import EvaluateConfig
from vaegan.evaluate.image_sets import evaluate_image_sets, open_image_sets
from vaegan.images import to_pil
from vaegan.progress import Reporter
from vaegan.storage.run_data import open_run_data
from vaegan.storage.run_folder import Run

QUALITIES = {"JPEG": (5, 20, 50, 80), "WEBP": (0, 20, 50, 80), "AVIF": (0, 20, 40, 60)}
"""Qualities of each format."""
COLUMNS = {
    "psnr": "PSNR, dB", "ssim": "SSIM", "fid": "FID", "fd_features": "Fréchet distance",
    "laplacian_gap": "Laplacian gap",
}  # fmt: skip
"""Columns of the table, by the metric of each; of the two Fréchet distances one is measured."""


def write_test_images(run: Path, count: int, folder: Path, console: Console) -> int:
    """Write evenly chosen test images of a run, and return the pixels of all of them."""
    data, _ = open_run_data(Run(run), Run(run).config, console)
    folder.mkdir()
    images = data.test[data.test.select_evenly(count)]
    for number, image in enumerate(images):
        to_pil(image).save(folder / f"{number:06}.png")
    return len(images) * images.shape[2] * images.shape[3]


def compress_by_run(run: Path, real: Path, rate: float, folder: Path) -> tuple[int, int]:
    """Compress images by a run and back, and return the bytes of the file and of the codes."""
    file = folder.with_suffix(".vg")
    sizes = vaegan.compress(run, real, output=file, rate=rate, progress=False)
    vaegan.decompress(run, file, output=folder, progress=False)
    return sizes.file_bytes, sizes.message_bytes


def compress_by_format(name: str, quality: int, real: Path, folder: Path) -> tuple[int, int]:
    """Compress images by a format of Pillow and back, and return the bytes of the files, and those beyond headers."""

    def encode(image: Image) -> bytes:
        content = BytesIO()
        image.save(content, name, quality=quality, **({"optimize": True} if name == "JPEG" else {}))
        return content.getvalue()

    folder.mkdir()
    total = headers = 0
    for file in sorted(real.iterdir()):
        image = PIL.Image.open(file)
        content = encode(image)
        decoded = PIL.Image.open(BytesIO(content)).convert(image.mode)
        decoded.save(folder / file.name)
        total += len(content)
        headers += len(encode(PIL.Image.new(image.mode, image.size, "grey")))
    return total, max(0, total - headers)


def main() -> None:
    """Print a row for each run and rate, and for each format and quality."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="runs on the same images")
    parser.add_argument("--images", type=int, default=1000, help="test images")
    parser.add_argument("--rates", type=float, nargs="+", default=[0.1, 0.2, 0.4], help="bits per pixel of the codes")
    parser.add_argument("--features", default="inception", help="inception, or a run of `vaegan train-features`")
    arguments, console = parser.parse_args(), Console()
    config = EvaluateConfig(
        metrics=("psnr", "ssim", "sharpness", "frechet"), features=arguments.features, samples=arguments.images
    )
    with tempfile.TemporaryDirectory() as scratch:
        real = Path(scratch) / "real"
        pixels = write_test_images(arguments.runs[0], arguments.images, real, console)
        columns = [key for key in COLUMNS if key != ("fd_features" if arguments.features == "inception" else "fid")]
        print("| | bits per pixel | codes alone |", " | ".join(COLUMNS[key] for key in columns), "|")
        print("|", " | ".join(["---"] * (3 + len(columns))), "|", flush=True)

        def measure(name: str, compress: Callable[[Path], tuple[int, int]]) -> None:
            with tempfile.TemporaryDirectory(dir=scratch) as place:
                folder = Path(place) / "made"
                sizes = compress(folder)
                (folder / "decoded.json").unlink(missing_ok=True)
                sets = open_image_sets(real, folder, Reporter())
                metrics = evaluate_image_sets(sets, config, Reporter()).metrics
            figures = [*(8 * size / pixels for size in sizes), *(metrics[f"reconstruction/{key}"] for key in columns)]
            print(f"| {name} |", " | ".join(f"{figure:.4g}" for figure in figures), "|", flush=True)

        torch.set_grad_enabled(False)
        for run in arguments.runs:
            for rate in arguments.rates:
                name = f"{run.resolve().parent.name}/{run.name} {rate:g}"
                measure(name, partial(compress_by_run, run, real, rate))
        for kind, qualities in QUALITIES.items():
            for quality in qualities:
                measure(f"{kind} {quality}", partial(compress_by_format, kind, quality, real))


if __name__ == "__main__":
    main()
