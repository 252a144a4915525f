"""What a training goes on from, and whether it may."""

from pathlib import Path

from vaegan.cli.console import Console
from vaegan.config import Config
from vaegan.config.differences import describe_differences, get_history_settings
from vaegan.data import Data
from vaegan.distributed import all_gather_object, run_on_all_ranks, run_on_main
from vaegan.errors import UserError
from vaegan.storage.checkpoints import Checkpoint, find_newest_checkpoint, set_checkpoint_aside
from vaegan.storage.runs import Run
from vaegan.text import to_one_line


def find_resume_checkpoint(
    config: Config, run: Run, data: Data, console: Console, resume: bool, extend: bool
) -> Checkpoint | None:
    """What all processes go on from; None: the beginning. Damaged checkpoints that are newer are set aside.

    Args:
        config: The run as it is asked for.
        run: Its folder.
        data: Its images.
        console: Where damaged checkpoints are named.
        resume: Whether the folder may hold this run already.
        extend: Whether that may be with fewer `train.steps`.

    Raises:
        UserError: The folder holds a run and `resume` is not asked for, or another run, or other images, or checkpoints
            of which none is whole.
        FileFailure: The disk cannot be read.
    """

    def find() -> tuple[Checkpoint | None, dict[Path, str]]:
        if run.exists:
            _see_that_it_is_this_run(config, run, resume, extend)
        checkpoint, damaged = find_newest_checkpoint(run.checkpoints)
        if checkpoint is None and damaged:
            reasons = to_one_line(", ".join(f"{path.name}: {reason}" for path, reason in damaged.items()))
            raise UserError(
                f"{run.checkpoints}: no whole checkpoint is left ({reasons}); restore one, or remove the folder"
                " `checkpoints` to begin again"
            )
        if checkpoint is not None and checkpoint.state.get("fingerprint") != data.fingerprint:
            raise UserError(f"{run.path}: the images are no longer those that the run was started with")
        if checkpoint is not None and checkpoint.step > config.train.steps:
            raise UserError(
                f"train.steps: {config.train.steps} are fewer than the {checkpoint.step} that {run.path} has"
            )
        return checkpoint, damaged

    def pass_over() -> None:
        for path, reason in damaged.items():
            aside = set_checkpoint_aside(path)
            console.note(f"{path}: damaged ({reason}); kept as {aside.name}, and passed over")

    checkpoint, damaged = run_on_all_ranks(find)
    if len(set(all_gather_object((checkpoint.step if checkpoint else 0, data.fingerprint)))) > 1:
        raise UserError(
            f"{run.path}: the processes see different checkpoints or images; keep both on a disk that all machines"
            " share",
            on_all_ranks=True,
        )
    run_on_main(pass_over)
    return checkpoint


def _see_that_it_is_this_run(config: Config, run: Run, resume: bool, extend: bool) -> None:
    if not resume:
        raise UserError(f"{run.path}: holds a run already; go on with --resume, or choose another --output")
    started = run.config
    before, now = get_history_settings(started), get_history_settings(config)
    longer = {"train.steps": config.train.steps} if started.train.steps < config.train.steps else {}
    if extend and longer and config.train.decay != "constant":
        raise UserError(
            f"--extend: under train.decay={config.train.decay} the learning rates depend on train.steps, so that a"
            " longer run is another one from its first step; choose another --output"
        )
    extended = before | longer
    if changes := describe_differences(extended if extend else before, now):
        only_longer = extended == now and config.train.decay == "constant"
        mend = "; --extend lets it train longer" if only_longer else ""
        raise UserError(f"{run.config_file}: the run was started with another config ({changes}){mend}")
