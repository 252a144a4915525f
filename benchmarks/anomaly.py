"""Measure how well anomaly scores of trained runs, and two plain baselines, find what does not belong.

    python benchmarks/anomaly.py folder RUN... --anomalous FOLDER --features CLASSIFIER_RUN
    python benchmarks/anomaly.py defects RUN... --features CLASSIFIER_RUN
    python benchmarks/anomaly.py simple RUN...
    python benchmarks/anomaly.py digits --classes 0,1,2,3,4 --output runs/anomaly-digits

Normal images are those of a run's test split. Anomalous ones are those of a folder, which no run and no classifier may
have been trained on; other images of the test split with a planted defect; simple images (`simple`); or a class of the
digits on whose other nine classes the script trains runs and classifiers. Baselines: the residual of a principal
component analysis with as many components as the run's codes have dimensions, and the distance to the fifth nearest
training image in the classifier's features. It prints Markdown; intervals are of 95 %, by the bootstrap over images.
Recorded results: benchmarks/README.md.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

import vaegan
from vaegan.applications.anomaly_scores import SCORES, Judges, check_score, compute_anomaly_maps, compute_anomaly_scores
from vaegan.applications.detection import RESAMPLES, Detection, compute_areas, measure_detection
from vaegan.applications.planted_defects import plant_defects
from vaegan.cli.console import Console
from vaegan.config import Config
from vaegan.data import Data, Images, read_image
from vaegan.density_fitting import fit_density_to_images
from vaegan.errors import UserError
from vaegan.images import to_float
from vaegan.losses.perceptual import load_evaluation_lpips
from vaegan.models import Autoencoder, Classifier
from vaegan.storage.loading import load_classifier, load_discriminator
from vaegan.storage.run_data import open_run_data
from vaegan.storage.run_folder import Run

TRAINING_IMAGES = 10_000
"""Most training images that PCA, neighbours and density are fitted to, evenly chosen."""
NEIGHBOURS = 5
BATCH_IMAGES = 64
PCA_NAME, NEIGHBOUR_NAME = "*PCA residual*", "*neighbours in features*"
"""Baselines."""
Scores = dict[str, Tensor]
"""Scores by name, float64, shape (N,)."""
opened: dict[str, Data] = {}
"""Images that were opened, by what they are, since several runs may have the same."""


class Detector:
    """All scores of one run, and the baselines on its training images.

    Args:
        path: The run.
        features: Run of a classifier; None: without the scores that need one.
        console: Shows progress and notes.
    """

    def __init__(self, path: Path, features: Path | None, console: Console) -> None:
        self.run, self.console = Run(path), console
        self.name = f"{path.parent.name}/{path.name}"
        self.model: Autoencoder = vaegan.load(path)
        self.config: Config = self.run.config
        members = self.run.members
        key = f"{self.config.data.model_dump_json()} {members.fingerprint if members else path}"
        if key not in opened:
            opened[key], _ = open_run_data(self.run, self.config, console)
        self.data = opened[key]
        self.classifier: Classifier | None = None if features is None else load_classifier(features)
        training = self.data.train
        some = training.select_evenly(TRAINING_IMAGES)
        labels = None if training.labels is None else training.labels[some]
        self.training: Images = replace(training, indices=training.indices[some], labels=labels)
        network, self.lpips_name = load_evaluation_lpips("alex", console.note_once)
        discriminator = load_discriminator(self.run, console.note)
        density = fit_density_to_images("gaussian", self.model, self.training, 0, BATCH_IMAGES)
        self.judges = Judges(network, self.classifier, density, discriminator)
        self.names = [name for name in SCORES if self.can_have(name)]
        pixels = self.training[torch.arange(len(self.training))]
        self.pca = PCA(self.model.code_size, svd_solver="randomized", random_state=0).fit(flatten(pixels))
        if self.classifier is not None:
            self.neighbours = NearestNeighbors(n_neighbors=NEIGHBOURS).fit(self.compute_features(pixels))

    def can_have(self, name: str) -> bool:
        """Return whether the run's family has a score, and its network is there."""
        try:
            check_score(name, self.model)
        except UserError:
            return False
        return name not in vars(self.judges) or getattr(self.judges, name) is not None

    def compute_features(self, pixels: Tensor) -> "np.ndarray":
        """Return the classifier's features of images, shape (N, d)."""
        assert self.classifier is not None
        with torch.no_grad():
            return torch.cat([self.classifier.features(batch) for batch in pixels.split(BATCH_IMAGES)]).numpy()

    def score(self, pixels: Tensor) -> Scores:
        """Return all scores of images, uint8 (N, C, S, S)."""
        parts: list[Mapping[str, Tensor]] = []
        with self.console.progress(f"Scoring by {self.name}", "images") as progress:
            for batch in pixels.split(BATCH_IMAGES):
                parts.append(compute_anomaly_scores(self.names, self.model, batch, self.judges))
                progress(BATCH_IMAGES * len(parts), len(pixels))
        scores = {name: torch.cat([part[name] for part in parts]) for name in self.names}
        if "lpips" in scores:
            scores[f"lpips_{self.lpips_name}"] = scores.pop("lpips")
        scores[PCA_NAME] = self.compute_residuals(pixels).mean(1).double()
        if self.classifier is not None:
            distances, _ = self.neighbours.kneighbors(self.compute_features(pixels))
            scores[NEIGHBOUR_NAME] = torch.from_numpy(distances[:, -1]).double()
        return scores

    def measure_location(self, pixels: Tensor, masks: Tensor) -> dict[str, float]:
        """Return by score how often the largest value of the heat map lies in the mask, for images with a defect."""
        maps = {PCA_NAME: self.compute_residuals(pixels).unflatten(1, self.model.image_shape).mean(1)}
        for name in self.names:
            parts = [compute_anomaly_maps(name, self.model, batch, self.judges) for batch in pixels.split(BATCH_IMAGES)]
            maps[f"lpips_{self.lpips_name}" if name == "lpips" else name] = torch.cat(parts)
        hits = {
            name: masks.flatten(1).gather(1, each.flatten(1).argmax(1, keepdim=True)) for name, each in maps.items()
        }
        return {name: each.double().mean().item() for name, each in hits.items()}

    def compute_residuals(self, pixels: Tensor) -> Tensor:
        """Return the squared residuals of the principal components, float32, shape (N, C S S)."""
        flat = flatten(pixels)
        return torch.from_numpy(np.square(flat - self.pca.inverse_transform(self.pca.transform(flat))))

    def select_test_images(self, count: int) -> Tensor:
        """Return evenly chosen test images, uint8 (N, C, S, S)."""
        return self.data.test[self.data.test.select_evenly(count)]

    def read_folder(self, folder: Path, count: int) -> Tensor:
        """Return evenly chosen images of a folder as the model takes them, uint8 (N, C, S, S)."""
        files = sorted(file for file in folder.iterdir() if file.is_file())
        channels, side, _ = self.model.image_shape
        chosen = [files[index * len(files) // count] for index in range(count)] if len(files) > count else files
        settings = self.config.data
        images = [read_image(file, side, channels, settings.version, fit=settings.fit) for file in chosen]
        return torch.from_numpy(np.stack(images))


def flatten(pixels: Tensor) -> "np.ndarray":
    """Return images as rows of values in [-1, 1]."""
    return to_float(pixels).flatten(1).numpy()


def detect(normal: Scores, anomalous: Scores) -> dict[str, Detection]:
    """Return how well each score tells anomalous from normal images."""
    return {
        name: measure_detection(
            torch.cat([scores, anomalous[name]]), torch.arange(len(scores) + len(anomalous[name])) >= len(scores)
        )
        for name, scores in normal.items()
    }


def print_table(rows: Sequence[str], columns: Mapping[str, Mapping[str, str]]) -> None:
    """Print a Markdown table of texts by column and row."""
    print(f"| | {' | '.join(columns)} |\n| --- |{' --- |' * len(columns)}")
    for row in rows:
        print(f"| {row} | {' | '.join(column.get(row, '') for column in columns.values())} |")
    print(flush=True)


def compare_with_pca(normal: Scores, anomalous: Scores) -> dict[str, str]:
    """Return by score how much its ROC-AUC exceeds that of the PCA, with the 95 % interval of a paired bootstrap."""
    counts = [len(each[PCA_NAME]) for each in (normal, anomalous)]
    kind = torch.arange(sum(counts)) >= counts[0]
    generator = torch.Generator().manual_seed(0)
    drawn = [torch.multinomial(torch.ones(RESAMPLES, n), n, True, generator=generator) for n in counts]
    weights = torch.cat([torch.zeros(RESAMPLES, n).scatter_add_(1, each, torch.ones(each.shape))
                         for n, each in zip(counts, drawn, strict=True)], 1)  # fmt: skip
    weights = torch.cat([torch.ones(1, sum(counts)), weights])
    areas = {name: compute_areas(torch.cat([normal[name], anomalous[name]]), kind, weights)[0] for name in normal}
    differences = {name: each - areas[PCA_NAME] for name, each in areas.items() if name != PCA_NAME}
    ends = torch.tensor([0.025, 0.975], dtype=torch.float64)
    return {name: "{:+.3f} ({:+.3f} to {:+.3f})".format(each[0], *each[1:].quantile(ends))
            for name, each in differences.items()}  # fmt: skip


def print_detections(results: Mapping[str, tuple[Scores, Scores]]) -> None:
    """Print a table of areas under the ROC and precision-recall curves, from the scores of normal and other images."""
    columns: dict[str, dict[str, str]] = {}
    for run, scores in results.items():
        found = detect(*scores)
        columns[f"{run}: ROC-AUC"] = {name: str(each.roc) for name, each in found.items()}
        columns[f"{run}: less the PCA's"] = compare_with_pca(*scores)
        columns[f"{run}: PR-AUC"] = {name: str(each.pr) for name, each in found.items()}
    print_table(list(dict.fromkeys(name for column in columns.values() for name in column)), columns)


def compare_with_folder(runs: Sequence[Path], features: Path | None, folder: Path, count: int) -> None:
    """Compare the test images of runs with the images of a folder."""
    results = {}
    for path in runs:
        detector = Detector(path, features, Console())
        normal, anomalous = detector.select_test_images(count), detector.read_folder(folder, count)
        results[detector.name] = detector.score(normal), detector.score(anomalous)
    print(f"{len(normal):,} test images, {len(anomalous):,} of {folder.name}\n")
    print_detections(results)


def find_defects(runs: Sequence[Path], features: Path | None, count: int) -> None:
    """Compare every other test image of runs with the images between them, which have a planted defect."""
    results, located = {}, {}
    for path in runs:
        detector = Detector(path, features, Console())
        images = detector.select_test_images(2 * count)
        planted = plant_defects(images[1::2], seed=0)
        results[detector.name] = detector.score(images[::2]), detector.score(planted.images)
        found = detector.measure_location(planted.images, planted.masks)
        located[detector.name] = {name: f"{rate:.1%}" for name, rate in found.items()}
        located["chance"] = dict.fromkeys(found, f"{planted.masks.double().mean():.1%}")
    print(f"{len(images[::2]):,} test images, {len(planted.kinds):,} others with a defect\n")
    print_detections(results)
    print("How often the largest value of the heat map lies in the defect\n")
    print_table(list(located["chance"]), located)


def compare_with_simple_images(runs: Sequence[Path], count: int) -> None:
    """Compare the test images of runs with simple images: of one colour, and digits enlarged."""
    for path in runs:
        detector = Detector(path, None, Console())
        channels, side, _ = detector.model.image_shape
        normal = detector.score(detector.select_test_images(count))
        colours = torch.randint(0, 256, (count, channels, 1, 1), generator=torch.Generator().manual_seed(0))
        digits = torch.from_numpy(load_digits().images[:count]).float()[:, None] * 255 / 16
        digits = torch.nn.functional.interpolate(digits, side, mode="bilinear").round().expand(-1, channels, -1, -1)
        kinds = {"one colour": colours.expand(-1, -1, side, side).byte(), "digits": digits.byte()}
        results = {name: (normal, detector.score(pixels)) for name, pixels in kinds.items()}
        print(f"{detector.name}: {count:,} test images, {count:,} simple images of each kind\n")
        print_detections(results)


def hold_out_digits(classes: Sequence[int], output: Path) -> None:
    """Train on the digits but one, and compare the test images with that one, for each class of a list."""
    digits = load_digits()
    pixels = (digits.images * 255 / 16).round().astype(np.uint8)[:, None]
    results: dict[str, list[dict[str, Detection]]] = {}
    for number in classes:
        kept = digits.target != number
        file = output / f"without-{number}.npz"
        output.mkdir(parents=True, exist_ok=True)
        np.savez(file, images=pixels[kept], labels=digits.target[kept] - (digits.target[kept] > number))
        settings = {"data.source": "arrays", "data.root": str(file), "data.test": 0.3, "track.wandb": "disabled"}
        train = partial(vaegan.train, resume=True, progress=False)
        features = output / f"features-{number}"
        train("digits/features", {**settings, "model.classes": 9}, output=features)
        for recipe in ("vae", "vaegan3"):
            run = output / f"{recipe}-{number}"
            train(f"digits/{recipe}", settings, output=run)
            detector = Detector(run, features, Console())
            normal = detector.select_test_images(len(detector.data.test))
            anomalous = torch.from_numpy(pixels[~kept])
            results.setdefault(recipe, []).append(detect(detector.score(normal), detector.score(anomalous)))
            print(f"{run}: {len(normal)} normal and {len(anomalous)} anomalous images", flush=True)
    for recipe, each in results.items():
        columns = {f"without {number}": {name: f"{found.roc.value:.3f}" for name, found in one.items()}
                   for number, one in zip(classes, each, strict=True)}  # fmt: skip
        columns["mean ROC-AUC"] = {name: average([one[name].roc for one in each]) for name in each[0]}
        columns["mean PR-AUC"] = {name: average([one[name].pr for one in each]) for name in each[0]}
        print(f"\n{recipe}\n")
        print_table(list(each[0]), columns)


def average(areas: Sequence[tuple[float, float, float]]) -> str:
    """Return the mean of independent areas with its interval, from the widths of theirs."""
    mean = sum(value for value, _, _ in areas) / len(areas)
    margin = sum((high - low) ** 2 for _, low, high in areas) ** 0.5 / 2 / len(areas)
    return f"{mean:.3f} ± {margin:.3f}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["folder", "defects", "simple", "digits"])
    parser.add_argument("runs", type=Path, nargs="*")
    parser.add_argument("--anomalous", type=Path)
    parser.add_argument("--features", type=Path)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--classes", default="0,1,2,3,4,5,6,7,8,9")
    parser.add_argument("--output", type=Path, default=Path("runs/anomaly-digits"))
    given = parser.parse_args()
    match given.kind:
        case "folder":
            compare_with_folder(given.runs, given.features, given.anomalous, given.count)
        case "defects":
            find_defects(given.runs, given.features, given.count)
        case "simple":
            compare_with_simple_images(given.runs, given.count)
        case "digits":
            hold_out_digits([int(number) for number in given.classes.split(",")], given.output)
