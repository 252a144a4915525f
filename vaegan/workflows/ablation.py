"""The work of the command `ablate`, and of `vaegan.api`; all processes of a launch do it together."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vaegan.config import dump_config
from vaegan.config.ablation_schema import BASE
from vaegan.config.load_ablation import PHASES, LoadedAblation, PhaseName
from vaegan.distributed import broadcast_from_main, run_on_main
from vaegan.errors import UserError
from vaegan.io import write_text
from vaegan.long_work import run_long_on_main
from vaegan.progress import Reporter

from .destinations import check_is_no_other
from .study import compare_study, prepare_study

if TYPE_CHECKING:
    from vaegan.config import Config
    from vaegan.config.load_study_files import LoadedStudy
    from vaegan.evaluate.ablation import Ablation
    from vaegan.evaluate.comparing.comparison import Comparison

    from .ablation_plan import Plan


def check_ablation(loaded: LoadedAblation, folder: Path) -> "LoadedStudy":
    """Check that an ablation can be trained and its changes can be chosen, and return the study of its screening.

    Raises:
        UserError: The metric is not measured, no image is held out for validation, a package or an input of a training
            is missing, or the folder lies in that of the images.
        FileFailure: No file can be created in the folder.
    """
    screening = loaded.load_phase("screen", loaded.select_all())
    if not screening.configs[BASE].data.validation:
        raise UserError(f"{loaded.source}: base.set.data.validation: 0 holds out no image to choose on; give a share")
    run_on_main(lambda: check_is_no_other(folder, "comparison.json", "a study"))
    screening = prepare_study(screening, folder)
    from vaegan.evaluate.screening import check_metric  # its packages have been found

    check_metric(loaded, screening)
    return screening


def run_ablation(
    loaded: LoadedAblation,
    folder: Path,
    reporter: Reporter,
    command: str | None = None,
    train_ahead: "Callable[[Mapping[Path, Config]], None] | None" = None,
    allow_other_data: bool = False,
    show_plan: "Callable[[Plan], None] | None" = None,
) -> "Ablation | None":
    """Screen the changes of an ablation, confirm those that pass, and write its page; finished runs are kept.

    Args:
        loaded: The ablation.
        folder: Its folder; the studies of its phases are in folders of their own there.
        reporter: Shows progress and notes.
        command: Command line, for the record; None: the ablation is run from Python.
        train_ahead: Function that trains several runs, given by their folders, side by side; None: they are trained one
            after another.
        allow_other_data: Whether to go on with images that are not those of the ablation's runs.
        show_plan: Called on rank 0 with the plan of the costs, before the first training; None: not called.

    Returns:
        The ablation; None on processes of another rank than 0.

    Raises:
        UserError: A setting is wrong, or a folder holds another run.
        Failure: A training or an evaluation failed; what is finished is kept.
        Interrupted: A training was asked to stop.
    """
    screening = check_ablation(loaded, folder)
    from vaegan.evaluate.ablation import Ablation
    from vaegan.evaluate.report.ablation_page import write_ablation
    from vaegan.evaluate.screening import get_seed_metrics, select_changes

    from .ablation_plan import get_classifier_folder, plan_ablation
    from .training_flops import FlopCounter

    counter = FlopCounter()
    if show_plan is not None:
        run_long_on_main(lambda: show_plan(plan_ablation(loaded, folder, counter)))

    def compare_phase(phase: PhaseName, study: "LoadedStudy") -> "Comparison | None":
        run_on_main(lambda: _write_study(study, folder / f"{phase}.yaml"))
        reporter.note(f"{PHASES[phase]}: {len(study.configs)} variants, seeds {', '.join(map(str, study.study.seeds))}")
        return compare_study(study, folder / phase, reporter, command, train_ahead, allow_other_data)

    def count(study: "LoadedStudy") -> dict[str, int]:
        counts = {name: counter.count(config) for name, config in study.configs.items()}
        return {name: flops for name, flops in counts.items() if flops is not None}

    def finish_screening() -> Ablation:
        assert screened is not None
        selection = select_changes(loaded, get_seed_metrics(screened))
        return write_ablation(
            Ablation(loaded, {"screen": screened}, selection, {"screen": count(screening)}, command), folder
        )

    def finish_confirmation() -> Ablation:
        assert ablation is not None and confirmed is not None
        comparisons, flops = {**ablation.comparisons, "confirm": confirmed}, {**ablation.flops, "confirm": count(study)}
        return write_ablation(replace(ablation, comparisons=comparisons, flops=flops), folder)

    screened = compare_phase("screen", screening)
    ablation = run_long_on_main(finish_screening)
    selection = broadcast_from_main(lambda: None if ablation is None else ablation.selection)
    if ablation is not None:
        reporter.note(f"screening: {ablation.describe_selection()}")
    if selection is None or not any(selection):
        return ablation
    trained = screening.classifier and get_classifier_folder(folder, screening.classifier[0])
    study = loaded.load_phase("confirm", selection, trained)
    confirmed = compare_phase("confirm", study)
    return run_long_on_main(finish_confirmation)


def _write_study(study: "LoadedStudy", file: Path) -> None:
    """Write the study of a phase into a file, which `vaegan compare` can read as well."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, dump_config(study.study))
