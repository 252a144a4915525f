"""What a study found: every run's figures, their spread over seeds, and what may be said of them."""

import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from vaegan.config import Config, StudyConfig
from vaegan.runs import Run

from .figures import Figure, figure, in_order
from .runner import Evaluation
from .verdict import Verdict, sharper_reconstructions, sharper_samples

Kind = Literal["reconstruction", "sample"]
ENOUGH_SEEDS = 5
"""Fewer seeds than this make a verdict conditional on them."""


@dataclass(frozen=True)
class Judged:
    """A finished run and its figures."""

    run: Run
    config: Config
    evaluation: Evaluation
    seconds: float
    """Wall-clock time of the training."""
    memory_bytes: float
    """The most in the run's `timing.jsonl`: of a GPU, or of the process when a line was logged."""
    parameters: Mapping[str, int]
    """Trained numbers of each network."""

    @property
    def figures(self) -> dict[str, float]:
        """What was measured, and the price."""
        return self.evaluation.metrics | {
            "seconds": self.seconds,
            "memory_bytes": self.memory_bytes,
            "parameters": sum(self.parameters.values()),
        }


@dataclass(frozen=True)
class Spread:
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

    def text(self, described: Figure) -> str:
        """Mean, and standard deviation where the seeds differ."""
        spread = f" ± {described.write(self.deviation)}" if self.deviation else ""
        return described.write(self.mean).replace("-", "−") + spread


@dataclass(frozen=True)
class Row:
    """One figure of every variant."""

    figure: Figure
    cells: dict[str, str]
    """Text of each variant; empty: it has no such figure."""
    best: frozenset[str]
    """The variants whose mean is best; none where neither way is better, or only one variant has it."""
    real: str
    """What real images score; empty: nothing."""


@dataclass(frozen=True)
class Finding:
    """What may be said of one variant against the reference."""

    variant: str
    kind: Kind
    sharper: bool | None
    """None: undecided, or not the same at all seeds."""
    answer: str
    """The same in words."""
    headline: str
    reasons: tuple[str, ...]
    """Of each seed."""

    @property
    def sentence(self) -> str:
        """Headline and reasons in one line."""
        return f"{self.headline}: {'; '.join(self.reasons)}"


@dataclass(frozen=True)
class Comparison:
    """A study with all its runs judged."""

    study: StudyConfig
    judged: Mapping[str, Mapping[int, Judged]]
    """Run of each variant and seed, in the study's order; the first variant is the reference."""
    floor: Mapping[str, float]
    """What other real images score where samples are measured."""
    command: str | None
    """The command line; None: called from Python."""

    @property
    def names(self) -> list[str]:
        """The variants."""
        return list(self.judged)

    @property
    def reference(self) -> str:
        """The variant that the others are compared with."""
        return self.names[0]

    @property
    def first(self) -> Judged:
        """The reference's run of the first seed."""
        return self.judged[self.reference][self.study.seeds[0]]

    @property
    def images_seen(self) -> int:
        """Of each run, the same for all."""
        return self.first.config.train.steps * self.first.config.train.batch_size

    def spreads(self, name: str) -> dict[str, Spread]:
        """Every figure of a variant."""
        figures = {seed: judged.figures for seed, judged in self.judged[name].items()}
        keys = set().union(*figures.values())
        return {
            key: Spread({seed: values[key] for seed, values in figures.items() if key in values})
            for key in in_order(keys)
        }

    def rows(self) -> list[Row]:
        """Every figure of every variant."""
        spreads = {name: self.spreads(name) for name in self.names}
        return [self._row(key, spreads) for key in in_order(set().union(*spreads.values()))]

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Header and rows of plain text: a figure a row, a variant a column, real images last."""
        rows = [[f"{row.figure.group}: {row.figure.name}", *row.cells.values(), row.real] for row in self.rows()]
        return ["figure", *self.names, "real"], rows

    def verdicts(self, name: str) -> dict[Kind, dict[int, Verdict]]:
        """Of a variant against the reference, seed by seed; without what either was not measured by."""
        found: dict[Kind, dict[int, Verdict]] = {}
        for seed, judged in self.judged[name].items():
            pair = judged.evaluation, self.judged[self.reference][seed].evaluation
            if all("reconstruction/coherence" in each.metrics for each in pair):
                found.setdefault("reconstruction", {})[seed] = sharper_reconstructions(*pair)
            if all("sample/spectrum_error" in each.metrics for each in pair):
                found.setdefault("sample", {})[seed] = sharper_samples(*pair)
        return found

    def findings(self) -> list[Finding]:
        """Of every variant but the reference."""
        return [
            _finding(name, self.reference, kind, verdicts)
            for name in self.names[1:]
            for kind, verdicts in self.verdicts(name).items()
        ]

    def price(self, name: str) -> str:
        """What a variant costs beside the reference."""
        own, reference = (self.spreads(each)["seconds"].mean for each in (name, self.reference))
        return f"{own / reference:.1f} times the training time of {self.reference}"

    def condition(self) -> str:
        """How far the verdicts reach."""
        seeds = self.study.seeds
        if len(seeds) == 1:
            return f"One seed: every verdict is conditional on seed {seeds[0]}, and another seed may change it."
        few = ", which are few: every verdict is conditional on them" if len(seeds) < ENOUGH_SEEDS else ""
        return f"{len(seeds)} seeds{few}."

    def sentences(self) -> list[str]:
        """The findings, the prices and the condition, a line each."""
        prices = [f"{name} took {self.price(name)}." for name in self.names[1:]]
        return [*(finding.sentence for finding in self.findings()), *prices, self.condition()]

    def record(self) -> dict[str, Any]:
        """Everything as JSON knows it."""
        return {
            "study": self.study.model_dump(mode="json"),
            "command": self.command,
            "reference": self.reference,
            "images_seen": self.images_seen,
            "sentences": self.sentences(),
            "real_against_real": dict(self.floor),
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
            "verdicts": {
                kind: {seed: asdict(verdict) for seed, verdict in verdicts.items()}
                for kind, verdicts in (self.verdicts(name) if name != self.reference else {}).items()
            },
            "runs": {
                seed: {"folder": str(judged.run.path), "protocol": judged.evaluation.protocol}
                for seed, judged in runs.items()
            },
        }

    def _row(self, key: str, spreads: Mapping[str, Mapping[str, Spread]]) -> Row:
        described = figure(key)
        have = {name: own[key].mean for name, own in spreads.items() if key in own}
        cells = {name: spreads[name][key].text(described) if name in have else "" for name in self.names}
        best: frozenset[str] = frozenset()
        if described.better and len(have) > 1:
            top = (max if described.better == "higher" else min)(have.values())
            best = frozenset(name for name, mean in have.items() if mean == top)
        real = self.floor.get(key, described.ideal)
        return Row(described, cells, best, "" if real is None else described.write(real).replace("inf", "∞"))


def _finding(name: str, reference: str, kind: Kind, verdicts: Mapping[int, Verdict]) -> Finding:
    answers = [verdict.sharper for verdict in verdicts.values()]
    same = answers[0] if len(set(answers)) == 1 else None
    if answers.count(None) == len(answers):
        answer = "Undecided"
        headline = f"Whether {kind}s of {name} are sharper than those of {reference} is undecided"
    else:
        answer = "not sharper" if same is False else "sharper"
        where = f" at {answers.count(True)} of {len(answers)} seeds" if same is None else ""
        headline = f"{kind.capitalize()}s of {name} are {answer} than those of {reference}{where}"
        answer = f"{answer.capitalize()}{where}"
    if len(verdicts) == 1:
        reasons = tuple(_bare(verdict.reason) for verdict in verdicts.values())
    else:
        reasons = tuple(f"seed {seed}: {verdict.reason}" for seed, verdict in verdicts.items())
    return Finding(name, kind, same, answer, headline, reasons)


def _bare(reason: str) -> str:
    """A reason without the answer that it begins with."""
    return reason.removeprefix("not sharper: ").removeprefix("sharper: ")
