"""Tracking of a training in Weights & Biases, which it never depends on.

Whatever goes wrong here is reported in one line, and the training goes on; ``history.jsonl`` holds the same scalars.
"""

import contextlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from PIL import Image

from vaegan.config.schema import Config
from vaegan.text import has_undecodable_bytes, make_encodable, shorten, to_one_line

from .confusion import draw_confusion
from .history import LogValue

if TYPE_CHECKING:  # importing it takes half a second, and a run without tracking needs none
    import wandb
    from torch import Tensor

TableCell = str | float | Image.Image | None
"""Value of one cell of a table."""
Mode = Literal["online", "offline", "disabled"]

ENVIRONMENT_MODES: Mapping[str, Mode] = {
    "": "online", "online": "online", "run": "online", "shared": "online", "offline": "offline", "dryrun": "offline",
    "disabled": "disabled",
}  # fmt: skip
"""Mode for each word that W&B allows in WANDB_MODE."""
INIT_SECONDS = 20.0
"""Seconds that the server may take to open a run before the run is recorded offline."""
FINISH_SECONDS = 300.0
"""Seconds that the last uploads may take before they are left to ``wandb sync``."""


class Tracker:
    """The W&B run of one training, written by the main process only.

    Whatever is logged for one step, with any of the methods, becomes one entry of the run's history. Steps must not go
    back: W&B ignores what is logged for an earlier step than the last. `Tracker.start` makes a tracker.

    Attributes:
        run_id: Id of the run, kept in checkpoints so that a resume goes on in the same W&B run; None if there is none.
    """

    def __init__(self, run: "wandb.Run | None", run_id: str | None, notify: Callable[[str], None]) -> None:
        self.run_id = run_id
        self._run = run
        self._notify = notify

    @classmethod
    def start(cls, config: Config, run_folder: Path, run_id: str | None, notify: Callable[[str], None]) -> "Tracker":
        """Open the run that `config.track` describes, without ever asking the user for anything.

        ``online`` becomes ``offline`` where nobody is logged in or the server cannot be reached.

        Args:
            config: The whole config, which the run shows.
            run_folder: Run folder. W&B's files lie in its folder ``wandb``; if WANDB_DIR puts them elsewhere, links to
                them lie there.
            run_id: Id of the W&B run to go on with; None: the id of the newest run that was begun in the folder, or a
                new one.
            notify: Takes one line for the user.
        """
        mode = choose_mode(config.track.wandb, notify)
        if mode != "disabled":
            try:
                run = _open(config, mode, run_folder, run_id, notify)
                return cls(run, run.id, notify)
            except Exception as error:
                notify(f"W&B: tracking is off, the run could not be opened ({_describe(error)}); the training goes on")
        return cls(None, run_id, notify)

    def log(self, step: int, values: Mapping[str, LogValue]) -> None:
        """Log values of a step."""
        self._attempt("logging", lambda run: run.log({**values, "step": step}, step=step))

    def log_images(self, step: int, images: Mapping[str, Image.Image]) -> None:
        """Log images of a step as PNG."""
        self._attempt("logging images", lambda run: _log_images(run, step, images))

    def log_confusion(
        self, step: int, name: str, matrix: "Tensor", true: Sequence[str], predicted: Sequence[str]
    ) -> None:
        """Log a confusion matrix, shape (true classes, predicted classes), as a picture."""
        if find_spec("matplotlib") is None:  # `_open` has said so
            return
        draw = partial(draw_confusion, matrix, true, predicted)
        self._attempt("logging images", lambda run: _log_images(run, step, {name: draw()}))

    def log_artifact(self, folder: Path, name: str) -> None:
        """Log the files of a folder, which must not change afterwards, as a model artifact."""
        self._attempt("keeping the model", lambda run: _log_artifact(run, "model", name, [folder]))

    def log_table(self, name: str, header: Sequence[str], rows: Sequence[Sequence[TableCell]]) -> None:
        """Log a table, with the images in it as PNG."""
        self._attempt("logging a table", lambda run: _log_table(run, name, header, rows))

    def log_files(self, files: Sequence[Path], name: str) -> None:
        """Log files, which must not change afterwards, as a comparison artifact."""
        self._attempt("keeping files", lambda run: _log_artifact(run, "comparison", name, files))

    def finish(self, exit_code: int = 0) -> None:
        """End the run, as failed unless ``exit_code`` is 0; nothing is tracked afterwards."""
        self._attempt("finishing", lambda run: _finish(run, exit_code))
        self._run = None

    def _attempt(self, action: str, send: Callable[["wandb.Run"], object]) -> None:
        if self._run is None:
            return
        try:
            send(self._run)
        except Exception as error:
            run, self._run = self._run, None
            self._notify(f"W&B: tracking is off, {action} failed ({_describe(error)}); the training goes on")
            _abandon(run)


def choose_mode(track: Literal["auto"] | Mode, notify: Callable[[str], None]) -> Mode:
    """Return the mode of `track.wandb`; of `auto`, what WANDB_MODE says in any of W&B's words, by default `online`.

    Where wandb is not installed, or WANDB_MODE is another word, `auto` is `disabled`, with one line.
    """
    if track != "auto":
        return track
    word = os.environ.get("WANDB_MODE", "")
    mode = ENVIRONMENT_MODES.get(word.lower())
    if mode is None:  # it may have been meant to keep the run off the network
        notify(f"W&B: tracking is off, WANDB_MODE is {shorten(word)}; give online, offline or disabled")
        return "disabled"
    if mode != "disabled" and find_spec("wandb") is None:
        notify("W&B: tracking is off, wandb is not installed; pip install 'vaegan[wandb]', or set track.wandb=disabled")
        return "disabled"
    return mode


def _open(
    config: Config, mode: Mode, run_folder: Path, run_id: str | None, notify: Callable[[str], None]
) -> "wandb.Run":
    import wandb

    folder = os.environ.get("WANDB_DIR") or str(run_folder.absolute())
    if "HOME" not in os.environ:  # its service would print its whole log
        home = os.path.expanduser("~")  # by the system's list of users
        os.environ["HOME"] = home if os.path.isabs(home) else folder
    if has_undecodable_bytes(folder):  # its logs would end in a traceback each
        raise ValueError(f"{folder} is no UTF-8, and wandb takes no other folder; WANDB_DIR names another")
    settings_of_run = make_encodable(config.model_dump(mode="json"))
    track, run_id = settings_of_run["track"], run_id or _find_newest_run_id(run_folder)
    silent = wandb.Settings(silent=True)
    wandb.setup(silent)  # before the login, which would say that it found a key
    settings = wandb.Settings(  # the terminal belongs to the progress bar
        silent=True, console="off", init_timeout=INIT_SECONDS, finish_timeout=FINISH_SECONDS, finish_timeout_raises=True
    )

    def init(mode: Literal["online", "offline"]) -> "wandb.Run":
        run = wandb.init(
            mode=mode,
            dir=folder,
            config=settings_of_run,
            project=track["project"],
            entity=track["entity"],
            name=track["name"] or make_encodable(run_folder.absolute().name),
            group=track["group"],
            tags=track["tags"],
            id=run_id,
            resume="allow",
            reinit="create_new",
            save_code=False,
            settings=settings,
        )
        run.define_metric("step")
        run.define_metric("*", step_metric="step")
        _link(Path(run.dir).parent.absolute(), run_folder / "wandb")
        return run

    if find_spec("matplotlib") is None:
        notify("W&B: confusion matrices are left out, matplotlib is not installed; pip install 'vaegan[wandb]'")
    if mode == "online":
        try:
            if wandb.login(prompt=False, verify=False):
                run = init("online")
                notify(f"W&B: {run.url}")
                return run
            reason = "nobody is logged in here (`wandb login`)"
        except Exception as error:
            reason = _describe(error)
            if run_id is not None:  # W&B's service now takes this id for one in use
                _stop_service()
                wandb.setup(silent)
        notify(f"W&B: recording offline, {reason}; `wandb sync {run_folder}/wandb/offline-run-*` uploads the run later")
    return init("offline")


def _find_newest_run_id(run_folder: Path) -> str | None:
    """Find the id of the newest W&B run in the folder of a training that was killed before it could keep the id."""
    names = (path.name for path in (run_folder / "wandb").glob("*run-*"))
    runs = [match.groups() for name in names if (match := re.fullmatch(r"(?:offline-)?run-(\d{8}_\d{6})-(\w+)", name))]
    return max(runs)[1] if runs else None


def _link(files: Path, folder: Path) -> None:
    """Link the folder of a W&B run into a folder that it does not lie in, so that it is found from the run folder."""
    link = folder / files.name
    with contextlib.suppress(OSError):  # a file system may have no links
        if not link.exists():
            folder.mkdir(exist_ok=True)
            link.symlink_to(files, target_is_directory=True)


def _log_images(run: "wandb.Run", step: int, images: Mapping[str, Image.Image]) -> None:
    import wandb

    media = {name: wandb.Image(image, file_type="png") for name, image in images.items()}
    run.log({**media, "step": step}, step=step)


def _log_artifact(run: "wandb.Run", kind: str, name: str, paths: Sequence[Path]) -> None:
    import wandb

    artifact = wandb.Artifact(re.sub(r"[^A-Za-z0-9_.-]", "-", name), type=kind)  # W&B allows no other characters
    for path in paths:
        if path.is_file():
            artifact.add_file(str(path.absolute()))
        else:
            artifact.add_dir(str(path.absolute()), policy="immutable")  # uploaded from where it lies, not from a copy
    run.log_artifact(artifact)


def _log_table(run: "wandb.Run", name: str, header: Sequence[str], rows: Sequence[Sequence[TableCell]]) -> None:
    import wandb

    def to_cell(value: TableCell) -> object:
        return wandb.Image(value, file_type="png") if isinstance(value, Image.Image) else value

    cells = [[to_cell(value) for value in row] for row in make_encodable(rows)]
    run.log({name: wandb.Table(columns=make_encodable(header), data=cells)})


def _finish(run: "wandb.Run", exit_code: int) -> None:
    record = Path(run.settings.sync_file)
    try:
        run.finish(exit_code=exit_code)
    except Exception:  # a second call may do nothing, and would hide that the service has died
        _stop_service()
        raise
    if run.offline and not record.exists():  # W&B goes on writing to a file that was deleted
        raise FileNotFoundError(f"{record} is gone")


def _abandon(run: "wandb.Run") -> None:
    """Close a run that failed, and W&B's service with it if that has died, so that a later run gets a new one."""
    try:
        run.finish(exit_code=1)
    except Exception:
        _stop_service()


def _stop_service() -> None:
    import wandb

    with contextlib.suppress(Exception, SystemExit):  # it raises SystemExit if the service has died
        wandb.teardown(exit_code=1)


def _describe(error: Exception) -> str:
    return to_one_line(f"{type(error).__name__}: {error}")
