"""A training shown in Weights & Biases, which it never depends on.

Whatever goes wrong here is said in one line, and the training goes on; the same figures are in ``history.jsonl``.
"""

import contextlib
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from PIL import Image

from vaegan.config.schema import Config

from .confusion import draw_confusion
from .history import Value

if TYPE_CHECKING:  # importing it takes half a second, and a run without tracking needs none
    import wandb
    from torch import Tensor

Cell = str | float | Image.Image | None
"""Of a table."""

INIT_SECONDS = 20.0
"""How long the server may take to open a run before the run is recorded offline."""
FINISH_SECONDS = 300.0
"""How long the last uploads may take before they are left to ``wandb sync``."""


class Tracker:
    """The record of one run, written by the main process only.

    What is logged for one step with any of the methods becomes one entry of the run's history. Steps must not go back:
    W&B passes over what is logged for an earlier step than the last.
    """

    run_id: str | None
    """The run's id, to be kept in checkpoints so that a resume goes on in the same W&B run."""

    def __init__(self, run: "wandb.Run | None", run_id: str | None, notify: Callable[[str], None]) -> None:
        """Use ``start``."""
        self.run_id = run_id
        self._run = run
        self._notify = notify

    @classmethod
    def start(cls, config: Config, run_folder: Path, run_id: str | None, notify: Callable[[str], None]) -> "Tracker":
        """Open the run as ``config.track`` says, without ever asking the user for anything.

        ``online`` becomes ``offline`` where nobody is logged in or the server cannot be reached.

        Args:
            config: The whole config, which the run shows.
            run_folder: Run folder; W&B's files lie in its folder ``wandb``.
            run_id: Id of the W&B run to go on with; None: that of the newest one that was begun in the folder, or a
                new one.
            notify: Takes one line for the user.
        """
        if config.track.wandb == "disabled":
            return cls(None, run_id, notify)
        try:
            run = _open(config, run_folder, run_id, notify)
        except Exception as error:
            notify(f"W&B: tracking is off, the run could not be opened ({_reason(error)}); the training goes on")
            return cls(None, run_id, notify)
        return cls(run, run.id, notify)

    def log(self, step: int, values: Mapping[str, Value]) -> None:
        """Log figures of a step."""
        self._attempt("logging", lambda run: run.log({**values, "step": step}, step=step))

    def images(self, step: int, pictures: Mapping[str, Image.Image]) -> None:
        """Log pictures of a step as PNG."""
        self._attempt("logging images", lambda run: _log_images(run, step, pictures))

    def confusion(self, step: int, name: str, matrix: "Tensor", true: Sequence[str], predicted: Sequence[str]) -> None:
        """Log a confusion matrix (rows: true, columns: predicted) as a picture; see ``draw_confusion``."""
        self._attempt(
            "logging images", lambda run: _log_images(run, step, {name: draw_confusion(matrix, true, predicted)})
        )

    def artifact(self, folder: Path, name: str) -> None:
        """Keep the files of a folder, which must not change afterwards, as a model of this name."""
        self._attempt("keeping the model", lambda run: _log_model(run, folder, name))

    def table(self, name: str, header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
        """Show a table; pictures in it as PNG."""
        self._attempt("logging a table", lambda run: _log_table(run, name, header, rows))

    def keep(self, files: Sequence[Path], name: str) -> None:
        """Keep files, which must not change afterwards, as the comparison of this name."""
        self._attempt("keeping files", lambda run: _log_files(run, files, name))

    def finish(self, exit_code: int = 0) -> None:
        """End the record, as failed unless ``exit_code`` is 0; nothing is tracked afterwards."""
        self._attempt("finishing", lambda run: _end(run, exit_code))
        self._run = None

    def _attempt(self, action: str, send: Callable[["wandb.Run"], object]) -> None:
        if self._run is None:
            return
        try:
            send(self._run)
        except Exception as error:
            run, self._run = self._run, None
            self._notify(f"W&B: tracking is off, {action} failed ({_reason(error)}); the training goes on")
            _abandon(run)


def _open(config: Config, run_folder: Path, run_id: str | None, notify: Callable[[str], None]) -> "wandb.Run":
    import wandb

    track, run_id = config.track, run_id or _begun(run_folder)
    quiet = wandb.Settings(silent=True)
    wandb.setup(quiet)  # before the login, which would say that it found a key
    settings = wandb.Settings(
        silent=True,
        console="off",  # the terminal belongs to the progress bar
        init_timeout=INIT_SECONDS,
        finish_timeout=FINISH_SECONDS,
        finish_timeout_raises=True,
    )

    def begin(mode: Literal["online", "offline"]) -> "wandb.Run":
        run = wandb.init(
            mode=mode,
            dir=run_folder.absolute(),
            config=config.model_dump(mode="json"),
            project=track.project,
            entity=track.entity,
            name=track.name or run_folder.absolute().name,
            group=track.group,
            tags=list(track.tags),
            id=run_id,
            resume="allow",
            reinit="create_new",
            save_code=False,
            settings=settings,
        )
        run.define_metric("step")
        run.define_metric("*", step_metric="step")
        return run

    if track.wandb == "online":
        try:
            if wandb.login(prompt=False, verify=False):
                run = begin("online")
                notify(f"W&B: {run.url}")
                return run
            why = "nobody is logged in here (`wandb login`)"
        except Exception as error:
            why = _reason(error)
            if run_id is not None:  # which W&B's service now takes for one in use
                _stop_service()
                wandb.setup(quiet)
        notify(f"W&B: recording offline, {why}; `wandb sync {run_folder}/wandb/offline-run-*` uploads the run later")
    return begin("offline")


def _begun(run_folder: Path) -> str | None:
    """Id of the newest W&B run in the folder of a training that was killed before it could keep the id."""
    names = (path.name for path in (run_folder / "wandb").glob("*run-*"))
    runs = [found.groups() for name in names if (found := re.fullmatch(r"(?:offline-)?run-(\d{8}_\d{6})-(\w+)", name))]
    return max(runs)[1] if runs else None


def _log_images(run: "wandb.Run", step: int, pictures: Mapping[str, Image.Image]) -> None:
    import wandb

    media = {name: wandb.Image(picture, file_type="png") for name, picture in pictures.items()}
    run.log({**media, "step": step}, step=step)


def _log_model(run: "wandb.Run", folder: Path, name: str) -> None:
    import wandb

    artifact = wandb.Artifact(_plain(name), type="model")
    artifact.add_dir(str(folder.absolute()), policy="immutable")  # uploaded from where it lies, not from a copy
    run.log_artifact(artifact)


def _log_files(run: "wandb.Run", files: Sequence[Path], name: str) -> None:
    import wandb

    artifact = wandb.Artifact(_plain(name), type="comparison")
    for file in files:
        artifact.add_file(str(file.absolute()))
    run.log_artifact(artifact)


def _log_table(run: "wandb.Run", name: str, header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    import wandb

    def cell(value: Cell) -> object:
        return wandb.Image(value, file_type="png") if isinstance(value, Image.Image) else value

    run.log({name: wandb.Table(columns=list(header), data=[[cell(value) for value in row] for row in rows])})


def _plain(name: str) -> str:
    """A name as W&B wants those of artifacts."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", name)


def _end(run: "wandb.Run", exit_code: int) -> None:
    record = Path(run.settings.sync_file)
    run.finish(exit_code=exit_code)
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

    with contextlib.suppress(Exception, SystemExit):  # SystemExit: how it reports that the service has died
        wandb.teardown(exit_code=1)


def _reason(error: Exception) -> str:
    return textwrap.shorten(f"{type(error).__name__}: {error}", 200, placeholder=" ...")
