"""Three processes that evaluate alone, then the first two together, then all; their results go to argv[1].

They meet through files in that folder, so that one launch serves every number of processes; and they are forks, so
that the slow imports are made once.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, replace
from datetime import timedelta
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest.mock import Mock, patch

import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch import Tensor, distributed

from vaegan.cli.console import Console
from vaegan.config import load_config
from vaegan.config.models import AEConfig, VAEConfig, VAEGANConfig
from vaegan.config.schema import EvaluateConfig
from vaegan.config.study_schema import StudyConfig, Variant
from vaegan.data import Images
from vaegan.density_fitting import fit_density_to_images
from vaegan.distributed import (
    all_gather_object,
    broadcast_from_main,
    get_group_rank_and_size,
    get_rank,
    get_world_size,
    is_initialized,
)
from vaegan.errors import Failure, UserError
from vaegan.evaluate import result, run_evaluation, study
from vaegan.evaluate.image_sets import evaluate_image_sets, open_image_sets
from vaegan.evaluate.metrics import build as metric_building
from vaegan.evaluate.model_evaluation import evaluate_model
from vaegan.evaluate.one_pass import ImageSplit
from vaegan.losses import perceptual
from vaegan.models import Autoencoder, build_model
from vaegan.models.autoencoder import Sampler
from vaegan.progress import ProgressCallback, Reporter, ignore_progress

CONFIG_CLASSES = {"ae": AEConfig, "vae": VAEConfig, "vaegan": VAEGANConfig}
DTYPES = {"float32": torch.float32, "float64": torch.float64}
BATCH_IMAGES = 4
SAMPLES = {29: 31, 5: 7}
"""Samples for each number of images; no number of processes divides any of them, and 5 images are too few for three."""
METRICS = (*EvaluateConfig().metrics, "calibration")
WORLDS = (2, 3)
TIMEOUT_SECONDS = 100.0
SEED = 5
"""Seed of the study's runs."""


class Cut(Exception):
    """An error that a callback raises."""


class Pixels:
    """Features that are pixels, whatever the batch they are in."""

    def __init__(self) -> None:
        self.protocol = {"network": "pixels"}

    def __call__(self, images: Tensor) -> Tensor:
        return images.flatten(1)[:, 20:28].float()

    def get_metric_name(self, name: str) -> str:
        return name


@cache
def digits() -> Tensor:
    return torch.from_numpy(load_digits().images * 255 / 16).round().to(torch.uint8)[:, None]


network = cache(perceptual.build_random_lpips_network)
"""Made once, since that takes longer than all the rest."""


def build(family: str, dtype: str) -> Autoencoder:
    return build_model(CONFIG_CLASSES[family](width=8, latent_size=4), (1, 8, 8), 0).to(DTYPES[dtype])


def evaluate(
    model: Autoencoder, count: int, progress: ProgressCallback = ignore_progress, seed: int = 3,
    training: Images | None = None, **settings: Any,
) -> dict:  # fmt: skip
    images = Images(digits()[:count], torch.arange(count), None, ())
    config = EvaluateConfig(batch_size=BATCH_IMAGES, samples=SAMPLES[count], **{"metrics": METRICS, **settings})
    with patch.object(perceptual, "build_random_lpips_network", network):
        evaluation = evaluate_model(
            model, ImageSplit("test", images), config, seed=seed, training=training, progress=progress,
            notify=lambda _: None,
        )  # fmt: skip
    scores = {name: values.flatten().tolist() for name, values in evaluation.scores.items()}
    return asdict(replace(evaluation, scores={})) | {"scores": scores}


def evaluate_all_cases() -> dict[str, dict]:
    return {
        f"{family} {dtype} {count}": evaluate(build(family, dtype), count)
        for family in CONFIG_CLASSES
        for dtype in DTYPES
        for count in SAMPLES
    }


def evaluate_densities() -> dict[str, dict]:
    """Evaluate samples from densities, and return the results with the densities."""
    results = {}
    for family, spec in (("ae", "gaussian"), ("vae", "gmm:3")):
        model, count = build(family, "float64"), 29
        images = Images(digits()[100 : 100 + count], torch.arange(count), None, ())
        results[spec] = evaluate(model, count, training=images, metrics=("sharpness",), density=spec)
        density = fit_density_to_images(spec, model, images, 3, BATCH_IMAGES)
        results[spec]["scores"] |= {
            name: getattr(density, name).flatten().tolist() for name in ("weights", "means", "roots")
        }
        results[spec]["scores"]["codes"] = Sampler(model, 3, density).draw_codes(0, 9).flatten().tolist()
    return results


def evaluate_sets() -> dict[str, dict]:
    """Evaluate sets of 29 images: from sums alone, from every image's features, and beside the training images."""
    training = Images(digits()[100:150], torch.arange(50), None, ())
    with patch.object(metric_building, "build_extractor", lambda *_: Pixels()):
        return {
            " ".join(metrics): evaluate(build("vae", "float64"), 29, training=training, metrics=metrics)
            for metrics in (("frechet",), ("frechet", "kid", "prdc"), ("memorisation",))
        }


def write_image_files(folder: Path) -> None:
    """Write 29 real images and 31 others, of which 20 are pairs by their names."""
    for name, pixels, first in (("real", digits()[:29], 0), ("fake", digits()[100:131], 9)):
        (folder / "images" / name).mkdir(parents=True)
        for number, image in enumerate(pixels, start=first):
            Image.fromarray(image[0].numpy()).save(folder / "images" / name / f"{number:02}.png")


def evaluate_image_files(folder: Path) -> dict:
    """Compare the two sets of images."""
    metrics = ("psnr", "lpips", "sharpness", "frechet", "kid", "prdc")
    config = EvaluateConfig(batch_size=BATCH_IMAGES, metrics=metrics)
    with (
        patch.object(metric_building, "build_extractor", lambda *_: Pixels()),
        patch.object(perceptual, "build_random_lpips_network", network),
    ):
        sets = open_image_sets(*(folder / "images" / name for name in ("real", "fake")), Reporter())
        return asdict(replace(evaluate_image_sets(sets, config, Reporter()), scores={}))


def evaluate_anomalies() -> dict:
    """Evaluate planted defects and filled holes, by five images and their indices in each of several batches."""
    return evaluate(build("vae", "float64"), 5, metrics=("anomaly", "completion"))


def collect_progress() -> list[list[tuple[int, int]]]:
    """Return the progress that every process reports, exchanged by the callback itself."""
    rounds = []
    evaluate(build("vae", "float32"), 29, lambda *step: rounds.append(all_gather_object(step)), metrics=("sharpness",))
    return rounds


def count_rounds_until_cut() -> int:
    """Count the rounds until a callback ends the evaluation."""
    steps = []

    def progress(done: int, total: int) -> None:
        steps.append(done)
        if len(steps) == 2:
            raise Cut

    model = build("vae", "float32").train()
    try:
        evaluate(model, 29, progress, metrics=("psnr",))
    except Cut:
        return len(steps) if model.training else 0
    return 0


def time_refusal(evaluation: Callable[[], object]) -> tuple[str, str, float]:
    """Return how an evaluation ended, and after how many seconds."""
    start = time.monotonic()
    try:
        evaluation()
    except (Failure, UserError) as error:
        return type(error).__name__, str(error), time.monotonic() - start
    return "nothing", "", 0.0


def build_broken() -> Autoencoder:
    """Build a model of which the second batch of samples, and no other, has pixels that are not finite."""
    model = build("vae", "float32")
    draw_prior_codes = model.draw_prior_codes
    model.draw_prior_codes = lambda start, *rest: (
        draw_prior_codes(start, *rest) * (torch.nan if start == BATCH_IMAGES else 1)
    )
    return model


def compare_in_study(folder: Path) -> tuple[dict | None, int]:
    """Return the record of a study whose runs are trained, and how many of them were evaluated anew."""
    configs = {file.stem: load_config(file) for file in sorted((folder / "configs").iterdir())}
    described = StudyConfig(title="Tiny", variants={name: Variant(recipe=name) for name in configs}, seeds=(SEED,))
    evaluations = Mock(wraps=evaluate_model)
    with ExitStack() as stack:
        stack.enter_context(patch.object(run_evaluation, "evaluate_model", evaluations))
        for module, names in MAIN_ONLY.items() if get_rank() else ():
            for name in names:
                stack.enter_context(patch.object(module, name, side_effect=AssertionError("not the first")))
        comparison = study.compare(described, configs, folder / "study", Mock(), Console(shown=False))
    return comparison and comparison.to_record(), evaluations.call_count


MAIN_ONLY = {
    result: ("read_result", "write_result"),
    study: ("write_comparison", "write_report"),
}
"""Functions that only the main process of a study calls."""


def main(folder: Path) -> dict[str, Any]:
    """Return all results of this process, by the number of processes and other cases."""
    assert get_world_size() == 3 and not is_initialized() and get_group_rank_and_size() == (0, 1)
    results: dict[str, Any] = {"1": {"vae float32 29": evaluate(build("vae", "float32"), 29)}}
    for world in WORLDS:
        if get_rank() >= world:
            continue
        distributed.init_process_group(
            "gloo", f"file://{folder}/met{world}", timedelta(seconds=60), world_size=world, rank=get_rank()
        )
        assert all_gather_object(get_group_rank_and_size()) == [(number, world) for number in range(world)]
        assert broadcast_from_main(get_rank) == 0
        results[str(world)] = evaluate_all_cases()
        if world < get_world_size():
            distributed.destroy_process_group()
    results["densities"], results["anomalies"] = evaluate_densities(), evaluate_anomalies()
    results["sets"], results["progress"], results["cut"] = evaluate_sets(), collect_progress(), count_rounds_until_cut()
    results["files"] = evaluate_image_files(folder)
    few = Images(digits()[:3], torch.arange(3), None, ())
    results["few"] = time_refusal(lambda: fit_density_to_images("gmm:3", build("ae", "float32"), few, 3, BATCH_IMAGES))
    results["broken"] = time_refusal(lambda: evaluate(build_broken(), 29, metrics=("sharpness",)))
    results["unlike"] = time_refusal(lambda: evaluate(build("ae", "float32"), 29, seed=get_rank(), metrics=("psnr",)))
    results["study"] = [compare_in_study(folder) for _ in range(2)]
    return results


def run_rank(number: int, folder: Path) -> None:
    """Be one of the processes, as a launcher would start it."""
    os.environ |= {"RANK": str(number), "LOCAL_RANK": str(number)}
    (folder / f"rank{number}.json").write_text(json.dumps(main(folder)))


if __name__ == "__main__":
    torch.set_num_threads(1)
    os.environ |= {"WORLD_SIZE": "3", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0", "ACCELERATE_USE_CPU": "true"}
    network()
    fork = get_context("fork")
    processes = [fork.Process(target=run_rank, args=(number, Path(sys.argv[1]))) for number in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(TIMEOUT_SECONDS)
        process.kill()
    sys.exit(any(process.exitcode for process in processes))
