"""The runs of a study that are still to be trained, for a scheduler that trains them elsewhere."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from vaegan.config import Config, StudyConfig
from vaegan.data import Data
from vaegan.progress import Reporter
from vaegan.storage.run_folder import Run

from .study import hand_out_members, plan_runs, train_study


@dataclass(frozen=True)
class RunList:
    """Runs of a study that can be trained now, in any order and at the same time."""

    runs: dict[Path, Config]
    """Config of each run by its folder; a run that was begun is to be resumed."""
    later: int
    """Number of further runs, which need some of these: the study's classifier, the speed of the variants, or the
    autoencoder of a prior."""


def list_runs(
    study: StudyConfig,
    configs: Mapping[str, Config],
    output: Path,
    reporter: Reporter,
    features: tuple[str, Config] | None = None,
    allow_other_data: bool = False,
) -> RunList:
    """List the runs of a study that are not finished and can begin, and train none.

    The list of the study's images is written into their folders, so that all of them are trained on the same ones.

    Args:
        study: Variants and seeds.
        configs: Config of each variant, in the study's order.
        output: Folder of the study.
        reporter: Receiver of notes.
        features: Name and config of the classifier of `study.features`.
        allow_other_data: Whether to go on with images that are not those of the runs that are there.

    Raises:
        UserError: The variants are not matched, a folder holds another run, or the images are not the study's.
    """
    runs: dict[Path, Config] = {}

    def stop_at_unfinished(candidates: Mapping[Path, Config]) -> None:
        if unfinished := {folder: config for folder, config in candidates.items() if not Run(folder).finished}:
            runs.update(unfinished)
            raise _FoundUnfinished

    def stop_at(config: Config, folder: Path, data: Data, resume: bool) -> Run:
        hand_out_members([folder], data)
        runs[folder] = config
        if config.train.steps:
            raise _FoundUnfinished
        return Run(folder)

    with suppress(_FoundUnfinished):
        train_study(study, configs, output, stop_at, reporter, features, stop_at_unfinished, allow_other_data)
    planned = plan_runs(study, configs, output)
    return RunList(runs, sum(not Run(folder).finished for folder in planned if folder not in runs))


class _FoundUnfinished(Exception):
    """Raised in the place of the first training."""
