"""What a study found: every run's figures, their spread over seeds, and what may be said of them."""

import math
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from vaegan.config import Config, StudyConfig
from vaegan.models.density import Density
from vaegan.storage.runs import Run

from ..descriptions import MetricDescription, describe_metric, sort_metrics
from ..negative_controls import REAL
from ..result import EvaluationResult
from .findings import Effect, Pair, Verdict, describe_condition, estimate_effects, find_verdicts
from .matching import describe_unmatched


@dataclass(frozen=True)
class EvaluatedRun:
    """A finished run and its figures."""

    run: Run
    config: Config
    evaluation: EvaluationResult
    cost: Mapping[str, float]
    """`seconds`, the training's wall-clock time, and `memory_bytes`, the most in the run's `timing.jsonl`: of a GPU, or
    of the process when a line was logged. Empty: nobody knows."""
    parameters: Mapping[str, int]
    """Trained numbers of each network."""

    @property
    def figures(self) -> dict[str, float]:
        """What was measured, and the price."""
        return {**self.evaluation.metrics, **self.cost, "parameters": sum(self.parameters.values())}


@dataclass(frozen=True)
class SeedSpread:
    """A figure of one variant over the seeds."""

    seeds: dict[int, float]
    """The value of each seed."""

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return statistics.fmean(self.seeds.values())

    @property
    def deviation(self) -> float | None:
        """Standard deviation of a sample (n - 1); None: there is one seed."""
        return statistics.stdev(self.seeds.values()) if len(self.seeds) > 1 else None

    def text(self, described: MetricDescription) -> str:
        """Mean, and standard deviation where the seeds differ."""
        spread = f" ± {described.write(self.deviation)}" if self.deviation else ""
        return described.text(self.mean) + spread


@dataclass(frozen=True)
class TableRow:
    """One figure of every variant."""

    figure: MetricDescription
    cells: dict[str, str]
    """Text of each variant; empty: it has no such figure."""
    best: frozenset[str]
    """The variants whose mean is best; none where neither way is better, or only one variant has it."""
    real: str
    """What real images score; empty: nothing."""


@dataclass(frozen=True)
class Comparison:
    """A study with all its runs judged."""

    study: StudyConfig
    judged: Mapping[str, Mapping[int, EvaluatedRun]]
    """Run of each variant and seed, in the study's order."""
    controls: Mapping[str, EvaluationResult]
    """What real images score in the place of a model, untouched (`controls.REAL`) and with defects."""
    command: str | None
    """The command line; None: called from Python."""
    densities: Mapping[str, Density] = field(default_factory=dict)
    """What the samples of each variant's first seed are drawn from; none where it is the prior."""

    @property
    def names(self) -> list[str]:
        """The variants."""
        return list(self.judged)

    @property
    def pairs(self) -> list[Pair]:
        """Each variant with each reference before it."""
        references = self.study.references or self.names[:1]
        return [(name, other) for other in references for name in self.names[self.names.index(other) + 1 :]]

    @property
    def first(self) -> EvaluatedRun:
        """The first variant's run of the first seed."""
        return self.judged[self.names[0]][self.study.seeds[0]]

    @property
    def density(self) -> str | None:
        """As of every run's `EvaluationResult`."""
        return self.first.evaluation.density

    @property
    def images_seen(self) -> dict[str, int]:
        """By each run of a variant."""
        return {name: config.train.steps * config.train.batch_size for name, config in self.configs.items()}

    @property
    def configs(self) -> dict[str, Config]:
        """Of each variant's first seed."""
        return {name: next(iter(runs.values())).config for name, runs in self.judged.items()}

    @property
    def unmatched(self) -> list[str]:
        """In what variants differ from the first that could be matched: a sentence each, without its full stop."""
        differing = describe_unmatched(self.configs)
        return [f"{name} is not matched with {self.names[0]}: {text}" for name, text in differing.items()]

    def spreads(self, name: str) -> dict[str, SeedSpread]:
        """Every figure of a variant."""
        figures = {seed: judged.figures for seed, judged in self.judged[name].items()}
        keys = set().union(*figures.values())
        return {
            key: SeedSpread({seed: values[key] for seed, values in figures.items() if key in values})
            for key in sort_metrics(keys)
        }

    def rows(self) -> list[TableRow]:
        """Every figure of every variant."""
        spreads = {name: self.spreads(name) for name in self.names}
        return [self._row(key, spreads) for key in sort_metrics(set().union(*spreads.values()))]

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Header and rows of plain text: a figure a row, a variant a column, real images last."""
        rows = [[f"{row.figure.group}: {row.figure.name}", *row.cells.values(), row.real] for row in self.rows()]
        return ["figure", *self.names, "real"], rows

    @cached_property
    def findings(self) -> list[Verdict]:
        """The verdicts on all pairs."""
        return find_verdicts(self.evaluations, self.pairs)

    @cached_property
    def effects(self) -> list[Effect]:
        """How each pair differs in each figure that is known of single images, or of blocks."""
        return estimate_effects(self.evaluations, self.pairs)

    @property
    def evaluations(self) -> dict[str, dict[int, EvaluationResult]]:
        """Of each variant and seed."""
        return {name: {seed: judged.evaluation for seed, judged in runs.items()} for name, runs in self.judged.items()}

    def price(self, name: str, reference: str) -> str:
        """What a variant costs beside another."""
        own, other = (self.spreads(each).get("seconds") for each in (name, reference))
        if own is None or other is None or own.seeds.keys() != other.seeds.keys():
            return "a training time that nobody knows"
        more = "" if self.configs[name].prior is None else ", beside that of its VQ-VAE"
        return f"{own.mean / other.mean:.1f} times the training time of {reference}{more}"

    def condition(self) -> str:
        """How far the verdicts reach."""
        return describe_condition(self.study.seeds)

    def sentences(self) -> list[str]:
        """The findings, the prices, what is not matched, and the condition, a line each."""
        prices = [f"{name} took {self.price(name, other)}." for name, other in self.pairs]
        others = [f"{sentence}." for sentence in self.unmatched]
        return [*(f"{finding.sentence}." for finding in self.findings), *prices, *others, self.condition()]

    def record(self) -> dict[str, Any]:
        """Everything as JSON knows it."""
        return {
            "study": self.study.model_dump(mode="json"),
            "command": self.command,
            "pairs": self.pairs,
            "images_seen": self.images_seen,
            "sentences": self.sentences(),
            "findings": [_json(asdict(finding)) for finding in self.findings],
            "effects": [_json(asdict(effect)) for effect in self.effects],
            "controls": {
                name: {"figures": control.metrics, "protocol": control.protocol}
                for name, control in self.controls.items()
            },
            "variants": {name: self._record(name) for name in self.names},
        }

    def _record(self, name: str) -> dict[str, Any]:
        runs = self.judged[name]
        some = next(iter(runs.values()))
        return {
            "config": some.config.model_dump(mode="json"),
            "parameters": dict(some.parameters),
            "figures": {
                key: {"mean": spread.mean, "standard_deviation": spread.deviation, "seeds": spread.seeds}
                for key, spread in self.spreads(name).items()
            },
            "runs": {
                seed: {"folder": str(judged.run.path), "protocol": judged.evaluation.protocol}
                for seed, judged in runs.items()
            },
        }

    def _row(self, key: str, spreads: Mapping[str, Mapping[str, SeedSpread]]) -> TableRow:
        described = describe_metric(key, self.density)
        have = {name: own[key].mean for name, own in spreads.items() if key in own}
        cells = {name: spreads[name][key].text(described) if name in have else "" for name in self.names}
        best: frozenset[str] = frozenset()
        if described.better and len(have) > 1:
            top = (max if described.better == "higher" else min)(have.values())
            best = frozenset(name for name, mean in have.items() if mean == top)
        real = self.controls[REAL].metrics.get(key, described.ideal) if REAL in self.controls else described.ideal
        return TableRow(described, cells, best, "" if real is None else described.text(real).replace("inf", "∞"))


def _json(value: Any) -> Any:
    """A record with null in the place of the ends of an interval that there is none of."""
    if isinstance(value, dict):
        return {key: _json(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_json(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
