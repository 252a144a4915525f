"""The effects of an ablation where the metric that decides has no interval."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from vaegan.config.load_ablation import Selection, load_ablation
from vaegan.evaluate.ablation import Ablation
from vaegan.evaluate.comparing.comparison import Comparison
from vaegan.evaluate.result import EvaluatedRun, EvaluationResult
from vaegan.storage.run_folder import Run

VALUES = {"base": (9.0, 7.0), "a": (8.0, 5.0), "b": (9.5, 6.5), "sum": (4.0, 4.0)}
"""Frechet distance of each variant and seed."""


def make_result(value: float) -> EvaluationResult:
    psnr = 20 + value + torch.arange(6, dtype=torch.float64)
    metrics = {"sample/fd_digits": value, "reconstruction/psnr": psnr.mean().item()}
    return EvaluationResult(metrics, {"resolution": 8}, scores={"reconstruction/psnr": psnr})


@pytest.fixture
def ablation() -> Ablation:
    base = {"recipe": "digits/vae", "set": {"evaluate": {"metrics": ["psnr", "frechet"]}}}
    changes = {"a": {"train": {"learning_rate": 0.1}}, "b": {"model": {"beta": 2}}}
    tree = {"title": "T", "base": base, "changes": changes, "metric": "sample/fd", "keep": 1, "features": "digits"}
    loaded = load_ablation({**tree, "screen": {"steps": 5, "seeds": [4, 5]}, "confirm": {"steps": 10}})
    study = loaded.load_phase("screen", loaded.select_all())
    runs = {
        name: {
            seed: EvaluatedRun(Run(Path(name)), config, make_result(value), {}, {})
            for seed, value in zip((4, 5), VALUES[name], strict=True)
        }
        for name, config in study.configs.items()
    }
    flops = {"screen": {"base": 100, "a": 100, "b": 150}}
    return Ablation(loaded, {"screen": Comparison(study.study, runs, {}, None)}, Selection(["a"], ["a", "b"]), flops)


def test_a_metric_of_sets_decides_without_an_interval(ablation: Ablation) -> None:
    assert ablation.key == "sample/fd_digits" and ablation.list_variants() == ["a", "b", "sum"]
    effects = {effect.variant: effect for effect in ablation.list_effects("screen") if effect.key == ablation.key}
    assert {name: effect.estimate.value for name, effect in effects.items()} == {"a": -1.5, "b": 0.0, "sum": -4.0}
    assert all(math.isinf(effect.estimate.error) and effect.corrected == 1 for effect in effects.values())
    rows = list(ablation.iterate_rows())
    assert len(rows) == 6 and {row["direction"] for row in rows if row["figure"] == ablation.key} == {""}
    record = ablation.to_record()
    assert [row["low"] for row in record["effects"] if row["figure"] == ablation.key] == [None] * 3
    assert record["images_seen"] == {"screening": 5 * 64} and record["seeds"] == {"screening": [4, 5]}
    assert ablation.list_sentences() == [
        "Screening by Samples: Fréchet distance (digits) ↓, 1 at most: a passed; the sum of all passed, which was"
        " better than each alone.",
        "Screening: 2 seeds, which are few: every verdict is conditional on them.",
    ]


def test_a_notebook_shows_the_sentences_the_table_and_the_cost(ablation: Ablation) -> None:
    assert repr(ablation) == "Ablation 'T'; passed: a; None"
    assert ablation._repr_html_() == "".join(f"<p>{sentence}</p>" for sentence in ablation.list_sentences())
    table = ablation.to_dataframe()
    assert list(table.columns[:4]) == ["phase", "change", "figure", "difference"] and len(table) == 6
    assert ablation.describe_sums() == "screening: a + b"
    assert [ablation.format_relative_flops(name) for name in ("a", "b", "sum")] == ["1.00", "1.50", ""]


def test_an_effect_without_an_interval_is_not_tested(ablation: Ablation) -> None:
    confirmed = replace(ablation, comparisons={**ablation.comparisons, "confirm": ablation.comparisons["screen"]})
    sentences = confirmed.list_sentences()
    assert sentences[1].startswith("a: not tested at 2 seeds: −1.5") and sentences[1].endswith("(no interval).")
