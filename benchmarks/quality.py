"""Measure the CPU time and the images that trainings take to a distance of images, beside Pythae's VAE and VAE-GAN.

    pip install -e '.[peers]'
    OMP_NUM_THREADS=1 python benchmarks/quality.py STUDY.yaml --peers vae vaegan2 --output FOLDER

Each variant of the study is trained once a seed and evaluated every `--every` images on the validation split, in the
features of the study's `evaluate.features`. `--peers` names variants whose networks Pythae trains, too, in its own way
(benchmarks/peers.py), with `--batch-size` and `--learning-rate`, for as many images. CPU time is that of the training
alone, of all threads, so that `--jobs` trainings can run beside one another. FOLDER keeps the points of each finished
training; a repeated command takes up those that are missing.

Printed are the last distances, means over the seeds with 95 % intervals of Student's t; then, for each peer's last mean
distance, the images and the CPU time after which each training has it, and the share of the peer's CPU time. `--plot
FILE` draws the means over the CPU time. Recorded results: benchmarks/README.md.
"""

import argparse
import contextlib
import io
import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import torch
from scipy.stats import t as student

from vaegan.config import Config
from vaegan.config.load_study_files import load_study
from vaegan.config.schema import EvaluateConfig
from vaegan.data import Data, iterate_batches, open_data
from vaegan.errors import UserError
from vaegan.evaluate.deciding_metric import check_deciding_metric
from vaegan.evaluate.metrics.feature_extractors import INCEPTION
from vaegan.evaluate.run_evaluation import evaluate_on_data
from vaegan.evaluate.screening import find_metric_key
from vaegan.images import to_float
from vaegan.models import Autoencoder
from vaegan.plotting import matplotlib_defaults
from vaegan.progress import ProgressCallback, Reporter
from vaegan.trainers import train

SETS = ("sample", "reconstruction")
"""Sets of images whose distance from the real ones is measured."""
PEER_FAMILIES = ("vae", "vaegan")
"""Families that Pythae can train, too."""


class Point(NamedTuple):
    """A model during its training."""

    images: int
    """Images that it has been trained on."""
    cpu_seconds: float
    """CPU time of all threads of the training until then."""
    distances: dict[str, float]
    """Fréchet distance of each set."""


class Task(NamedTuple):
    """A training: a variant with one seed, by this package or by Pythae."""

    name: str
    config: Config
    peer: bool
    images: int
    every: int

    @property
    def file_name(self) -> str:
        """Name of the file of its points, another one if a setting is another."""
        settings = [self.config.model_dump(mode="json"), self.peer, self.images, self.every]
        digest = sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
        return f"{self.name}-{self.config.seed}-{digest[:12]}.json"


def make_evaluation(config: Config) -> EvaluateConfig:
    """Return the evaluation that measures the Fréchet distances alone, on the validation split."""
    evaluate: EvaluateConfig = config.evaluate.model_copy(update={"metrics": ("frechet",), "split": "validation"})
    return evaluate


def name_metrics(config: Config) -> dict[str, str]:
    """Return the metric of each set of images, without the network of its features."""
    return {name: f"{name}/{'fid' if config.evaluate.features == INCEPTION else 'fd'}" for name in SETS}


def measure_distances(model: Autoencoder, config: Config, data: Data) -> dict[str, float]:
    """Return the Fréchet distance of each set of a model's images."""
    metrics = evaluate_on_data(model, make_evaluation(config), data, config.seed, "", Reporter()).metrics
    return {name: metrics[find_metric_key(metric, metrics)] for name, metric in name_metrics(config).items()}


def train_ours(task: Task, data: Data, folder: Path) -> list[Point]:
    """Train a variant, and return its points; the averaged model is the one that is evaluated."""
    points: list[Point] = []
    batch_size = task.config.train.batch_size
    steps = task.every // batch_size
    start, evaluating = time.process_time(), 0.0

    def evaluate(model: Any, data: Data, progress: ProgressCallback) -> Mapping[str, float]:
        nonlocal evaluating
        before = time.process_time()
        distances = measure_distances(model, task.config, data)
        points.append(Point((len(points) + 1) * steps * batch_size, before - start - evaluating, distances))
        evaluating += time.process_time() - before
        return distances

    train_settings = {
        "steps": task.images // task.every * steps, "evaluate_every": steps, "sample_every": None,
        "checkpoint_every": None,
    }  # fmt: skip
    config = task.config.model_copy(update={"train": task.config.train.model_copy(update=train_settings)})
    train(config, folder / "run", data, evaluator=evaluate)
    return points


def train_peer(task: Task, data: Data, folder: Path) -> list[Point]:
    """Let Pythae train the networks of a variant, and return its points; images are drawn anew each `every` images."""
    from peers import build_trainer

    with torch.random.fork_rng():
        torch.manual_seed(task.config.seed)
        images = torch.zeros(task.every, *task.config.data.image_shape)
        family = "vae" if task.config.model.family == "vae" else "vaegan3"
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            trainer, autoencoder = build_trainer(family, task.config, images, str(folder))
            trainer.prepare_training()
            points, seconds = list[Point](), 0.0
            batches = iterate_batches(
                data.train, task.config.data, task.config.seed, task.every, slice(0, task.every), None,
                torch.device("cpu"), 0, task.images // task.every,
            )  # fmt: skip
            for (batch,) in batches:
                trainer.train_dataset.data.copy_(to_float(batch.images))
                before = time.process_time()
                trainer.train_step(epoch=len(points) + 1)
                seconds += time.process_time() - before
                distances = measure_distances(autoencoder, task.config, data)
                points.append(Point((len(points) + 1) * task.every, seconds, distances))
    return points


def run_task(task: Task, output: Path) -> None:
    """Run a training, and write its points."""
    torch.set_num_threads(1)
    data = open_data(task.config.data)
    with tempfile.TemporaryDirectory() as folder:
        points = (train_peer if task.peer else train_ours)(task, data, Path(folder))
    (output / task.file_name).write_text(json.dumps([point._asdict() for point in points]))
    print(f"{task.name}, seed {task.config.seed}: {points[-1].distances}", flush=True)


def find_cost(points: list[Point], name: str, distance: float) -> tuple[float, float] | None:
    """Return the images and the CPU seconds after which a set's distance is reached, linear between points."""
    before = None
    for point in points:
        if point.distances[name] <= distance:
            if before is None:
                return point.images, point.cpu_seconds
            there = (before.distances[name] - distance) / (before.distances[name] - point.distances[name])
            return (
                before.images + there * (point.images - before.images),
                before.cpu_seconds + there * (point.cpu_seconds - before.cpu_seconds),
            )
        before = point
    return None


def measure_half_width(values: list[float]) -> float | None:
    """Return the half width of the 95 % interval of the mean of values; None: there is one value."""
    if len(values) == 1:
        return None
    return float(student.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / len(values) ** 0.5


def describe_mean(values: list[float], digits: int) -> str:
    """Return the mean of values, with the half width of its 95 % interval if there are several."""
    half = measure_half_width(values)
    return f"{statistics.fmean(values):,.{digits}f}" + ("" if half is None else f" ± {half:,.{digits}f}")


def print_tables(curves: dict[str, list[list[Point]]], peers: list[str]) -> None:
    """Print the last distances, and the cost of reaching each peer's."""
    print(f"\n| training | {' | '.join(f'distance of {name}s' for name in SETS)} | CPU s |\n| --- | --- | --- | --- |")
    for name, runs in curves.items():
        cells = [describe_mean([points[-1].distances[each] for points in runs], 2) for each in SETS]
        print(f"| {name} | {' | '.join(cells)} | {describe_mean([points[-1].cpu_seconds for points in runs], 0)} |")
    head = ["training", "goal", "last of", "reached by", "images", "CPU s", "share of the CPU time"]
    print(f"\n| {' | '.join(head)} |\n|{' --- |' * len(head)}")
    for peer in peers:
        seconds = statistics.fmean(points[-1].cpu_seconds for points in curves[peer])
        for each in SETS:
            goal = statistics.fmean(points[-1].distances[each] for points in curves[peer])
            for name, runs in curves.items():
                costs = [cost for points in runs if (cost := find_cost(points, each, goal)) is not None]
                cells = [describe_mean(list(values), 0) for values in zip(*costs, strict=True)] or ["", ""]
                share = f"{statistics.fmean(cost for _, cost in costs) / seconds:.2f}" if costs else ""
                reached = f"{len(costs)} of {len(runs)}"
                print(f"| {name} | {goal:.2f}, {each}s | {peer} | {reached} | {' | '.join(cells)} | {share} |")


def draw(curves: dict[str, list[list[Point]]], file: Path) -> None:
    """Write a plot of the mean distances over the mean CPU time, with 95 % intervals."""
    with matplotlib_defaults({}):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9, 3.6), layout="constrained")
        for axes, each in zip(figure.subplots(1, 2), SETS, strict=True):
            for name, runs in curves.items():
                columns = list(zip(*runs, strict=True))
                seconds = [statistics.fmean(point.cpu_seconds for point in column) for column in columns]
                distances = [[point.distances[each] for point in column] for column in columns]
                means = [*map(statistics.fmean, distances)]
                (line,) = axes.plot(seconds, means, marker="o", markersize=3, label=name)
                halves = [measure_half_width(values) or 0.0 for values in distances]
                lower, upper = ([m + s * h for m, h in zip(means, halves, strict=True)] for s in (-1, 1))
                axes.fill_between(seconds, lower, upper, alpha=0.15, color=line.get_color(), linewidth=0)
            axes.set(title=f"{each}s", xlabel="CPU seconds of the training", ylabel="Fréchet distance", yscale="log")
            axes.yaxis.set_major_formatter("{x:g}")
        figure.axes[0].legend(fontsize="small")
        figure.savefig(file)


def main() -> None:
    """Run the trainings that are missing, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", help="file or name of a study")
    parser.add_argument("overrides", nargs="*", help="settings of the study, key.sub=value")
    parser.add_argument("--output", type=Path, required=True, help="folder of the points")
    parser.add_argument("--peers", nargs="*", default=[], help="variants whose networks Pythae trains, too")
    parser.add_argument("--images", type=int, default=96_000, help="images of each training")
    parser.add_argument("--every", type=int, default=9_600, help="images between two evaluations")
    parser.add_argument("--batch-size", type=int, default=64, help="images of a step of Pythae")
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="learning rate of Pythae")
    parser.add_argument("--jobs", type=int, default=1, help="trainings beside one another")
    parser.add_argument("--plot", type=Path, help="file of the plot")
    arguments = parser.parse_intermixed_args()
    study, configs, classifier = load_study(arguments.study, arguments.overrides)
    if classifier is not None:
        parser.error("features: the study would train a classifier; name the folder of one as shared.evaluate.features")
    for name, config in configs.items():
        for metric in name_metrics(config).values():
            try:
                check_deciding_metric(metric, f"variants.{name}", make_evaluation(config), config.model)
            except UserError as error:
                parser.error(str(error))
    possible = [name for name, config in configs.items() if config.model.family in PEER_FAMILIES]
    if unknown := set(arguments.peers) - set(possible):
        parser.error(f"--peers: {', '.join(sorted(unknown))}: Pythae trains the networks of {', '.join(possible)}")
    tasks = []
    for name, config in configs.items():
        chosen = config.train.model_copy(
            update={"batch_size": arguments.batch_size, "learning_rate": arguments.learning_rate}
        )
        for seed in study.seeds:
            seeded = config.model_copy(update={"seed": seed})
            tasks.append(Task(name, seeded, False, arguments.images, arguments.every))
            if name in arguments.peers:
                peer = seeded.model_copy(update={"train": chosen})
                tasks.append(Task(f"pythae-{name}", peer, True, arguments.images, arguments.every))
    for name, divisor in [
        ("--images", arguments.every),
        *(("--every", task.config.train.batch_size) for task in tasks),
    ]:
        if (number := getattr(arguments, name[2:])) % divisor:
            parser.error(f"{name} {number}: no multiple of {divisor}, the images between evaluations or of a batch")
    arguments.output.mkdir(parents=True, exist_ok=True)
    missing = [task for task in tasks if not (arguments.output / task.file_name).exists()]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(arguments.jobs, context, max_tasks_per_child=1) as pool:
        for future in [pool.submit(run_task, task, arguments.output) for task in missing]:
            future.result()
    curves: dict[str, list[list[Point]]] = {}
    for task in tasks:
        points = json.loads((arguments.output / task.file_name).read_text())
        curves.setdefault(task.name, []).append([Point(**point) for point in points])
    print_tables(curves, [f"pythae-{name}" for name in arguments.peers])
    if arguments.plot is not None:
        draw(curves, arguments.plot)


if __name__ == "__main__":
    main()
