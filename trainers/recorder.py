"""Everything that a training leaves behind: lines, grids, evaluations, checkpoints, the model, the W&B run.

Files are written by the main process; whatever needs every process (sums, codes) is asked of all of them.
"""

import time
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any

import psutil
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor

from vaegan.checkpoints import Checkpoint, load_latest
from vaegan.checkpoints import save as save_checkpoint
from vaegan.config import Config
from vaegan.config.comparing import differences, training_settings
from vaegan.console import Console
from vaegan.data import Data
from vaegan.errors import Failure, Mistake
from vaegan.images import beside, grid, to_float
from vaegan.losses.adversarial import NAMES, PREDICTED
from vaegan.losses.divergence import frechet_standard_normal, mmd_imq
from vaegan.models import Autoencoder
from vaegan.randomness import normal
from vaegan.runs import Run

from .history import History
from .state import State, to_checkpoint
from .tracking import Tracker

Evaluator = Callable[[Autoencoder, Data], Mapping[str, float]]
"""Measures a model on the validation images: name and value of each figure."""

CONFUSION = "discriminator/confusion"
GRID = 32
"""Images of a grid."""
GAP_CODES = 2048
"""Codes that the gap to the prior is measured with, since its kernel grows with their square."""


class Recorder:
    """The record of one training, open inside a ``with`` block.

    Args:
        config: The run.
        run: Its folder.
        data: Its images.
        accelerator: Its processes.
        console: Where notes go.
        resume: Whether the folder may hold this run already.

    Raises:
        Mistake: The folder holds a run and `resume` is not asked for, or another run, or other images.
    """

    def __init__(
        self, config: Config, run: Run, data: Data, accelerator: Accelerator, console: Console, resume: bool
    ) -> None:
        self.config, self.run, self.data = config, run, data
        self.accelerator, self.console = accelerator, console
        self.checkpoint = self._newest_checkpoint(resume)
        self.timed = self.saved = self.checkpoint.step if self.checkpoint else 0

    def __enter__(self) -> "Recorder":
        """Open the files and the W&B run."""
        self.accelerator.wait_for_everyone()
        if self.accelerator.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.accelerator.device)
        if self.accelerator.is_main_process:
            step = self.checkpoint.step if self.checkpoint else None
            self.run.write_config(self.config)
            self.history = History(self.run.history_file, step)
            self.timing = History(self.run.timing_file, step)
            run_id = self.checkpoint.state["wandb"] if self.checkpoint else None
            self.tracker = Tracker.start(self.config, self.run.path, run_id, self.console.note)
        self.clock = time.monotonic()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        """Close them."""
        if self.accelerator.is_main_process:
            self.tracker.finish(0 if kind is None else 1)
            self.history.close()
            self.timing.close()

    def after_step(
        self, state: State, norms: Mapping[str, float], codes: Tensor | None, evaluator: Evaluator | None
    ) -> None:
        """Record what is due after a step; called by every process."""
        train, step = self.config.train, state.step
        if _due(step, train.log_every) or step in (1, train.steps):
            self._log(state, norms, codes)
        if _due(step, train.sample_every) or step == train.steps:
            self._grids(state)
        if evaluator is not None and _due(step, train.evaluate_every):
            self._evaluate(state, evaluator)
        if _due(step, train.checkpoint_every):
            self.save(state)

    def save(self, state: State) -> None:
        """Write a checkpoint, and the averaged model as it is now; called by every process."""
        if not state.finite():
            raise Failure(f"step {state.step}: the weights are no longer finite; the last checkpoint is kept")
        meter = state.meter.total(self.accelerator)
        if self.accelerator.is_main_process:
            if state.step > self.saved:
                self.history.sync()
                extra = {"fingerprint": self.data.fingerprint, "wandb": self.tracker.run_id}
                save_checkpoint(
                    self.run.checkpoints, to_checkpoint(state, meter, extra), self.config.train.keep_checkpoints
                )
                self.saved = state.step
            if state.step > self.timed:
                self._time(state.step)
            self.run.export(state.average, state.step)
        self.accelerator.wait_for_everyone()

    def finish(self, state: State) -> None:
        """Write the last checkpoint and the model, and hand the model to W&B."""
        self.save(state)
        if self.accelerator.is_main_process:
            self.tracker.artifact(self.run.model_folder, f"{self.run.path.absolute().name}-model")

    def _log(self, state: State, norms: Mapping[str, float], codes: Tensor | None) -> None:
        values: dict[str, Any] = state.meter.total(self.accelerator).values()
        state.meter.clear()
        codes = self.accelerator.gather(codes) if codes is not None else None
        if not self.accelerator.is_main_process:
            return
        values |= {f"gradient/{name}": norm for name, norm in norms.items()}
        values |= {f"learning_rate/{name}": rate.param_groups[0]["lr"] for name, rate in state.optimizers.items()}
        if codes is not None and len(codes) > 1:
            values |= self._gap(codes, state.step)
        if CONFUSION in values:
            counts = torch.tensor(values[CONFUSION], dtype=torch.float64)
            values["discriminator/accuracy"] = _accuracy(counts)
            self.tracker.confusion(state.step, CONFUSION, counts, NAMES, PREDICTED[counts.shape[1]])
        self.history.write(state.step, values)
        self.tracker.log(state.step, {key: value for key, value in values.items() if isinstance(value, float)})
        self._time(state.step)

    def _gap(self, codes: Tensor, step: int) -> dict[str, float]:
        """How far the aggregate posterior of this batch, of `GAP_CODES` at most, is from the prior."""
        codes = codes[:GAP_CODES].cpu()
        prior = normal((len(codes), codes.shape[1]), self.config.seed, "gap", step)
        return {"gap/mmd2": mmd_imq(codes, prior).item(), "gap/frechet": frechet_standard_normal(codes).item()}

    def _time(self, step: int) -> None:
        now = time.monotonic()
        device = self.accelerator.device
        on_gpu = device.type == "cuda"
        memory = torch.cuda.max_memory_allocated(device) if on_gpu else psutil.Process().memory_info().rss
        values = {
            "seconds": now - self.clock,
            "images_per_second": (step - self.timed) * self.config.train.batch_size / (now - self.clock),
            "memory_bytes": float(memory),
        }
        self.timing.write(step, {**values, "date": datetime.now(timezone.utc).isoformat(timespec="seconds")})
        self.tracker.log(step, {f"timing/{name}": value for name, value in values.items()})
        self.clock, self.timed = now, step

    @torch.no_grad()
    def _grids(self, state: State) -> None:
        if not self.accelerator.is_main_process:
            return
        model, pictures = state.average, {}
        fixed = self.data.validation if len(self.data.validation) else self.data.train
        real = fixed[fixed.spread(GRID)].to(self.accelerator.device)
        fake = model.reconstruct(to_float(real, next(model.parameters()).dtype))
        pictures["reconstruction"] = beside(real, fake)
        if model.has_prior:
            pictures["sample"] = grid(model.sample(GRID, self.config.seed), columns=8)
        self.run.samples.mkdir(exist_ok=True)
        for name, picture in pictures.items():
            picture.save(self.run.samples / f"step_{state.step:08d}_{name}.png")
        self.tracker.images(state.step, {f"grid/{name}": picture for name, picture in pictures.items()})

    def _evaluate(self, state: State, evaluator: Evaluator) -> None:
        if self.accelerator.is_main_process:
            values = {f"validation/{key}": value for key, value in evaluator(state.average, self.data).items()}
            self.history.write(state.step, values)
            self.tracker.log(state.step, values)
        self.accelerator.wait_for_everyone()

    def _newest_checkpoint(self, resume: bool) -> Checkpoint | None:
        """What all processes go on from; None: the beginning."""
        if self.run.exists:
            self._see_that_it_is_this_run(resume)
        checkpoint = load_latest(self.run.checkpoints, self.console.note)
        if checkpoint is not None and checkpoint.state["fingerprint"] != self.data.fingerprint:
            raise Mistake(f"{self.run.path}: the images are no longer those that the run was started with")
        seen = gather_object([(checkpoint.step if checkpoint else 0, self.data.fingerprint)])
        if len(set(seen)) > 1:
            raise Mistake(
                f"{self.run.path}: the processes see different checkpoints or images; keep both on a disk that all"
                " machines share"
            )
        return checkpoint

    def _see_that_it_is_this_run(self, resume: bool) -> None:
        if not resume:
            raise Mistake(f"{self.run.path}: holds a run already; go on with --resume, or choose another --output")
        changes = differences(training_settings(self.run.config), training_settings(self.config))
        if changes:
            raise Mistake(f"{self.run.config_file}: the run was started with another config ({changes})")


def _due(step: int, every: int | None) -> bool:
    return every is not None and step % every == 0


def _accuracy(counts: Tensor) -> float:
    """Share of images, balanced over real, reconstructed and generated, whose class the discriminator says.

    Args:
        counts: Shape (3 origins, 3 or 2 predictions); both fakes of a two-way discriminator are class 1.
    """
    right = counts.diagonal() if counts.shape[1] == 3 else counts[[0, 1, 2], [0, 1, 1]]
    return float((right / counts.sum(1)).mean())
