"""The checkpoint that a training resumes from, and whether the run folder may be resumed at all."""

from pathlib import Path

from vaegan.config import Config
from vaegan.config.differences import describe_differences, get_history_settings
from vaegan.config.schedule import find_whole_schedules
from vaegan.config.schema import NetworksConfig
from vaegan.data import Data
from vaegan.distributed import all_gather_object, run_on_all_ranks, run_on_main
from vaegan.errors import UserError
from vaegan.progress import Reporter
from vaegan.storage.checkpoints import Checkpoint, find_newest_checkpoint, quarantine_checkpoint
from vaegan.storage.run_folder import Run
from vaegan.text import shorten, to_one_line


def find_resume_checkpoint(
    config: Config, run: Run, data: Data, reporter: Reporter, resume: bool, extend: bool
) -> Checkpoint | None:
    """Return the newest intact checkpoint of a run, the same on all processes; None if the training starts at step 0.

    Damaged checkpoints that are newer are quarantined: they are renamed and ignored from then on.

    Args:
        config: Config of the training that is to resume the run.
        run: The run's folder.
        data: Images of the training.
        reporter: Takes a note of each damaged checkpoint.
        resume: Whether the folder may hold this run already.
        extend: Whether the run may have been started with fewer `train.steps`.

    Raises:
        UserError: The folder holds a run and ``resume`` is false, or a run of another config, or of other images, or
            of more steps than `train.steps`.
        UserError: There are checkpoints, and none of them is intact.
        UserError: The processes see different checkpoints or images.
        FileFailure: The disk cannot be read.
    """

    def find() -> tuple[Checkpoint | None, dict[Path, str]]:
        if run.exists:
            _check_same_run(config, run, resume, extend)
        checkpoint, damaged = find_newest_checkpoint(run.checkpoints)
        if checkpoint is None and damaged:
            reasons = to_one_line(", ".join(f"{path.name}: {reason}" for path, reason in damaged.items()))
            remedy = "restore one, or remove the folder `checkpoints` to begin again"
            raise UserError(f"{run.checkpoints}: no whole checkpoint is left ({reasons}); {remedy}")
        if checkpoint is not None and not _is_of_images(checkpoint, data):
            problem = "the images are no longer those that the run was started with"
            raise UserError(f"{run.path}: {problem}; restore them, or go on by --allow-other-data")
        if checkpoint is not None and checkpoint.step > config.train.steps:
            raise UserError(f"train.steps: {config.train.steps} are fewer than the {checkpoint.step} of {run.path}")
        return checkpoint, damaged

    def quarantine_damaged() -> None:
        for path, reason in damaged.items():
            quarantined = quarantine_checkpoint(path)
            reporter.note(f"{path}: damaged ({reason}); kept as {quarantined.name}, and passed over")

    checkpoint, damaged = run_on_all_ranks(find)
    if len(set(all_gather_object((checkpoint.step if checkpoint else 0, data.fingerprint)))) > 1:
        problem = "the processes see different checkpoints or images; keep both on a disk that all machines share"
        raise UserError(f"{run.path}: {problem}", on_all_ranks=True)
    run_on_main(quarantine_damaged)
    return checkpoint


def _is_of_images(checkpoint: Checkpoint, data: Data) -> bool:
    """Return whether a checkpoint was written with these images, or that their differences were allowed."""
    earlier = data.members.earlier if data.members is not None else ()
    return bool(data.differences) or checkpoint.state.get("fingerprint") in (data.fingerprint, *earlier)


def _check_same_run(config: Config, run: Run, resume: bool, extend: bool) -> None:
    if not resume:
        raise UserError(f"{run.path}: holds a run already; go on with --resume, or choose another --output")
    started = run.config
    _check_same_networks(started.networks or NetworksConfig(), config.networks or NetworksConfig(), run)
    before, now = get_history_settings(started), get_history_settings(config)
    longer = {"train.steps": config.train.steps} if started.train.steps < config.train.steps else {}
    whole = list(find_whole_schedules(config))
    if extend and longer and whole:
        problem = f"{', '.join(whole)}: the schedule depends on train.steps"
        remedy = "so that a longer run is another one from its first step; choose another --output"
        raise UserError(f"--extend: {problem}, {remedy}")
    extended = before | longer
    if changes := describe_differences(extended if extend else before, now):
        only_longer = extended == now and not whole
        remedy = "; --extend lets it train longer" if only_longer else "; give its settings, or choose another --output"
        raise UserError(f"{run.config_file}: the run was started with another config ({changes}){remedy}")


def _check_same_networks(started: NetworksConfig, now: NetworksConfig, run: Run) -> None:
    """Check that the given modules are those that the run was started with.

    Raises:
        UserError: One is missing, too many, of another class, or has other initial weights.
    """
    for name in NetworksConfig.model_fields:
        before, given = getattr(started, name), getattr(now, name)
        if before == given:
            continue
        if before is None:
            problem = "not given when the run was started; leave it out"
        elif given is None or given.class_name != before.class_name:
            problem = f"the run was started with a given {shorten(before.class_name)}; give that again"
        else:
            file = run.networks_folder / f"{name}.safetensors"
            problem = f"has other initial weights than the run was started with, which {file} holds; load them from it,"
            problem += " with the same parameters frozen"
        raise UserError(f"{run.path}: networks: {name}: {problem}, or choose another --output")
