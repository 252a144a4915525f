"""Rows of the page's tables."""

import torch

from vaegan.evaluate.comparing.comparison import Comparison
from vaegan.evaluate.report.rows import build_confusions, build_cost_bars

from .reports import NAMES, Outline


def test_a_confusion_matrix_adds_up_all_seeds(hostile_study: Comparison, page: str) -> None:
    (table,) = build_confusions(hostile_study)
    assert table.name == NAMES["vaegan3"]
    runs = hostile_study.runs[table.name].values()
    counts = sum(torch.tensor(run.evaluation.matrices["discriminator/confusion"]).double() for run in runs)
    assert torch.allclose(torch.tensor(list(table.rows.values())).double(), counts / counts.sum(1, keepdim=True))
    shown = [f"{100 * fraction:.0f} %" for fraction in table.rows["real"]]
    assert ["real", *shown] in Outline(page).rows


def test_the_longest_bar_has_the_variant_that_costs_most(study: Comparison) -> None:
    bars = build_cost_bars(study)
    assert list(bars) == ["training time", "memory", "parameters"]
    for key, variants in zip(("seconds", "memory_bytes", "parameters"), bars.values(), strict=True):
        means = {name: study.get_spreads(name)[key].mean for name in study.names}
        assert {bar.name: bar.fraction for bar in variants} == {
            name: mean / max(means.values()) for name, mean in means.items()
        }
    assert [bar.text for bar in bars["parameters"]] == [
        f"{sum(study.runs[n][5].parameters.values()):,}" for n in study.names
    ]
