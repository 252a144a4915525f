"""The cost of an ablation before it is trained: runs, images, floating-point operations, and time where it is known."""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from vaegan.config import Config
from vaegan.config.ablation_schema import SUM
from vaegan.config.load_ablation import PHASES, LoadedAblation, PhaseName, Selection
from vaegan.config.load_study_files import LoadedStudy
from vaegan.evaluate.metric_descriptions import format_duration
from vaegan.evaluate.screening import read_seed_metrics, select_changes
from vaegan.evaluate.study import plan_runs
from vaegan.storage.run_folder import Run
from vaegan.storage.training_cost import read_training_cost

from .training_flops import FlopCounter

CLASSIFIER = "classifier"
"""Name of the classifier of the features among the runs of a plan."""
FLOP_UNITS = {"PFLOP": 1e15, "TFLOP": 1e12, "GFLOP": 1e9}
"""Units of floating-point operations, the largest first."""


class PlannedRun(NamedTuple):
    """A training of an ablation."""

    folder: Path
    name: str
    """Name of the variant, or `CLASSIFIER`."""
    steps: int
    images: int
    """Number of training images that it sees."""
    flops: int | None
    """Its floating-point operations; None: they cannot be counted here."""

    @property
    def finished(self) -> bool:
        """True if its folder holds a finished run of as many steps."""
        run = Run(self.folder)
        return run.finished and run.config.train.steps == self.steps


@dataclass(frozen=True)
class Plan:
    """The trainings of an ablation, with those that are finished."""

    phases: Mapping[str, list[PlannedRun]]
    """Trainings of each phase by its title."""
    problem: str
    """Reason why their operations cannot be counted here; empty: they can."""

    @property
    def runs(self) -> list[PlannedRun]:
        """All trainings."""
        return [run for runs in self.phases.values() for run in runs]

    def build_table(self) -> tuple[list[str], list[list[str]]]:
        """Return header and rows of plain text: one row for each phase, and their sum last."""
        rows = [
            [
                title, f"{len(runs):,}", f"{sum(run.finished for run in runs):,}",
                f"{sum(run.images for run in runs):,}", format_flops([run.flops for run in runs]),
            ]
            for title, runs in {**self.phases, "all": self.runs}.items()
        ]  # fmt: skip
        return ["phase", "runs", "finished", "images seen", "operations"], rows

    def list_lines(self) -> list[str]:
        """Return the lines of the table, and each sentence as a line."""
        _, rows = self.build_table()
        lines = [
            f"{title}: {runs} runs, {finished} of them finished; {images} images seen; {operations}"
            for title, runs, finished, images, operations in rows
        ]
        return [*lines, *self.list_sentences()]

    def list_sentences(self) -> list[str]:
        """Return a sentence on the time that is left, and one on operations that cannot be counted."""
        problem = [f"operations cannot be counted here: {self.problem}"] if self.problem else []
        left = [run for run in self.runs if not run.finished]
        if not left:
            return [*problem, "every run is trained"]
        seconds = _read_seconds([run for run in self.runs if run not in left])
        estimates = [estimate_seconds(run, seconds) for run in left]
        known = [estimate for estimate in estimates if estimate is not None]
        if len(known) < len(left):
            return [*problem, "how long they take is known once a run is finished here"]
        return [
            *problem,
            f"about {format_duration(sum(known))} of training are left, one run after another, at the speed of the runs"
            f" finished here ({len(seconds)}); evaluations come on top",
        ]


def plan_ablation(loaded: LoadedAblation, folder: Path, counter: FlopCounter) -> Plan:
    """Plan the trainings of an ablation; once the screening is evaluated, it decides which changes are confirmed.

    Before that, the plan counts as many changes as can pass, those with the most operations, and the sum of all
    changes.

    Args:
        loaded: The ablation.
        folder: Its folder.
        counter: Counts the operations.

    Raises:
        UserError: A setting is wrong.
    """
    ablation = loaded.ablation
    screening = loaded.load_phase("screen", loaded.select_all())
    screened = _plan_runs(screening, folder, "screen", counter)
    metrics = read_seed_metrics(screening, folder / "screen") if all(run.finished for run in screened) else None
    if metrics is not None:
        selection = select_changes(loaded, metrics)
        names = [*selection.alone, *([SUM] if len(selection.summed) > 1 else [])]
        condition = f" of {', '.join(names)}" if names else ": no change passed"
    else:
        costs = {name: counter.count(screening.configs[name]) or 0 for name in ablation.changes}
        dearest = sorted(costs, key=lambda name: -costs[name])[: ablation.keep]
        passed = [name for name in ablation.changes if name in dearest]
        selection = Selection(passed, loaded.select_all().summed)
        condition = f", if {'all' if len(passed) == len(costs) else f'{len(passed)} of {len(costs)}'} pass"
    phases: dict[str, list[PlannedRun]] = {}
    if screening.classifier is not None:
        name, config = screening.classifier
        phases["classifier of the features"] = [
            _plan_run(get_classifier_folder(folder, name), CLASSIFIER, config, counter)
        ]
    phases[PHASES["screen"]] = screened
    title = PHASES["confirm"] + condition
    phases[title] = (
        _plan_runs(loaded.load_phase("confirm", selection), folder, "confirm", counter) if any(selection) else []
    )
    return Plan(phases, counter.problem)


def get_classifier_folder(folder: Path, name: str) -> Path:
    """Return the folder, inside an ablation's folder, of the classifier of the features that the screening trains."""
    return folder / "screen" / "features" / name


def format_flops(counts: list[int | None]) -> str:
    """Return the sum of numbers of operations as text; None stands for an unknown number."""
    known = [count for count in counts if count is not None]
    if len(known) < len(counts):
        return "not known"
    unit = next((unit for unit, size in FLOP_UNITS.items() if sum(known) >= size), "GFLOP")
    return f"{sum(known) / FLOP_UNITS[unit]:,.2f} {unit}"


def _plan_runs(study: LoadedStudy, folder: Path, phase: PhaseName, counter: FlopCounter) -> list[PlannedRun]:
    runs = plan_runs(study.study, study.configs, folder / phase)
    return [_plan_run(run, run.parent.name, config, counter) for run, config in runs.items()]


def _plan_run(folder: Path, name: str, config: Config, counter: FlopCounter) -> PlannedRun:
    steps, size = config.train.steps, config.train.batch_size
    return PlannedRun(folder, name, steps, steps * size, counter.count(config))


def _read_seconds(runs: list[PlannedRun]) -> dict[PlannedRun, float]:
    """Return the time of each finished training whose log contains it."""
    costs = {run: read_training_cost(Run(run.folder).timing_file, lambda line: None) for run in runs}
    return {run: cost["seconds"] for run, cost in costs.items() if cost.get("seconds")}


def estimate_seconds(run: PlannedRun, finished: Mapping[PlannedRun, float]) -> float | None:
    """Estimate a training's time from those of its variant, or else from all times and operations; None: unknown."""
    rates = [seconds / other.steps for other, seconds in finished.items() if other.name == run.name]
    if rates:
        return statistics.median(rates) * run.steps
    speeds = [seconds / other.flops for other, seconds in finished.items() if other.flops]
    return statistics.median(speeds) * run.flops if speeds and run.flops is not None else None
