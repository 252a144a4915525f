"""The record of a training: log lines, grids, evaluations, checkpoints, the exported model, the W&B run.

Files are written by the main process; sums and codes are gathered from every process.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timezone
from functools import partial

import psutil
import torch
from accelerate import Accelerator
from torch import Tensor

from vaegan.code_scale import CodeScale, measure_code_scale
from vaegan.config import Config
from vaegan.config.models import GANConfig
from vaegan.data import Data
from vaegan.distributed import broadcast_from_main, run_on_main
from vaegan.errors import Failure, Interrupted, UserError
from vaegan.losses.adversarial import CONFUSION_COLUMNS
from vaegan.models import Model
from vaegan.models.continuous import ContinuousAutoencoder
from vaegan.progress import ProgressCallback, Reporter
from vaegan.storage import checkpoints
from vaegan.storage.checkpoints import Checkpoint
from vaegan.storage.run_folder import VALIDATION_PREFIX, Run

from ..average_choice import choose_average, export_averages, name_in_history, read_choice
from ..faults import FaultPolicy
from ..interrupt import Interrupts
from ..state import State, to_checkpoint
from ..steps.base import CONFUSION_KEY
from . import grids
from .history import History, select_scalars
from .scalars import compute_scalars
from .tracking import Tracker

Evaluator = Callable[[Model, Data, ProgressCallback], Mapping[str, float]]
"""Function that evaluates a model on the validation images and returns the metrics by name.

All processes call it together. It returns the same on all of them and calls the callback on all of them alike. An
exception that the callback raises ends it.
"""


class Recorder:
    """Record one training inside a ``with`` block.

    Args:
        config: The run.
        run: Its folder.
        data: Its images.
        checkpoint: The checkpoint that it resumes from; None if it starts at step 0.
        accelerator: Its processes.
        reporter: Takes notes.
        evaluator: Evaluates the averaged model every `train.evaluate_every` steps; None: it is not evaluated.
        interrupts: The signals that may postpone an evaluation.

    Attributes:
        faults: The policies for what goes wrong.
        chosen: Name of the average that is the model of the run.
    """

    def __init__(
        self, config: Config, run: Run, data: Data, checkpoint: Checkpoint | None, accelerator: Accelerator,
        reporter: Reporter, evaluator: Evaluator | None, interrupts: Interrupts,
    ) -> None:  # fmt: skip
        self.config, self.run, self.data, self.checkpoint = config, run, data, checkpoint
        self.accelerator, self.reporter = accelerator, reporter
        self.evaluator, self.interrupts = evaluator, interrupts
        self.timed_step = checkpoint.step if checkpoint else 0
        self.faults = FaultPolicy(config.train, run.path, reporter, partial(self.save, required=True), self.timed_step)

    def __enter__(self) -> "Recorder":
        """Open the files and the W&B run."""
        if self.accelerator.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.accelerator.device)
        run_on_main(self._open)
        self.chosen = broadcast_from_main(lambda: read_choice(self.config.train, self.history.resumed_lines))
        self.timed_at = time.monotonic()
        return self

    def _open(self) -> None:
        self.run.write_config(self.config)
        if self.data.members is not None:
            self.run.write_members(self.data.members)
        step = self.checkpoint.step if self.checkpoint else None
        self.history = History(self.run.history_file, step)
        self.timing = History(self.run.timing_file, step)
        run_id = self.checkpoint.state.get("wandb") if self.checkpoint else None
        self.tracker = Tracker.start(self.config, self.run.path, run_id, self.reporter.note)
        for line in self.history.resumed_lines:  # W&B may have lost lines that were still in its buffer
            self.tracker.log(line["step"], select_scalars(line))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, *rest: object) -> None:
        """Close the files and the W&B run.

        If every rank raises the same error, the others wait for the main process: a launcher kills what is left once
        one process has ended.
        """
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
            if not failed:  # after a failure, its error is the better message
                raise

    def catch_up(self, state: State) -> None:
        """Evaluate and draw the grids, if the run was stopped before it could at the step that it resumes from."""
        if not broadcast_from_main(lambda: self.history.has_resumed(state.step, VALIDATION_PREFIX)):
            self._evaluate(state)
        average = state.averages[self.chosen]
        if not broadcast_from_main(lambda: grids.are_written(self.run.samples, state.step, average)):
            self._draw_grids(state)

    def is_due(self, step: int) -> bool:
        """Return whether anything is recorded after ``step`` optimizer steps."""
        train = self.config.train
        intervals = (train.log_every, train.sample_every, train.evaluate_every, train.checkpoint_every)
        return step in (1, train.steps) or any(_is_due(step, every) for every in intervals)

    def after_step(self, state: State, norms: Mapping[str, float], codes: Tensor | None) -> None:
        """Record what is due after a step.

        Args:
            state: The training.
            norms: Gradient norm of each network before it was clipped; empty after a step that was skipped.
            codes: Codes of this process's images, shape (N, d); None if the family has no prior.

        Raises:
            Failure: A file could not be written, or an image not be read.
            Interrupted: The evaluation was postponed to the resume, and a checkpoint was written.
        """
        train, step = self.config.train, state.step
        if _is_due(step, train.log_every) or step in (1, train.steps):
            self._log(state, norms, codes)
        evaluation = self.evaluator is not None and _is_due(step, train.evaluate_every)
        if _is_due(step, train.checkpoint_every) or (evaluation and train.checkpoint_every is not None):
            self.save(state)
        self._evaluate(state)
        self._draw_grids(state)  # of the average that the evaluation has chosen

    def log_skip(self, state: State, terms: list[str]) -> None:
        """Log a step whose update is skipped, with the names of the terms that are not finite."""
        self.faults.write("the log", state.step, lambda: self.history.write(state.step + 1, {"skipped": terms}))

    def save(self, state: State, required: bool = False) -> None:
        """Write a checkpoint, and export the averaged model as it is now, unless the step is saved already.

        Args:
            state: The training.
            required: Whether the training ends here, so that no later checkpoint could make up for this one.

        Raises:
            Failure: A weight is not finite, or the checkpoint could not be written and is required.
        """
        if state.step == self.faults.saved_step:
            return
        self.faults.check_weights(state)
        meter = state.meter.reduce(self.accelerator)

        def write() -> None:
            self.history.sync()
            extra = {"fingerprint": self.data.fingerprint, "wandb": self.tracker.run_id}
            keep = self.config.train.keep_checkpoints
            checkpoints.save_checkpoint(self.run.checkpoints, to_checkpoint(state, meter, extra), keep)

        def write_model() -> None:
            if state.step > self.timed_step:
                self._log_timing(state.step)
            if state.step < self.config.train.steps:  # after the last step `finish` exports it
                self._export(state, {})

        required = required or state.step == self.config.train.steps
        if self.faults.write("a checkpoint", state.step, write, required):
            self.faults.saved_step = state.step
            self.faults.write("the model", state.step, write_model)

    def finish(self, state: State) -> None:
        """Write the last checkpoint and the model, and hand the model to W&B.

        Raises:
            Failure: One of them could not be written, or an image not be read.
        """
        self.save(state)

        def write() -> None:
            self.history.sync()
            # A kill may have come between a checkpoint and the deletion of older ones.
            checkpoints.prune_checkpoints(self.run.checkpoints, state.step, self.config.train.keep_checkpoints)
            self._export(state, code_scales)

        code_scales = {
            name: measure_code_scale(model, self.data.train, self.config.seed)
            for name, model in state.averages.items()
            if isinstance(model, ContinuousAutoencoder) and model.has_grid
        }
        self.faults.write("the model", state.step, write, required=True)
        if self.accelerator.is_main_process:
            self.tracker.log_artifact(self.run.model_folder, f"{self.run.path.absolute().name}-model")

    def _log(self, state: State, norms: Mapping[str, float], codes: Tensor | None) -> None:
        meter = state.meter.reduce(self.accelerator)
        state.meter.reset()
        codes = self.accelerator.gather(codes) if codes is not None else None

        def write() -> None:
            values = compute_scalars(self.config, state, meter, norms, codes)
            for key in [key for key in values if key.startswith(CONFUSION_KEY)]:
                assert isinstance(self.config.model, GANConfig)
                counts = torch.tensor(values[key], dtype=torch.float64)
                rows, columns = self.config.model.origins, CONFUSION_COLUMNS[counts.shape[1]]
                self.tracker.log_confusion(state.step, key, counts, rows, columns)
            self.tracker.log(state.step, select_scalars(values))
            self.history.write(state.step, values)
            self._log_timing(state.step)

        self.faults.write("a line of the log", state.step, write)

    def _log_timing(self, step: int) -> None:
        now, device = time.monotonic(), self.accelerator.device
        seconds, cpu_bytes = now - self.timed_at, psutil.Process().memory_info().rss
        memory = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else cpu_bytes
        values = {
            "seconds": seconds,
            "images_per_second": (step - self.timed_step) * self.config.train.batch_size / seconds,
            "memory_bytes": float(memory),
        }
        self.timed_at, self.timed_step = now, step
        date = datetime.now(timezone.utc).isoformat(timespec="seconds")
        self.timing.write(step, {**values, "processes": self.accelerator.num_processes, "date": date})
        self.tracker.log(step, {f"timing/{name}": value for name, value in values.items()})

    def _draw_grids(self, state: State) -> None:
        """Draw the grids, if the model has any and they are due."""
        train, model = self.config.train, state.averages[self.chosen]
        if not model.grid_names or not (_is_due(state.step, train.sample_every) or state.step == train.steps):
            return
        images, indices = grids.select_fixed_images(self.data)
        try:
            real = broadcast_from_main(lambda: images[indices])
        except Failure as failure:
            self.faults.stop(state, str(failure))

        def write() -> None:
            drawn = grids.draw_grids(model, real, images.get_labels(indices, model.classes), self.config.seed)
            grids.write_grids(drawn, self.run.samples, state.step)
            self.tracker.log_images(state.step, {f"grid/{name}": grid for name, grid in drawn.items()})

        self.faults.write("the grids", state.step, write)

    def _export(self, state: State, code_scales: Mapping[str, CodeScale | None]) -> None:
        export_averages(self.run, self.config, state.averages, self.chosen, state.step, self.data.classes, code_scales)

    def _evaluate(self, state: State) -> None:
        """Evaluate the averages, if that is due, and export them again if another one is now chosen."""
        if self.evaluator is None or not _is_due(state.step, self.config.train.evaluate_every):
            return

        def put_off_if_interrupted(done: int, total: int) -> None:
            if self.interrupts.should_stop():
                raise _EvaluationPostponed

        try:
            measured = {
                name: self.evaluator(model, self.data, put_off_if_interrupted) for name, model in state.averages.items()
            }
            chosen_before, self.chosen = self.chosen, choose_average(self.config.train, measured)
        except _EvaluationPostponed:
            self.faults.stop(state)
        except (Failure, UserError) as problem:
            self.faults.stop(state, str(problem))
        values = name_in_history(measured)

        def write() -> None:
            self.tracker.log(state.step, values)
            self.history.write(state.step, values)

        self.faults.write("the evaluation", state.step, write)
        if self.chosen != chosen_before and state.step == self.faults.saved_step < self.config.train.steps:
            self.faults.write("the model", state.step, lambda: self._export(state, {}))


class _EvaluationPostponed(Exception):
    """Raised inside an evaluation to leave it to the resume."""


def _is_due(step: int, every: int | None) -> bool:
    return every is not None and step % every == 0
