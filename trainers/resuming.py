"""What a training goes on from, and whether it may."""

from vaegan.checkpoints import Checkpoint, load_latest
from vaegan.config import Config
from vaegan.config.comparing import differences, history_settings
from vaegan.console import Console
from vaegan.data import Data
from vaegan.errors import Mistake
from vaegan.processes import gathered, together
from vaegan.runs import Run


def newest_checkpoint(
    config: Config, run: Run, data: Data, console: Console, resume: bool, extend: bool
) -> Checkpoint | None:
    """What all processes go on from; None: the beginning.

    Args:
        config: The run as it is asked for.
        run: Its folder.
        data: Its images.
        console: Where damaged checkpoints are named.
        resume: Whether the folder may hold this run already.
        extend: Whether that may be with fewer `train.steps`.

    Raises:
        Mistake: The folder holds a run and `resume` is not asked for, or another run, or other images.
    """

    def find() -> Checkpoint | None:
        if run.exists:
            _see_that_it_is_this_run(config, run, resume, extend)
        checkpoint = load_latest(run.checkpoints, console.note)
        if checkpoint is not None and checkpoint.state.get("fingerprint") != data.fingerprint:
            raise Mistake(f"{run.path}: the images are no longer those that the run was started with")
        if checkpoint is not None and checkpoint.step > config.train.steps:
            raise Mistake(f"train.steps: {config.train.steps} are fewer than the {checkpoint.step} that {run.path} has")
        return checkpoint

    checkpoint = together(find)
    if len(set(gathered((checkpoint.step if checkpoint else 0, data.fingerprint)))) > 1:
        raise Mistake(
            f"{run.path}: the processes see different checkpoints or images; keep both on a disk that all machines"
            " share",
            everywhere=True,
        )
    return checkpoint


def _see_that_it_is_this_run(config: Config, run: Run, resume: bool, extend: bool) -> None:
    if not resume:
        raise Mistake(f"{run.path}: holds a run already; go on with --resume, or choose another --output")
    started, now = run.config, history_settings(config)
    longer = started.train.steps < config.train.steps
    same = {"train.steps": config.train.steps} if extend and longer else {}
    if same and config.train.decay != "constant":
        raise Mistake(
            f"--extend: under train.decay={config.train.decay} the learning rates depend on train.steps, so that a"
            " longer run is another one from its first step; choose another --output"
        )
    changes = differences(history_settings(started) | same, now)
    if changes:
        mend = "; --extend lets it train longer" if longer and not extend else ""
        raise Mistake(f"{run.config_file}: the run was started with another config ({changes}){mend}")
