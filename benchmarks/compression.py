"""Measure rate, distortion and perception of compressed images: trained runs beside JPEG, WebP and AVIF.

    python benchmarks/compression.py RUN... --images 1000 --features runs/features/cifar10

The test images of the runs are written in their size as PNG files, compressed by each run at each `--rates`
(`vaegan compress --rate`) and by Pillow's codecs at each quality, one file an image, and compared with what comes back:
PSNR and SSIM (distortion), the Fréchet distance in the features of a classifier or of Inception, and the Laplacian gap
(perception). `--folder FOLDER` takes the images of a folder in their own sizes in the place of the test images, for
runs whose code is a grid; of these there is no Laplacian gap, and a Fréchet distance of Inception alone. Bits per pixel
are of the files, and of the codes alone; of Pillow's formats the latter are the bytes beyond those of a grey image of
the same size and quality, which holds little but headers. It prints Markdown, a row as soon as it is known. `--plot
FILE` draws the figures over the bits of the codes alone (Blau & Michaeli 2019, *Rethinking lossy compression: the
rate-distortion-perception tradeoff*). Recorded results: benchmarks/README.md.
"""

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from io import BytesIO
from pathlib import Path

import PIL.Image
import torch
from PIL.Image import Image

import vaegan
from vaegan.cli.console import Console
from vaegan.config.schema import EvaluateConfig
from vaegan.data import find_images
from vaegan.data.image_file import read_whole_image
from vaegan.evaluate.image_sets import evaluate_image_sets, open_image_sets
from vaegan.evaluate.metrics.build import ONE_SIZE_METRICS
from vaegan.images import to_pil
from vaegan.plotting import matplotlib_defaults
from vaegan.progress import Reporter
from vaegan.storage.run_data import open_run_data
from vaegan.storage.run_folder import Run

QUALITIES = {"JPEG": (5, 20, 50, 80), "WEBP": (0, 20, 50, 80), "AVIF": (0, 20, 40, 60)}
"""Qualities of each format."""
COLUMNS = {
    "psnr": "PSNR, dB", "ssim": "SSIM", "frechet": "Fréchet distance", "laplacian_gap": "Laplacian gap",
}  # fmt: skip
"""Columns of the table, by the figure in each."""
METRICS = {"psnr": "psnr", "ssim": "ssim", "frechet": "frechet", "laplacian_gap": "sharpness"}
"""Name of the metric in the config that gives the figure of each column."""
Point = tuple[float, dict[str, float]]
"""Bits per pixel of the codes alone, and the metrics there."""


def write_test_images(run: Path, count: int, folder: Path, console: Console) -> int:
    """Write evenly chosen test images of a run, in folders of their classes, and return the pixels of all of them."""
    data, _ = open_run_data(Run(run), Run(run).config, console)
    positions = data.test.select_evenly(count)
    images, labels = data.test[positions], data.test.labels
    for number, (position, image) in enumerate(zip(positions.tolist(), images, strict=True)):
        place = folder / ("images" if labels is None else data.test.classes[int(labels[position])])
        place.mkdir(parents=True, exist_ok=True)
        to_pil(image).save(place / f"{number:06}.png")
    return len(images) * images.shape[2] * images.shape[3]


def write_whole_images(run: Path, source: Path, count: int, folder: Path) -> int:
    """Write evenly chosen images of a folder in their own sizes, and return the pixels of all of them."""
    folder.mkdir()
    names, channels, pixels = find_images(source), Run(run).config.data.channels, 0
    for number, name in enumerate(names[:: -(-len(names) // count)]):
        image = torch.from_numpy(read_whole_image(source / name, channels))
        to_pil(image).save(folder / f"{number:06}.png")
        pixels += image.shape[1] * image.shape[2]
    return pixels


def compress_by_run(run: Path, real: Path, rate: float | None, native_size: bool, folder: Path) -> tuple[int, int]:
    """Compress images by a run and back, and return the bytes of the file and of the codes."""
    file = folder.with_suffix(".vg")
    sizes = vaegan.compress(run, real, output=file, rate=rate, native_size=native_size, progress=False)
    vaegan.decompress(run, file, output=folder, progress=False)
    return sizes.file_bytes, sizes.message_bytes


def compress_by_format(name: str, quality: int, real: Path, folder: Path) -> tuple[int, int]:
    """Compress images by a format of Pillow and back, and return the bytes of the files, and those beyond headers."""

    def encode(image: Image) -> bytes:
        content = BytesIO()
        image.save(content, name, quality=quality, **({"optimize": True} if name == "JPEG" else {}))
        return content.getvalue()

    total = headers = 0
    for file in sorted(real.rglob("*.png")):
        image = PIL.Image.open(file)
        content = encode(image)
        decoded = PIL.Image.open(BytesIO(content)).convert(image.mode)
        place = folder / file.relative_to(real)
        place.parent.mkdir(parents=True, exist_ok=True)
        decoded.save(place)
        total += len(content)
        headers += len(encode(PIL.Image.new(image.mode, image.size, "grey")))
    return total, max(0, total - headers)


def name_run(run: Path) -> str:
    """Return the name of a run, or of its variant in a study."""
    folder = run.resolve()
    return folder.parent.name if folder.name.startswith("seed_") else folder.name


def plot_curves(curves: Mapping[str, list[Point]], columns: Mapping[str, str], file: Path) -> None:
    """Draw each metric of the columns over the bits per pixel, a curve for each run and format."""
    with matplotlib_defaults({"font.size": 8, "axes.spines.top": False, "axes.spines.right": False}):
        from matplotlib.figure import Figure
        from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

        figure = Figure(figsize=(2.8 * len(columns), 2.8), layout="constrained")
        for axes, key in zip(figure.subplots(1, len(columns)), columns, strict=True):
            for name, points in curves.items():
                bits, values = zip(*((bits, metrics[key]) for bits, metrics in points), strict=True)
                axes.plot(bits, values, "--" if name in QUALITIES else "-", marker="o", markersize=3, label=name)
            axes.set_xscale("log")
            if key not in ("psnr", "ssim"):
                axes.set_yscale("log")
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_formatter(FormatStrFormatter("%g"))
                axis.set_minor_formatter(NullFormatter())
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.set_title(columns[key], loc="left", fontsize=8, fontweight="bold")
            axes.set_xlabel("bits per pixel of the codes")
            axes.grid(alpha=0.3)
        handles, names = axes.get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=len(names), frameon=False)
        figure.savefig(file, dpi=120)


def main() -> None:
    """Print a row for each run and rate, and for each format and quality."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="runs on the same images")
    parser.add_argument("--images", type=int, default=1000, help="most images")
    parser.add_argument("--folder", type=Path, help="folder of images, in their own sizes, for the test images")
    parser.add_argument(
        "--rates", type=float, nargs="+", default=[0.1, 0.2, 0.4], help="bits per pixel of codes that are rounded"
    )
    parser.add_argument("--features", default="inception", help="inception, or a run of `vaegan train-features`")
    parser.add_argument("--plot", type=Path, help="picture to write")
    arguments, console = parser.parse_args(), Console()
    native_size = arguments.folder is not None
    of_one_size = ONE_SIZE_METRICS | (set() if arguments.features == "inception" else {"frechet"})
    columns = {key: title for key, title in COLUMNS.items() if not (native_size and METRICS[key] in of_one_size)}
    config = EvaluateConfig(
        metrics=tuple(METRICS[key] for key in columns), features=arguments.features, samples=arguments.images
    )
    with tempfile.TemporaryDirectory() as scratch:
        real = Path(scratch) / "real"
        if native_size:
            pixels = write_whole_images(arguments.runs[0], arguments.folder, arguments.images, real)
        else:
            pixels = write_test_images(arguments.runs[0], arguments.images, real, console)
        frechet = "fid" if arguments.features == "inception" else f"fd_{Path(arguments.features).name}"
        print("| | bits per pixel | codes alone |", " | ".join(columns.values()), "|")
        print("|", " | ".join(["---"] * (3 + len(columns))), "|", flush=True)

        curves: dict[str, list[Point]] = defaultdict(list)

        def measure(curve: str, setting: float | None, compress: Callable[[Path], tuple[int, int]]) -> None:
            with tempfile.TemporaryDirectory(dir=scratch) as place:
                folder = Path(place) / "made"
                sizes = compress(folder)
                (folder / "decoded.json").unlink(missing_ok=True)
                sets = open_image_sets(real, folder, Reporter(), native_size=native_size)
                metrics = evaluate_image_sets(sets, config, Reporter()).metrics
            keys = {key: frechet if key == "frechet" else key for key in columns}
            figures = {key: metrics[f"reconstruction/{name}"] for key, name in keys.items()}
            bits = [8 * size / pixels for size in sizes]
            curves[curve].append((bits[1], figures))
            row = " | ".join(f"{figure:.4g}" for figure in (*bits, *figures.values()))
            print(f"| {curve if setting is None else f'{curve} {setting:g}'} | {row} |", flush=True)

        torch.set_grad_enabled(False)
        for run in arguments.runs:
            has_indices = Run(run).config.model.family in ("vqvae", "pixelcnn")
            for rate in [None] if has_indices else arguments.rates:
                measure(name_run(run), rate, partial(compress_by_run, run, real, rate, native_size))
        for kind, qualities in QUALITIES.items():
            for quality in qualities:
                measure(kind, quality, partial(compress_by_format, kind, quality, real))
        if arguments.plot is not None:
            plot_curves(curves, columns, arguments.plot)


if __name__ == "__main__":
    main()
