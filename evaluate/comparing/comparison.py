"""The comparison that a study ends with: the metrics of every run, their spread over seeds, and the verdicts."""

import math
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor

from vaegan.config import Config, StudyConfig
from vaegan.config.codebooks import TrainedPriorConfig
from vaegan.extras import check_packages
from vaegan.models.autoencoder import Sampler
from vaegan.models.density import Density
from vaegan.storage.loading import load

from ..metric_descriptions import MetricDescription, describe_metric, sort_metrics
from ..negative_controls import REAL
from ..result import EvaluatedRun, EvaluationResult
from .bootstrap import MIN_SEEDS
from .matching import describe_unmatched
from .verdicts import Effect, Pair, Verdict, estimate_effects, find_verdicts

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True)
class SeedSpread:
    """A metric of one variant over the seeds."""

    seeds: dict[int, float]
    """Value of each seed."""

    @property
    def mean(self) -> float:
        """Mean over the seeds."""
        return statistics.fmean(self.seeds.values())

    @property
    def deviation(self) -> float | None:
        """Standard deviation of a sample (n - 1); None: there is one seed."""
        return statistics.stdev(self.seeds.values()) if len(self.seeds) > 1 else None

    def format(self, metric: MetricDescription) -> str:
        """Return the mean as text, with the standard deviation where the seeds differ."""
        spread = f" ± {metric.write(self.deviation)}" if self.deviation else ""
        return metric.format(self.mean) + spread


class TableRow(NamedTuple):
    """A metric of every variant, as text."""

    metric: MetricDescription
    cells: dict[str, str]
    """Text of each variant; empty: the variant has no such metric."""
    best: frozenset[str]
    """Variants with the best mean; none where neither direction is better, or only one variant has the metric."""
    real: str
    """Value of real images; empty: they have none."""


@dataclass(frozen=True, repr=False)
class Comparison:
    """A study with all its runs evaluated; a notebook shows it as its table and its verdicts."""

    study: StudyConfig
    runs: Mapping[str, Mapping[int, EvaluatedRun]]
    """Run of each variant and seed, in the study's order."""
    controls: Mapping[str, EvaluationResult]
    """Results of real images in the place of a model, untouched (`negative_controls.REAL`) and with defects."""
    command: str | None
    """Command line; None: the study was called from Python."""
    densities: Mapping[str, Density | None] = field(default_factory=dict)
    """Density that the samples of each variant's first seed are drawn from; a variant without one samples from the
    prior."""
    report_file: Path | None = None
    """The page that shows it; None: none was written."""

    def __repr__(self) -> str:
        """Return the title, the variants, the seeds and the page."""
        seeds = ", ".join(map(str, self.study.seeds))
        return f"Comparison {self.study.title!r} of {', '.join(self.names)}; seeds {seeds}; {self.report_file}"

    def _repr_html_(self) -> str:
        """Return the table and the verdicts as HTML, which a notebook shows."""
        header, rows = self.build_table()
        cells = [f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows]
        names = "".join(f"<th>{escape(name)}</th>" for name in header)
        sentences = "".join(f"<p>{escape(sentence)}</p>" for sentence in self.list_sentences())
        return f"<table><thead><tr>{names}</tr></thead><tbody>{''.join(cells)}</tbody></table>{sentences}"

    def to_dataframe(self) -> "DataFrame":
        """Return the metrics of every run as a pandas DataFrame: a row for each variant and seed, a metric a column."""
        check_packages(["pandas"])
        from pandas import DataFrame, MultiIndex

        runs = {(name, seed): run.metrics for name, runs in self.runs.items() for seed, run in runs.items()}
        index = MultiIndex.from_tuples(runs, names=["variant", "seed"])
        return DataFrame(list(runs.values()), index, sort_metrics(set().union(*runs.values())))

    @property
    def names(self) -> list[str]:
        """Names of the variants."""
        return list(self.runs)

    @property
    def pairs(self) -> list[Pair]:
        """Pairs of each variant with each reference before it."""
        references = self.study.references or self.names[:1]
        return [(name, other) for other in references for name in self.names[self.names.index(other) + 1 :]]

    @property
    def first(self) -> EvaluatedRun:
        """The first variant's run of the first seed."""
        return self.runs[self.names[0]][self.study.seeds[0]]

    @property
    def density(self) -> str | None:
        """The density that the samples of every run were drawn from, in words; None: they were drawn from the prior."""
        return self.first.evaluation.density

    @property
    def images_seen(self) -> dict[str, int]:
        """Number of training images that each run of a variant has seen here; 0: it was not trained."""
        return {name: config.train.steps * config.train.batch_size for name, config in self.configs.items()}

    @property
    def configs(self) -> dict[str, Config]:
        """Config of each variant's first seed."""
        return {name: next(iter(runs.values())).config for name, runs in self.runs.items()}

    @property
    def evaluations(self) -> dict[str, dict[int, EvaluationResult]]:
        """Result of each variant and seed."""
        return {name: {seed: run.evaluation for seed, run in runs.items()} for name, runs in self.runs.items()}

    @property
    def unmatched(self) -> list[str]:
        """Differences of variants from the first one in what could be matched: sentences without their full stop."""
        differences = describe_unmatched(self.configs)
        return [f"{name} is not matched with {self.names[0]}: {text}" for name, text in differences.items()]

    @cached_property
    def verdicts(self) -> list[Verdict]:
        """Verdicts on all pairs."""
        return find_verdicts(self.evaluations, self.pairs)

    @cached_property
    def effects(self) -> list[Effect]:
        """Differences of all pairs in each metric that is known of single images, or of blocks of them."""
        return estimate_effects(self.evaluations, self.pairs)

    def load_sampler(self, name: str) -> Sampler:
        """Load the model of a variant's first seed and return the sampler of the images that its metrics are about."""
        seed = self.study.seeds[0]
        return Sampler(load(self.runs[name][seed].run.path), seed, self.densities.get(name))

    def get_scores(self, name: str, prefix: str) -> dict[str, Tensor]:
        """Return the scores of a variant's first seed whose keys begin with ``prefix/``, by the rest of the key."""
        scores = self.runs[name][self.study.seeds[0]].evaluation.scores
        return {
            key.removeprefix(f"{prefix}/"): values for key, values in scores.items() if key.startswith(f"{prefix}/")
        }

    def get_spreads(self, name: str) -> dict[str, SeedSpread]:
        """Return every metric of a variant over the seeds, by its key, in the order of tables."""
        metrics = {seed: run.metrics for seed, run in self.runs[name].items()}
        keys = set().union(*metrics.values())
        return {
            key: SeedSpread({seed: values[key] for seed, values in metrics.items() if key in values})
            for key in sort_metrics(keys)
        }

    def build_rows(self) -> list[TableRow]:
        """Return a row for each metric, with a cell for each variant."""
        spreads = {name: self.get_spreads(name) for name in self.names}
        return [self._build_row(key, spreads) for key in sort_metrics(set().union(*spreads.values()))]

    def build_table(self) -> tuple[list[str], list[list[str]]]:
        """Return header and rows of plain text: a metric a row, a variant a column, real images last."""
        rows = [[f"{row.metric.group}: {row.metric.name}", *row.cells.values(), row.real] for row in self.build_rows()]
        return ["metric", *self.names, "real"], rows

    def describe_cost(self, name: str, reference: str) -> str:
        """Return a variant's training time as a multiple of another's, or that one of them was not trained."""
        untrained = [not self.configs[variant].train.steps for variant in (name, reference)]
        if any(untrained):
            return "no training here" if untrained[0] else f"a training, and {reference} none here"
        seconds, other = (self.get_spreads(variant).get("seconds") for variant in (name, reference))
        if seconds is None or other is None or seconds.seeds.keys() != other.seeds.keys():
            return "an unknown training time"
        model = self.configs[name].model
        addition = f", beside that of its {model.autoencoder_name}" if isinstance(model, TrainedPriorConfig) else ""
        return f"{seconds.mean / other.mean:.1f} times the training time of {reference}{addition}"

    def describe_condition(self) -> str:
        """Return the sentence on how many seeds the verdicts are conditional on."""
        seeds = self.study.seeds
        if len(seeds) == 1:
            return f"One seed: every verdict is conditional on seed {seeds[0]}, and another seed may change it."
        few = ", which are few: every verdict is conditional on them" if len(seeds) < MIN_SEEDS else ""
        return f"{len(seeds)} seeds{few}."

    def list_sentences(self) -> list[str]:
        """Return the verdicts, the costs, what is not matched, and the condition, a sentence each."""
        verdicts = [f"{verdict.sentence}." for verdict in self.verdicts]
        costs = [f"{name} took {self.describe_cost(name, other)}." for name, other in self.pairs]
        unmatched = [f"{sentence}." for sentence in self.unmatched]
        return [*verdicts, *costs, *unmatched, self.describe_condition()]

    def to_record(self) -> dict[str, Any]:
        """Return the contents of `comparison.json`."""
        return {
            "study": self.study.model_dump(mode="json"),
            "command": self.command,
            "pairs": self.pairs,
            "images_seen": self.images_seen,
            "sentences": self.list_sentences(),
            "findings": [replace_non_finite(asdict(verdict)) for verdict in self.verdicts],
            "effects": [replace_non_finite(asdict(effect)) for effect in self.effects],
            "controls": {
                name: {"figures": control.metrics, "protocol": control.protocol}
                for name, control in self.controls.items()
            },
            "variants": {name: self._record_variant(name) for name in self.names},
        }

    def _record_variant(self, name: str) -> dict[str, Any]:
        runs = self.runs[name]
        first = next(iter(runs.values()))
        return {
            "config": first.config.model_dump(mode="json"),
            "parameters": dict(first.parameters),
            "figures": {
                key: {"mean": spread.mean, "standard_deviation": spread.deviation, "seeds": spread.seeds}
                for key, spread in self.get_spreads(name).items()
            },
            "runs": {seed: {"folder": str(r.run.path), "protocol": r.evaluation.protocol} for seed, r in runs.items()},
        }

    def _build_row(self, key: str, spreads: Mapping[str, Mapping[str, SeedSpread]]) -> TableRow:
        metric = describe_metric(key, self.density)
        means = {name: metrics[key].mean for name, metrics in spreads.items() if key in metrics}
        cells = {name: spreads[name][key].format(metric) if name in means else "" for name in self.names}
        top = (max if metric.better == "higher" else min)(means.values()) if metric.better and len(means) > 1 else None
        best = frozenset(name for name, mean in means.items() if mean == top)
        real = self.controls[REAL].metrics.get(key, metric.ideal) if REAL in self.controls else metric.ideal
        return TableRow(metric, cells, best, "" if real is None else metric.format(real).replace("inf", "∞"))


def replace_non_finite(value: Any) -> Any:
    """Return a record with null in place of the ends of an interval that does not exist."""
    if isinstance(value, dict):
        return {key: replace_non_finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [replace_non_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
