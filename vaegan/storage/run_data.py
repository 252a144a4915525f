"""The images of a run, opened again: compared with those that it was trained on before anything is done with them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vaegan.config.data import CHANGEABLE_SOURCES
from vaegan.config.load import validate_config
from vaegan.config.schema import Config
from vaegan.data.dataset import Data
from vaegan.data.given import GivenImages
from vaegan.data.leakage import hold_out_alike, merge_states
from vaegan.data.members import Differences, Found, MemberList, compare
from vaegan.data.sources import open_given_images, open_images
from vaegan.distributed import run_on_all_ranks, run_on_main
from vaegan.errors import UserError
from vaegan.progress import Reporter
from vaegan.text import get_reason, make_printable

from .checkpoints import read_newest_fingerprint
from .run_folder import Run

UNLISTED = Differences(other="their fingerprint is another one (the run has no list of them)")
"""All that is known of the images of a run without a list."""


def open_run_data(
    run: Run,
    config: Config,
    reporter: Reporter,
    images: GivenImages | None = None,
    *,
    data_root: Path | None = None,
    allow_other_data: bool = False,
) -> tuple[Data, Config]:
    """Open the images of a run whose training is over, and return them and the config with their place.

    All processes do this together. A place that holds the run's images is remembered in the run's folder.

    Args:
        run: The run.
        config: Its config.
        reporter: Shows progress and notes.
        images: The images of the source ``given``; None: of another source.
        data_root: Folder that the images have moved to; None: they are where the config says.
        allow_other_data: Whether to open images that are not those of the run. Those that it was trained on are in no
            other split.

    Raises:
        UserError: The images are missing or not those of the run; it says what differs.
        Failure: The download failed.
    """
    config = config if data_root is None else move_data(config, data_root, "--data-root")
    root = config.data.root
    if data_root is None and root is not None and not root.exists():
        remedy = f"if the images of {make_printable(run.path)} have moved, name their folder by --data-root"
        raise UserError(f"data.root: {make_printable(root)}: no such folder; {remedy}")
    known = run_on_all_ranks(lambda: run.members)
    data, config = _open(config, reporter, images, known, training=False)
    data = _compare_fingerprints(run, data, known)
    if data.differences:
        remedy = "restore them, name the folder that they have moved to by --data-root, or use what is there by"
        remedy += " --allow-other-data"
        if images is not None:
            remedy = "give those, or use these by allow_other_data=True"
        data = _allow(run, data, allow_other_data, reporter, remedy)
    elif data_root is not None:
        run_on_main(lambda: _remember_place(run, config, reporter))
    return data, config


def open_training_data(
    config: Config,
    folder: Path,
    reporter: Reporter,
    images: GivenImages | None = None,
    *,
    allow_other_data: bool = False,
) -> tuple[Data, Config]:
    """Open the images of a training, new or to be resumed, and return them and the config with their SHA-256.

    All processes do this together. Members whose bytes have changed are noted, and the training goes on with them as
    they are; every other difference must be allowed. A prior is trained on the images of its autoencoder.

    Args:
        config: The config of the training.
        folder: Its run folder.
        reporter: Shows progress and notes.
        images: The images of the source ``given``; None: of another source.
        allow_other_data: Whether to go on if images are missing or have other labels; other images take the places of
            missing ones, and new images are ignored.

    Raises:
        UserError: The images are missing, or not those of the run.
        Failure: The download failed.
    """
    run = Run(folder)
    known = run_on_all_ranks(lambda: run.members)  # of a study's run, even before it has begun
    if known is None and config.prior is not None and not run.exists and config.data.source in CHANGEABLE_SOURCES:
        known = _get_autoencoder_list(Run(config.prior.autoencoder), config, reporter, images, allow_other_data)
    data, opened = _open(config, reporter, images, known, training=True)
    if run.exists and allow_other_data:
        data = _compare_fingerprints(run, data, known)
    if data.differences.only_changed:
        described = data.differences.describe()
        reporter.note(f"{folder}: {described} since the run was started; it goes on with what is there, and records it")
    elif data.differences:
        remedy = "restore them, name their folder by data.root, or go on without them by --allow-other-data"
        if images is not None:
            remedy = "give those, or go on with these by allow_other_data=True"
        data = _allow(run, data, allow_other_data, reporter, remedy)
        if not len(data.train):
            raise UserError(f"{folder}: none of the images that the run is trained on is there", on_all_ranks=True)
        if not len(data.validation) and config.train.evaluate_every is not None:
            problem = "none of the images that train.evaluate_every evaluates on is there"
            raise UserError(f"{folder}: {problem}; restore some", on_all_ranks=True)
    if data.differences and config.data.source == "given" and run.exists:  # it stays that of the images it began with
        started = run_on_all_ranks(lambda: run.config.data.sha256)
        opened = opened.model_copy(update={"data": opened.data.model_copy(update={"sha256": started})})
    return data, opened


def open_study_data(config: Config, runs: Sequence[Run], reporter: Reporter, allow_other_data: bool) -> Data:
    """Open the images of a study, whose runs share them; all processes do this together.

    Args:
        config: The config of a variant.
        runs: The runs of the study that were started.
        reporter: Shows progress and notes.
        allow_other_data: Whether to go on if they are not those that the first of these runs was started with.

    Raises:
        UserError: They are not, or they are missing.
        Failure: The download failed.
    """
    known = run_on_all_ranks(lambda: _merge_lists(runs))
    data = open_images(config.data, reporter, known=known)
    if runs:
        data = _compare_fingerprints(runs[0], data, known)
    if data.differences.only_changed and not any(run.finished for run in runs):
        reporter.note(f"{data.differences.describe()} since the study was started; it goes on with what is there")
    elif data.differences:
        remedy = "restore them, name their folder by data.root, go on by --allow-other-data, or choose another --output"
        data = _allow(runs[0], data, allow_other_data, reporter, remedy)
    return data


def check_run_data(run: Run, data: Data) -> None:
    """Check that a finished run was trained on the images of its study, unless others were allowed for the study.

    Raises:
        UserError: It was not.
    """
    known = run.members
    expected = known.fingerprint if known is not None else read_newest_fingerprint(run.checkpoints)
    accepted = (data.fingerprint, *(data.members.earlier if data.members else ()))
    if data.differences or expected is None or expected in accepted:
        return
    now = data.members.members if data.members is not None else ()
    found = {one.name: Found(0, one.name, one.label, one.digest) for one in now if one.split is not None}
    differences = compare(known, found) if known is not None and found else UNLISTED
    described = (differences or UNLISTED).describe()
    raise UserError(
        f"{run.path}: was trained on other images than the study's data are now: {described}; choose another --output"
    )


def move_data(config: Config, root: Path, option: str) -> Config:
    """Return a config whose images lie in another folder.

    Raises:
        UserError: The source has no folder.
    """
    tree = config.model_dump(mode="json")
    tree["data"] |= {"root": str(root), "hub": None}
    return validate_config(Config, tree, option)


def _open(
    config: Config, reporter: Reporter, images: GivenImages | None, known: MemberList | None, training: bool
) -> tuple[Data, Config]:
    if images is not None:
        return open_given_images(images, config, reporter, known, training)
    return open_images(config.data, reporter, known=known, training=training), config


def _compare_fingerprints(run: Run, data: Data, known: MemberList | None) -> Data:
    """Return images with the difference `UNLISTED`, if a run without a list has a checkpoint of other images."""
    if known is not None or data.differences:
        return data
    expected = run_on_all_ranks(lambda: read_newest_fingerprint(run.checkpoints))
    return data if expected in (None, data.fingerprint) else replace(data, differences=UNLISTED)


def _allow(run: Run, data: Data, allowed: bool, reporter: Reporter, remedy: str) -> Data:
    problem = f"{make_printable(run.path)}: the images are not those that the run was trained on"
    described = data.differences.describe()
    if not allowed:
        raise UserError(f"{problem}: {described}; {remedy}", on_all_ranks=True)
    reporter.note(f"{problem}: {described}; going on with these, as was allowed")
    return data


def _get_autoencoder_list(
    autoencoder: Run, config: Config, reporter: Reporter, images: GivenImages | None, allowed: bool
) -> MemberList | None:
    """Return the list of the images of a prior's autoencoder, so that both hold out the same.

    If other images are allowed, it is their list, in which no image is held out that the autoencoder was trained on.

    Raises:
        UserError: The prior would be trained on other images, and that is not allowed.
    """
    known = run_on_all_ranks(lambda: autoencoder.members)
    if known is None:
        return None
    data, _ = _open(config, reporter, images, known, training=False)
    if not data.differences:
        return known
    remedy = "it may have seen what is held out here; restore them, or go on by --allow-other-data"
    _allow(autoencoder, data, allowed, reporter, remedy)
    fresh, _ = _open(config, reporter, images, None, training=True)
    return hold_out_alike(fresh.members, known) if fresh.members is not None else None


def _merge_lists(runs: Sequence[Run]) -> MemberList | None:
    """Return the list of the first run that has one, which also remembers what the others were trained on."""
    lists = [listed for run in runs if (listed := run.members) is not None]
    return merge_states(lists[0], lists[1:]) if lists else None


def _remember_place(run: Run, config: Config, reporter: Reporter) -> None:
    """Write where a run's images are into its config, if it can be written."""
    stored = run.config
    if stored.data.root == config.data.root:
        return
    try:
        place = {"root": config.data.root, "hub": config.data.hub}
        run.write_config(stored.model_copy(update={"data": stored.data.model_copy(update=place)}))
    except OSError as error:
        reporter.note(f"{make_printable(run.config_file)}: {get_reason(error)}; give --data-root again the next time")
