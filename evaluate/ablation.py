"""The result of an ablation: which changes passed its screening, and the effect of each in both phases."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from vaegan.config.ablation_schema import BASE, SUM
from vaegan.config.load_ablation import CHOICE_SPLIT, PHASES, LoadedAblation, PhaseName, Selection
from vaegan.extras import check_packages

from .comparing.bootstrap import make_estimate_without_interval
from .comparing.comparison import Comparison, replace_non_finite
from .comparing.verdicts import Effect, format_difference, get_direction
from .metric_descriptions import describe_metric
from .screening import find_metric_key, get_seed_metrics, list_differences

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, repr=False)
class Ablation:
    """An ablation as far as it is finished; a notebook shows its sentences."""

    loaded: LoadedAblation
    comparisons: Mapping[PhaseName, Comparison]
    """Comparison of each phase that is finished; the screening always is."""
    selection: Selection
    """Changes that passed the screening."""
    flops: Mapping[PhaseName, Mapping[str, int]] = field(default_factory=dict)
    """Floating-point operations of a training of each variant, by phase; empty: they cannot be counted here."""
    command: str | None = None
    """Command line; None: the ablation was called from Python."""
    report_file: Path | None = None
    """The page that shows it; None: none was written."""

    def __repr__(self) -> str:
        """Return the title, the changes that passed and the page."""
        title = self.loaded.ablation.title
        return f"Ablation {title!r}; passed: {', '.join(self.selection.alone) or 'none'}; {self.report_file}"

    def _repr_html_(self) -> str:
        """Return the sentences as HTML, which a notebook shows."""
        return "".join(f"<p>{escape(sentence)}</p>" for sentence in self.list_sentences())

    @property
    def key(self) -> str:
        """Key of the metric that decides, with the network of its features."""
        return find_metric_key(self.loaded.ablation.metric, self.comparisons["screen"].first.metrics)

    @property
    def density(self) -> str | None:
        """The density that the samples of every run were drawn from, in words; None: they were drawn from the prior."""
        return self.comparisons["screen"].density

    @property
    def summed(self) -> dict[PhaseName, list[str]]:
        """Changes that the sum of each phase consists of; a phase without a sum is left out."""
        summed = {"screen": self.loaded.select_all().summed, "confirm": self.selection.summed}
        return {phase: summed[phase] for phase, comparison in self.comparisons.items() if SUM in comparison.names}

    @property
    def sum_passed(self) -> bool:
        """True if the screening's sum passed, with changes that did not pass alone."""
        return not set(self.selection.summed) <= set(self.selection.alone)

    def list_variants(self) -> list[str]:
        """Return the names of the changes, those that passed first, and that of the sum if there is one."""
        passed = self.selection.alone
        others = [name for name in self.loaded.ablation.changes if name not in passed]
        return [*passed, *others, *([SUM] if self.summed else [])]

    def list_effects(self, phase: PhaseName) -> list[Effect]:
        """Return the effects of a phase, that on the metric that decides without an interval where it has none."""
        comparison = self.comparisons[phase]
        if any(effect.key == self.key for effect in comparison.effects):
            return comparison.effects
        metrics = get_seed_metrics(comparison)
        differences = {name: list_differences(metrics, name, self.key) for name in comparison.names if name != BASE}
        return [
            *comparison.effects,
            *(
                Effect(name, BASE, self.key, make_estimate_without_interval(torch.tensor(values)), 1.0, None)
                for name, values in differences.items()
                if values
            ),
        ]

    def list_sentences(self) -> list[str]:
        """Return sentences on the screening, on each variant of the confirmation, and on the seeds of both."""
        metric, keep = describe_metric(self.key, self.density), self.loaded.ablation.keep
        limit = "" if keep is None else f", {keep} at most"
        sentences = [f"Screening by {metric.group}: {metric.name}{limit}: {self.describe_selection()}."]
        conditions = [
            f"{PHASES[phase].capitalize()}: {comparison.describe_condition()}"
            for phase, comparison in self.comparisons.items()
        ]
        if "confirm" not in self.comparisons:
            return [*sentences, *conditions]
        count = len(self.comparisons["confirm"].study.seeds)
        seeds = "one seed" if count == 1 else f"{count} seeds"
        for effect in self.list_effects("confirm"):
            if effect.key == self.key:
                name = f"sum ({' + '.join(self.summed['confirm'])})" if effect.variant == SUM else effect.variant
                is_tested = math.isfinite(effect.estimate.error)
                verdict = get_direction(effect) or ("not distinguishable" if is_tested else "not tested")
                sentences.append(f"{name}: {verdict} at {seeds}: {format_difference(effect.estimate, 5)}.")
        return [*sentences, *conditions]

    def describe_selection(self) -> str:
        """Return which changes passed the screening, and whether the sum of all passed."""
        alone = self.selection.alone
        passed = f"{', '.join(alone)} passed" if alone else "no change passed"
        if not self.sum_passed:
            return passed
        return f"{passed}{'' if alone else ' alone'}; the sum of all passed, which was better than each alone"

    def describe_sums(self) -> str:
        """Return what the sum of each phase consists of, in one line."""
        return "; ".join(f"{PHASES[phase]}: {' + '.join(names)}" for phase, names in self.summed.items())

    def format_relative_flops(self, name: str) -> str:
        """Return the operations of a variant's training as a multiple of the base's, in the last phase that has it."""
        counts = [each for each in self.flops.values() if each.get(name) and each.get(BASE)]
        return f"{counts[-1][name] / counts[-1][BASE]:.2f}" if counts else ""

    def iterate_rows(self) -> Iterator[dict[str, Any]]:
        """Yield a row for each phase, variant and metric."""
        for phase in self.comparisons:
            for effect in self.list_effects(phase):
                estimate = effect.estimate
                yield {
                    "phase": PHASES[phase], "change": effect.variant, "figure": effect.key,
                    "difference": estimate.value, "low": estimate.low, "high": estimate.high, "p": estimate.p,
                    "corrected_p": effect.corrected, "cohens_d": effect.size, "direction": get_direction(effect),
                }  # fmt: skip

    def to_dataframe(self) -> "DataFrame":
        """Return the effects as a pandas DataFrame: a row for each phase, variant and metric."""
        check_packages(["pandas"])
        from pandas import DataFrame

        return DataFrame(list(self.iterate_rows()))

    def to_record(self) -> dict[str, Any]:
        """Return the contents of `ablation.json`."""
        return {
            "ablation": self.loaded.ablation.model_dump(mode="json"),
            "command": self.command,
            "metric": self.key,
            "split": CHOICE_SPLIT,
            "passed": self.selection.alone,
            "summed": {PHASES[phase]: names for phase, names in self.summed.items()},
            "sentences": self.list_sentences(),
            "seeds": {PHASES[phase]: list(c.study.seeds) for phase, c in self.comparisons.items()},
            "images_seen": {PHASES[phase]: c.images_seen[BASE] for phase, c in self.comparisons.items()},
            "training_flops": {PHASES[phase]: dict(counts) for phase, counts in self.flops.items()},
            "effects": [replace_non_finite(row) for row in self.iterate_rows()],
        }
