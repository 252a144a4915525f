"""Draw the pictures of the pages: run `python docs/make_images.py` after the studies whose images they show.

make demo                                    # runs/quickstart
vaegan compare digits-families     # runs/digits-families
the commands of docs/attributes.md           # runs/digits-vae, runs/digits-by-class, runs/eight.safetensors
the first command of docs/more-data.md       # runs/by-class
python docs/make_images.py                   # docs/images
"""

import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from sklearn.datasets import load_sample_image

import vaegan
from vaegan.applications import (
    Caption,
    Reduce,
    complete_images,
    compute_anomaly_maps,
    compute_anomaly_scores,
    draw_anomaly_sheet,
    edit_images,
    enlarge_bicubically,
    enlarge_images,
    fit_conformal_detector,
    get_observation_model,
    load_attribute,
    plant_defects,
    translate_images,
)
from vaegan.cli.console import Console
from vaegan.cli.uncertainty_results import predict_images
from vaegan.config.data import DataConfig
from vaegan.config.schema import EvaluateConfig
from vaegan.data import open_data
from vaegan.data.image_file import fit_to_square
from vaegan.evaluate.negative_controls import NEGATIVE_CONTROLS, evaluate_negative_controls
from vaegan.evaluate.report.control_rows import compute_laplacian_ratio
from vaegan.generation.rejection import (
    Rejection,
    draw_rows,
    make_realness_score,
    measure_threshold,
)
from vaegan.images import draw_image_grid, to_float, to_uint8
from vaegan.models.autoencoder import Sampler
from vaegan.storage.loading import load_discriminator

IMAGES = Path("docs/images")
QUICKSTART, FAMILIES = Path("runs/quickstart"), Path("runs/digits-families")
LABEL_PIXELS = 26
REPORT_PIXELS = (1000, 1600)
EXPLORER_PIXELS = (1200, 860)


def draw_columns(columns: Mapping[str, torch.Tensor], scale: int) -> Image.Image:
    """Draw columns of images, each under its name.

    Args:
        columns: Images (N, C, S, S) of each column, by its name.
        scale: Pixels of the picture for each pixel of an image.
    """
    grid = draw_image_grid(torch.stack([*columns.values()], 1).flatten(0, 1), columns=len(columns), scale=scale)
    picture = Image.new("RGB", (grid.width, grid.height + LABEL_PIXELS), "white")
    picture.paste(grid, (0, LABEL_PIXELS))
    write, width = ImageDraw.Draw(picture), grid.width / len(columns)
    for index, name in enumerate(columns):
        font = ImageFont.load_default(0.6 * LABEL_PIXELS)
        write.text(((index + 0.5) * width, LABEL_PIXELS / 2), name, "black", font, anchor="mm")
    return picture


def copy_strips() -> None:
    """Copy the rows of images that the studies have written."""
    for name in ("reconstructions", "samples"):
        shutil.copy(QUICKSTART / f"{name}.png", IMAGES / f"{name}.png")
        shutil.copy(FAMILIES / f"{name}.png", IMAGES / f"families-{name}.png")


def draw_crop() -> None:
    """Draw a photograph with its centre square, and that square in three sizes."""
    photo = Image.fromarray(load_sample_image("china.jpg"))
    height, margin = 256, (photo.width - photo.height) // 2
    squares = [Image.fromarray(fit_to_square(photo, size, 3).transpose(1, 2, 0)) for size in (64, 32, 16)]
    ImageDraw.Draw(photo).rectangle((margin, 0, margin + photo.height - 1, photo.height - 1), outline="red", width=4)
    panels = [photo.resize((photo.width * height // photo.height, height))]
    panels += [square.resize((160, 160), Image.Resampling.NEAREST) for square in squares]
    picture = Image.new("RGB", (sum(panel.width + 8 for panel in panels) - 8, height), "white")
    left = 0
    for panel in panels:
        picture.paste(panel, (left, (height - panel.height) // 2))
        left += panel.width + 8
    picture.quantize(128).save(IMAGES / "crop.png", optimize=True)


def draw_controls() -> None:
    """Draw photographs with each defect of the negative controls, and print what the metrics say of them."""
    data = open_data(DataConfig(source="photos", image_size=64, count=2000))
    pictures = [Image.fromarray(load_sample_image(name)) for name in ("china.jpg", "flower.jpg")]
    photos = torch.from_numpy(np.stack([fit_to_square(picture, 64, 3) for picture in pictures]))
    columns = {name: to_uint8(defect(to_float(photos))) for name, defect in NEGATIVE_CONTROLS.items()}
    draw_columns(columns, scale=2).quantize(128).save(IMAGES / "controls.png", optimize=True)
    with tempfile.TemporaryDirectory() as folder:
        config = EvaluateConfig(metrics=("psnr", "sharpness"))
        for name, result in evaluate_negative_controls(Path(folder), config, data, Console()).items():
            keys = ("psnr", "spectrum_error", "coherence", "laplacian_gap", "kurtosis_gap")
            values = [f"{result.metrics[f'reconstruction/{key}']:.3f}" for key in keys if name != "real images"]
            print(name, f"{compute_laplacian_ratio(result, 'reconstruction'):.2f}", *values)


def draw_use() -> None:
    """Draw an interpolation by a three-way VAE-GAN, and its history."""
    run = QUICKSTART / "vaegan3" / "seed_0"
    model = vaegan.load(run)
    images = open_data(vaegan.Run(run).config.data).test[torch.arange(2)]
    start, end = model.encode(to_float(images)).mean
    line = torch.stack([torch.lerp(start, end, weight) for weight in torch.linspace(0, 1, 8)])
    vaegan.show(model.decode(line)).save(IMAGES / "python-interpolation.png", optimize=True)
    vaegan.plot_history(run).savefig(IMAGES / "history.png", dpi=90)


def draw_attribute() -> None:
    """Draw held-out threes, edited towards eights at several strengths, and decoded as eights by a conditional run."""
    run, conditional = Path("runs/digits-vae"), vaegan.load("runs/digits-by-class")
    data = open_data(vaegan.Run(run).config.data)
    direction = load_attribute(Path("runs/eight.safetensors")).directions["mean"]
    images = to_float(data.test[(data.test.labels == 3).nonzero()[:4, 0]])
    columns = {"image": images}
    for strength in (0.0, 0.5, 1.0, 1.5, 2.0):
        columns[f"{strength:g}"] = edit_images(vaegan.load(run), images, [(direction, strength)])
    columns["translate"] = translate_images(conditional, images, 3, 8)
    draw_columns(columns, scale=10).quantize(64).save(IMAGES / "attributes.png", optimize=True)


def draw_rejection() -> None:
    """Draw generated digits of each class, each column once as it was drawn and once with four of five rejected."""
    run = vaegan.Run("runs/by-class")
    discriminator = load_discriminator(run, print)
    assert discriminator is not None
    sampler, score = Sampler(vaegan.load(run)), make_realness_score(discriminator)
    threshold = measure_threshold(sampler, None, score, 0.8, 64)
    images = [draw_rows(sampler, range(40), None, each) for each in (None, Rejection(score, threshold))]
    blocks = [draw_image_grid(block, columns=10, scale=6) for block in images]
    gap = LABEL_PIXELS
    picture = Image.new("RGB", (2 * blocks[0].width + gap, blocks[0].height + LABEL_PIXELS), "white")
    write, font = ImageDraw.Draw(picture), ImageFont.load_default(0.6 * LABEL_PIXELS)
    for index, (block, name) in enumerate(zip(blocks, ("every draw", "--reject realness=0.8"), strict=True)):
        picture.paste(block, (index * (block.width + gap), LABEL_PIXELS))
        place = (index * (block.width + gap) + block.width / 2, LABEL_PIXELS / 2)
        write.text(place, name, "black", font, anchor="mm")
    picture.quantize(64).save(IMAGES / "rejection.png", optimize=True)


def draw_anomalies() -> None:
    """Draw held-out digits, a third of them with a planted defect, by falling score, as `vaegan anomaly` does."""
    run = vaegan.Run("runs/digits-vae")
    model, data = vaegan.load(run), open_data(run.config.data)
    normal = data.validation[torch.arange(len(data.validation))]
    detector = fit_conformal_detector(compute_anomaly_scores(["pixels"], model, normal)["pixels"])
    pixels = data.test[torch.arange(48)]
    planted = plant_defects(pixels[::3], seed=0)
    pixels[::3] = planted.images
    scores = compute_anomaly_scores(["pixels"], model, pixels)["pixels"]
    first, p_values = scores.argsort(descending=True)[:16], detector.compute_p_values(scores)
    captions = [
        Caption(
            planted.kinds[index // 3] if index % 3 == 0 else "untouched", f"{scores[index]:.3f}, p = {p:.2g}", p <= 0.05
        )
        for index, p in zip(first.tolist(), p_values[first].tolist(), strict=True)
    ]
    sheet = draw_anomaly_sheet(pixels[first], compute_anomaly_maps("pixels", model, pixels[first]), captions)
    sheet.quantize(64).save(IMAGES / "anomalies.png", optimize=True)


def draw_completion() -> None:
    """Draw held-out digits with a hole, and at half their size, with the answers of a VAE."""
    model = vaegan.load("runs/digits-vae")
    images = open_data(vaegan.Run("runs/digits-vae").config.data).test[torch.arange(5, 11)]
    hole = torch.zeros(8, 8, dtype=torch.bool)
    hole[:, 4:] = True
    completed, _ = complete_images(model, images, hole, answers=4)
    small = to_uint8(Reduce(2).apply(to_float(images)))
    boxes = small.repeat_interleave(2, -1).repeat_interleave(2, -2)
    columns = {
        "image": images, "hole": torch.where(hole, 255, images), "best": completed[0], "draws": completed[1],
        "": completed[2], " ": completed[3], "reduced": boxes,
        "bicubic": to_uint8(enlarge_bicubically(to_float(small), 8)),
        "enlarged": enlarge_images(model, small, consistent=True),
    }  # fmt: skip
    draw_columns(columns, scale=10).quantize(64).save(IMAGES / "completion.png", optimize=True)


def draw_uncertainty() -> None:
    """Draw held-out digits with mean, spread, total and error, as `vaegan uncertainty` does."""
    model, console = vaegan.load("runs/digits-vae"), Console()
    images = to_float(open_data(vaegan.Run("runs/digits-vae").config.data).test[torch.arange(6)])
    results = predict_images(model, images, None, get_observation_model(model), draws=64, seed=0, console=console)
    results.draw([f"{index}.png" for index in range(len(images))], console).save(
        IMAGES / "uncertainty.png", optimize=True
    )


def draw_codes() -> None:
    """Draw a traversal, and two plots of an inspection side by side, by the commands of docs/latent-space.md."""
    run = "runs/digits-vae"
    with tempfile.TemporaryDirectory() as folder:
        for words in (["traverse", run, "-o", str(IMAGES / "traversal.png")], ["inspect", run, "-o", folder]):
            subprocess.run([sys.executable, "-m", "vaegan", *words], check=True)  # noqa: S603
        plots = [Image.open(Path(folder) / f"{name}.png").convert("RGB") for name in ("information", "t-sne")]
        picture = Image.new("RGB", (sum(plot.width for plot in plots), max(plot.height for plot in plots)), "white")
        left = 0
        for plot in plots:
            picture.paste(plot, (left, 0))
            left += plot.width
        picture.quantize(64).save(IMAGES / "codes.png", optimize=True)


def take_report() -> None:
    """Take a picture of the beginning of the quick start's report, with Chromium."""
    size = ",".join(map(str, REPORT_PIXELS))
    flags = ("--headless=new", "--no-sandbox", "--hide-scrollbars", f"--window-size={size}")
    page = (QUICKSTART / "report.html").absolute().as_uri()
    picture = IMAGES / "report.png"
    subprocess.run(["chromium", *flags, f"--screenshot={picture}", page], check=True)  # noqa: S603, S607
    Image.open(picture).convert("RGB").save(picture, optimize=True)  # fewer colours would change the images


def take_explorer() -> None:
    """Take a picture of the page of `vaegan explore` with the run of docs/explorer.md, with Chromium."""
    command = [sys.executable, "-m", "vaegan", "explore", "runs/digits-vae", "--port", "0"]
    picture = IMAGES / "explorer.png"
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603
        assert server.stdout is not None
        address = server.stdout.readline().split(": ")[0]
        size = ",".join(map(str, EXPLORER_PIXELS))
        flags = (
            "--headless=new",
            "--no-sandbox",
            "--hide-scrollbars",
            f"--window-size={size}",
            "--virtual-time-budget=20000",
        )
        subprocess.run(["chromium", *flags, f"--screenshot={picture}", address], check=True)  # noqa: S603, S607
        server.send_signal(signal.SIGINT)
    Image.open(picture).convert("RGB").quantize(64).save(picture, optimize=True)


if __name__ == "__main__":
    for draw in (
        copy_strips,
        draw_crop,
        draw_controls,
        draw_use,
        draw_attribute,
        draw_rejection,
        draw_anomalies,
        draw_completion,
        draw_uncertainty,
        draw_codes,
        take_report,
        take_explorer,
    ):
        draw()
