"""What a training goes on from, and whether it may."""

from pathlib import Path

from vaegan.checkpoints import Checkpoint, newest, set_aside
from vaegan.config import Config
from vaegan.config.comparing import differences, history_settings
from vaegan.console import Console
from vaegan.data import Data
from vaegan.errors import Mistake
from vaegan.processes import by_the_first, gathered, together
from vaegan.runs import Run
from vaegan.wording import one_line


def newest_checkpoint(
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
        Mistake: The folder holds a run and `resume` is not asked for, or another run, or other images, or checkpoints
            of which none is whole.
        FileFailure: The disk cannot be read.
    """

    def find() -> tuple[Checkpoint | None, dict[Path, str]]:
        if run.exists:
            _see_that_it_is_this_run(config, run, resume, extend)
        checkpoint, damaged = newest(run.checkpoints)
        if checkpoint is None and damaged:
            reasons = one_line(", ".join(f"{path.name}: {reason}" for path, reason in damaged.items()))
            raise Mistake(
                f"{run.checkpoints}: no whole checkpoint is left ({reasons}); restore one, or remove the folder"
                " `checkpoints` to begin again"
            )
        if checkpoint is not None and checkpoint.state.get("fingerprint") != data.fingerprint:
            raise Mistake(f"{run.path}: the images are no longer those that the run was started with")
        if checkpoint is not None and checkpoint.step > config.train.steps:
            raise Mistake(f"train.steps: {config.train.steps} are fewer than the {checkpoint.step} that {run.path} has")
        return checkpoint, damaged

    def pass_over() -> None:
        for path, reason in damaged.items():
            aside = set_aside(path)
            console.note(f"{path}: damaged ({reason}); kept as {aside.name}, and passed over")

    checkpoint, damaged = together(find)
    if len(set(gathered((checkpoint.step if checkpoint else 0, data.fingerprint)))) > 1:
        raise Mistake(
            f"{run.path}: the processes see different checkpoints or images; keep both on a disk that all machines"
            " share",
            everywhere=True,
        )
    by_the_first(pass_over)
    return checkpoint


def _see_that_it_is_this_run(config: Config, run: Run, resume: bool, extend: bool) -> None:
    if not resume:
        raise Mistake(f"{run.path}: holds a run already; go on with --resume, or choose another --output")
    started = run.config
    before, now = history_settings(started), history_settings(config)
    longer = {"train.steps": config.train.steps} if started.train.steps < config.train.steps else {}
    if extend and longer and config.train.decay != "constant":
        raise Mistake(
            f"--extend: under train.decay={config.train.decay} the learning rates depend on train.steps, so that a"
            " longer run is another one from its first step; choose another --output"
        )
    extended = before | longer
    if changes := differences(extended if extend else before, now):
        only_longer = extended == now and config.train.decay == "constant"
        mend = "; --extend lets it train longer" if only_longer else ""
        raise Mistake(f"{run.config_file}: the run was started with another config ({changes}){mend}")
