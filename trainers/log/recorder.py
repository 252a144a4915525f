"""Everything that a training leaves behind: lines, grids, evaluations, checkpoints, the model, the W&B run.

Files are written by the main process; whatever needs every process (sums, codes) is asked of all of them.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timezone
from typing import NoReturn

import psutil
import torch
from accelerate import Accelerator
from torch import Tensor

from vaegan.cli.console import Console
from vaegan.config import Config
from vaegan.data import Data
from vaegan.distributed import all_gather_object, broadcast_from_main, run_on_main
from vaegan.errors import Failure, FileFailure, Interrupted, UserError
from vaegan.losses.adversarial import ORIGIN_NAMES, PREDICTED_NAMES
from vaegan.models import Model
from vaegan.progress import ProgressCallback
from vaegan.storage import checkpoints
from vaegan.storage.runs import Run

from ..interrupt import Interrupts
from ..resume import find_resume_checkpoint
from ..state import State, to_checkpoint
from . import grids
from .history import History, select_scalars
from .scalars import CONFUSION_KEY, compute_scalars
from .tracking import Tracker

Evaluator = Callable[[Model, Data, ProgressCallback], Mapping[str, float]]
"""Measures a model on the validation images: name and value of each figure. All processes call it together, it gives
all of them the same, and tells all of them alike how far it is; what that raises ends it."""

VALIDATION_PREFIX = "validation/"
"""What the names of an evaluation's figures begin with."""
MAX_SKIPPED_UPDATES = 5
"""Updates that `train.nan: skip` skips in a row before the training stops."""


class Recorder:
    """The record of one training, open inside a ``with`` block.

    Args:
        config: The run.
        run: Its folder.
        data: Its images.
        accelerator: Its processes.
        console: Where notes go.
        evaluator: What measures its model.
        interrupts: What may put an evaluation off.
        resume: Whether the folder may hold this run already.
        extend: Whether that may be with fewer `train.steps`.

    Raises:
        UserError: As `find_resume_checkpoint`.
    """

    def __init__(
        self, config: Config, run: Run, data: Data, accelerator: Accelerator, console: Console,
        evaluator: Evaluator | None, interrupts: Interrupts, resume: bool, extend: bool,
    ) -> None:  # fmt: skip
        self.config, self.run, self.data = config, run, data
        self.accelerator, self.console = accelerator, console
        self.evaluator, self.interrupts = evaluator, interrupts
        self.checkpoint = find_resume_checkpoint(config, run, data, console, resume, extend)
        self.timed = self.saved = self.checkpoint.step if self.checkpoint else 0

    def __enter__(self) -> "Recorder":
        """Open the files and the W&B run."""
        if self.accelerator.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.accelerator.device)
        run_on_main(self._open)
        self.clock = time.monotonic()
        return self

    def _open(self) -> None:
        self.run.write_config(self.config)
        step = self.checkpoint.step if self.checkpoint else None
        self.history = History(self.run.history_file, step)
        self.timing = History(self.run.timing_file, step)
        run_id = self.checkpoint.state.get("wandb") if self.checkpoint else None
        self.tracker = Tracker.start(self.config, self.run.path, run_id, self.console.note)
        for line in self.history.resumed:  # of which W&B may have lost what it had not written to its file yet
            self.tracker.log(line["step"], select_scalars(line))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, *rest: object) -> None:
        """Close them; where all processes end alike the others wait, since a launcher ends those that are left."""
        if getattr(error, "on_all_ranks", False):
            with suppress(RuntimeError):  # another process has gone
                run_on_main(lambda: self._close(failed=True))
        elif self.accelerator.is_main_process:
            self._close(kind is not None)

    def _close(self, failed: bool) -> None:
        self.history.close()
        self.timing.close()
        try:
            self.tracker.finish(int(failed))
        except Interrupted:
            if not failed:  # else there is a better reason for the end
                raise

    def catch_up(self, state: State) -> None:
        """Draw and evaluate where the run that is resumed was stopped before it could."""
        if not broadcast_from_main(lambda: grids.are_written(self.run.samples, state.step, state.average)):
            self._draw(state)
        if not broadcast_from_main(
            lambda: any(key.startswith(VALIDATION_PREFIX) for key in self.history.names(state.step))
        ):
            self._evaluate(state)

    def after_step(self, state: State, norms: Mapping[str, float], codes: Tensor | None) -> None:
        """Record what is due after a step.

        Args:
            state: The training.
            norms: The gradients', before they were clipped; none of a step that was skipped.
            codes: Those of this process's images.

        Raises:
            Failure: A file could not be written, or an image not be read.
            Interrupted: The evaluation was put off, and a checkpoint was written.
        """
        train, step = self.config.train, state.step
        if _due(step, train.log_every) or step in (1, train.steps):
            self._log(state, norms, codes)
        self._draw(state)
        evaluation = self.evaluator is not None and _due(step, train.evaluate_every)
        if _due(step, train.checkpoint_every) or (evaluation and train.checkpoint_every is not None):
            self.save(state)
        self._evaluate(state)

    def skip(self, state: State, terms: list[str]) -> None:
        """Record a step whose gradient is not finite, or stop for it as `train.nan` says."""
        what = f"step {state.step + 1}: {', '.join(terms)} not finite"
        if self.config.train.nan == "stop" or state.skipped == MAX_SKIPPED_UPDATES - 1:
            self.save(state, at_all_costs=True)
            mend = "begin another run with a smaller train.learning_rate or a train.clip_norm"
            if self.config.train.nan == "skip":
                what += f" in the {MAX_SKIPPED_UPDATES}th step in a row"
            else:
                mend += ", or go on with --resume train.nan=skip"
            raise Failure(f"{what}; {self._kept()}; {mend}", on_all_ranks=True)
        state.skipped += 1
        self.console.note(f"{what}; this update is skipped")
        self._write("the log", state.step, lambda: self.history.write(state.step + 1, {"skipped": terms}))

    def stop(self, state: State, broken: str | None = None) -> NoReturn:
        """Write a checkpoint and end the training: a signal asks for it, or there is what this process cannot read."""
        self.save(state, at_all_costs=True)
        reasons = [each for each in all_gather_object(broken) if each]
        if reasons:
            raise Failure(f"{reasons[0]} ({self._kept()})", on_all_ranks=True)
        raise Interrupted(f"{self.run.path}: stopped at step {state.step}; go on with --resume", on_all_ranks=True)

    def save(self, state: State, at_all_costs: bool = False) -> None:
        """Write a checkpoint, and the averaged model as it is now, if there is something new.

        ``at_all_costs`` there must be one, since nothing comes after that could make up for it.
        """
        if state.step == self.saved:
            return
        if not state.finite():
            raise Failure(f"step {state.step}: the weights are no longer finite; {self._kept()}", on_all_ranks=True)
        meter = state.meter.total(self.accelerator)

        def write() -> None:
            self.history.sync()
            also = {"fingerprint": self.data.fingerprint, "wandb": self.tracker.run_id}
            keep = self.config.train.keep_checkpoints
            checkpoints.save_checkpoint(self.run.checkpoints, to_checkpoint(state, meter, also), keep)

        def write_model() -> None:
            if state.step > self.timed:
                self._time(state.step)
            if state.step < self.config.train.steps:  # with all its steps it is a finished run's
                self.run.export(state.average, state.step, self.data.classes)

        if self._write("a checkpoint", state.step, write, at_all_costs or state.step == self.config.train.steps):
            self.saved = state.step
            self._write("the model", state.step, write_model)

    def finish(self, state: State) -> None:
        """Write the last checkpoint and the model, and hand the model to W&B."""
        self.save(state)

        def write() -> None:
            self.history.sync()
            # Where a kill came between a checkpoint and the deletion of older ones.
            checkpoints.prune_checkpoints(self.run.checkpoints, state.step, self.config.train.keep_checkpoints)
            self.run.export(state.average, state.step, self.data.classes)

        self._write("the model", state.step, write, at_all_costs=True)
        if self.accelerator.is_main_process:
            self.tracker.artifact(self.run.model_folder, f"{self.run.path.absolute().name}-model")

    def _kept(self) -> str:
        """What a resume would go on from."""
        return f"the checkpoint of step {self.saved} is kept" if self.saved else "there is no checkpoint yet"

    def _write(self, what: str, step: int, work: Callable[[], None], at_all_costs: bool = False) -> bool:
        """Have the main process write something while the others wait.

        Returns:
            Whether it was written; where it was not, the training may go on.

        Raises:
            Failure: It was not, and the training stops for it, as `train.disk_full` says or since nothing comes after.
        """
        try:
            run_on_main(work)
        except FileFailure as failure:
            problem = f"step {step}: {what} could not be written: {failure}"
            if at_all_costs or self.config.train.disk_full == "stop":
                mend = "make room, then go on with --resume"
                raise Failure(f"{problem}; {self._kept()}; {mend}", on_all_ranks=True) from failure
            self.console.note(f"{problem}; the training goes on without it")
            return False
        return True

    def _log(self, state: State, norms: Mapping[str, float], codes: Tensor | None) -> None:
        meter = state.meter.total(self.accelerator)
        state.meter.clear()
        codes = self.accelerator.gather(codes) if codes is not None else None

        def write() -> None:
            values = compute_scalars(self.config, state, meter, norms, codes)
            if CONFUSION_KEY in values:
                counts = torch.tensor(values[CONFUSION_KEY], dtype=torch.float64)
                self.tracker.confusion(
                    state.step, CONFUSION_KEY, counts, ORIGIN_NAMES[len(counts)], PREDICTED_NAMES[counts.shape[1]]
                )
            self.tracker.log(state.step, select_scalars(values))
            self.history.write(state.step, values)
            self._time(state.step)

        self._write("a line of the log", state.step, write)

    def _time(self, step: int) -> None:
        now, device = time.monotonic(), self.accelerator.device
        gpu = device.type == "cuda"
        memory = torch.cuda.max_memory_allocated(device) if gpu else psutil.Process().memory_info().rss
        values = {
            "seconds": now - self.clock,
            "images_per_second": (step - self.timed) * self.config.train.batch_size / (now - self.clock),
            "memory_bytes": float(memory),
        }
        self.clock, self.timed = now, step
        date = datetime.now(timezone.utc).isoformat(timespec="seconds")
        self.timing.write(step, {**values, "processes": self.accelerator.num_processes, "date": date})
        self.tracker.log(step, {f"timing/{name}": value for name, value in values.items()})

    def _draw(self, state: State) -> None:
        """Draw the grids, if they are due."""
        if not grids.is_due(state.step, self.config.train, state.average):
            return
        fixed, places = grids.select_fixed_images(self.data)
        try:
            shown = broadcast_from_main(lambda: fixed[places])
        except Failure as failure:
            self.stop(state, str(failure))

        def write() -> None:
            pictures = grids.draw_grids(
                state.average, shown, fixed.get_labels(places, state.average.classes), self.config.seed
            )
            grids.write_grids(pictures, self.run.samples, state.step)
            self.tracker.images(state.step, {f"grid/{name}": picture for name, picture in pictures.items()})

        self._write("the grids", state.step, write)

    def _evaluate(self, state: State) -> None:
        """Measure the averaged model, if that is due."""
        if self.evaluator is None or not _due(state.step, self.config.train.evaluate_every):
            return

        def put_off_if_asked(done: int, total: int) -> None:
            if self.interrupts.anywhere():
                raise _PutOff

        try:
            measured = self.evaluator(state.average, self.data, put_off_if_asked)
        except _PutOff:
            self.stop(state)
        except (Failure, UserError) as problem:
            self.stop(state, str(problem))
        values = {f"{VALIDATION_PREFIX}{key}": value for key, value in measured.items()}

        def write() -> None:
            self.tracker.log(state.step, values)
            self.history.write(state.step, values)

        self._write("the evaluation", state.step, write)


class _PutOff(Exception):
    """An evaluation is left to the resume."""


def _due(step: int, every: int | None) -> bool:
    return every is not None and step % every == 0
