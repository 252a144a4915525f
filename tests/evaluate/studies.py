"""The smallest study that has everything: an autoencoder, a VAE and a three-way VAE-GAN, for two seeds."""

from pathlib import Path

from vaegan.cli.console import Console
from vaegan.config.schema import Config
from vaegan.config.study_schema import StudyConfig, Variant
from vaegan.data import Data
from vaegan.evaluate.comparing.comparison import Comparison
from vaegan.evaluate.result import EvaluatedRun, EvaluationResult
from vaegan.evaluate.study import compare
from vaegan.storage.run_folder import Run
from vaegan.trainers import train

from ..tiny import tiny

SETTINGS = ("train.checkpoint_every=2", "evaluate.metrics=[psnr, ssim, sharpness, elbo]", "evaluate.samples=40")


def make_configs(*overrides: str, names: tuple[str, ...] = ("vae", "ae", "vaegan3")) -> dict[str, Config]:
    return {name: tiny(name, *SETTINGS, *overrides) for name in names}


def make_study(variants: dict[str, Config], title: str = "Tiny", seeds: tuple[int, ...] = (5, 6)) -> StudyConfig:
    return StudyConfig(title=title, variants={name: Variant(recipe=name) for name in variants}, seeds=seeds)


def train_one(config: Config, folder: Path, data: Data, resume: bool) -> Run:
    return train(config, folder, data, resume=resume)


def run_study(
    output: Path, variants: dict[str, Config], title: str = "Tiny", seeds: tuple[int, ...] = (5, 6),
    train_run=train_one, command: str | None = None, **others: object,
) -> Comparison:  # fmt: skip
    comparison = compare(make_study(variants, title, seeds), variants, output, train_run, Console(), command, **others)
    assert comparison is not None
    return comparison


def make_comparison(*pairs: tuple[EvaluationResult, EvaluationResult]) -> Comparison:
    """Return the comparison of `vae` and `vaegan3` by the results of both for each seed."""
    variants = make_configs(names=("vae", "vaegan3"))
    study = make_study(variants, seeds=tuple(range(len(pairs))))
    runs: dict[str, dict[int, EvaluatedRun]] = {"vae": {}, "vaegan3": {}}
    for seed, pair in enumerate(pairs):
        for (name, config), evaluation in zip(variants.items(), pair, strict=True):
            seconds = {"vae": 2.0, "vaegan3": 5.0}[name]
            runs[name][seed] = EvaluatedRun(
                Run(Path(name)), config, evaluation, {"seconds": seconds, "memory_bytes": 1e9}, {"encoder": 3}
            )
    return Comparison(study, runs, {}, None)


def train_never(config: Config, folder: Path, data: Data, resume: bool) -> Run:
    raise AssertionError(f"{folder} is trained again")
