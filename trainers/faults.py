"""The policies for faults: NaN (`train.nan`), a full disk (`train.disk_full`), memory, and a stop with a checkpoint."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import clear_frames
from typing import NoReturn

import torch

from vaegan.config.schema import TrainConfig
from vaegan.distributed import all_gather_object, get_group_rank_and_size, run_on_main
from vaegan.errors import Failure, FileFailure, Interrupted
from vaegan.progress import Reporter

from .state import State
from .update import MAX_SKIPPED_UPDATES, get_max_skipped_updates


class FaultPolicy:
    """Decide whether a training goes on after a fault, and say which checkpoint is kept if it does not.

    Args:
        config: The `train` section of the config.
        folder: The run folder.
        reporter: Takes a note of each fault that is passed over.
        save: Writes a checkpoint, on all processes together, or raises.
        saved_step: Step of the checkpoint that the training resumes from; 0 if there is none.

    Attributes:
        saved_step: Step of the newest checkpoint; 0 if there is none.
    """

    def __init__(
        self, config: TrainConfig, folder: Path, reporter: Reporter, save: Callable[[State], None], saved_step: int
    ) -> None:
        self.config, self.folder, self.reporter, self.save, self.saved_step = config, folder, reporter, save, saved_step

    def skip_update(self, state: State, terms: list[str]) -> None:
        """Count an update that is skipped because its gradient is not finite.

        Args:
            state: The training before the step.
            terms: Names of the loss terms or gradients that are not finite.

        Raises:
            Failure: `train.nan` is ``stop``, or it is the `MAX_SKIPPED_UPDATES`th such step in a row; a checkpoint was
                written.
        """
        problem = f"step {state.step + 1}: {', '.join(terms)} not finite"
        if state.skipped + 1 >= get_max_skipped_updates(self.config):
            self.save(state)
            mend = "begin another run with a smaller train.learning_rate or a train.clip_norm"
            if self.config.nan == "skip":
                problem += f" in the {MAX_SKIPPED_UPDATES}th step in a row"
            else:
                mend += ", or go on with --resume train.nan=skip"
            raise Failure(f"{problem}; {self._describe_kept()}; {mend}", on_all_ranks=True)
        state.skipped += 1
        self.reporter.note(f"{problem}; this update is skipped")

    @contextmanager
    def stop_if_out_of_memory(self, state: State, settle: Callable[[], None]) -> Iterator[None]:
        """Save the training if the block, which changes no weight, runs out of memory; several processes save nothing.

        Args:
            state: The training before the step.
            settle: Settles the steps that are queued before it.

        Raises:
            Failure: The block ran out of memory.
        """
        try:
            yield
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            clear_frames(error.__traceback__)  # they hold what the step has computed so far
            settle()
            problem = f"step {state.step + 1}: {describe_out_of_memory(error)}"
        else:
            return
        for optimizer in state.optimizers.values():
            optimizer.zero_grad(set_to_none=True)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if on_all_ranks := get_group_rank_and_size()[1] == 1:  # the others would wait for this one, not save
            self.save(state)
        raise Failure(f"{problem}; {self._describe_kept()}; {self._advise_less_memory()}", on_all_ranks=on_all_ranks)

    def _advise_less_memory(self) -> str:
        start = "go on with --resume and" if self.saved_step else "start again with"
        smaller = "a smaller train.micro_batch_size" if self.config.micro_batch_size != 1 else "a smaller model"
        smaller += "" if self.config.checkpointing else " or train.checkpointing=true"
        precision = "" if self.config.precision == "bf16" else ", or begin another run with train.precision=bf16"
        return f"{start} {smaller}{precision}"

    def stop(self, state: State, problem: str | None = None) -> NoReturn:
        """Write a checkpoint and end the training, on all processes together.

        Args:
            state: The training.
            problem: What this process failed at; None if it did not fail.

        Raises:
            Failure: A process failed.
            Interrupted: None failed: a signal came.
        """
        self.save(state)
        problems = [text for text in all_gather_object(problem) if text]
        if problems:
            raise Failure(f"{problems[0]} ({self._describe_kept()})", on_all_ranks=True)
        raise Interrupted(f"{self.folder}: stopped at step {state.step}; go on with --resume", on_all_ranks=True)

    def check_weights(self, state: State) -> None:
        """Check the weights before they are saved.

        Raises:
            Failure: A weight is not finite.
        """
        if not state.is_finite():
            problem = f"step {state.step}: the weights are no longer finite"
            raise Failure(f"{problem}; {self._describe_kept()}", on_all_ranks=True)

    def write(self, name: str, step: int, work: Callable[[], None], required: bool = False) -> bool:
        """Have the main process write something while the others wait, and return whether it was written.

        Args:
            name: What is written, for the message.
            step: Number of optimizer steps that are done.
            work: Writes it.
            required: Whether the training cannot go on without it.

        Raises:
            Failure: It could not be written, and ``required`` is true or `train.disk_full` is ``stop``.
        """
        try:
            run_on_main(work)
        except FileFailure as failure:
            problem = f"step {step}: {name} could not be written: {failure}"
            if required or self.config.disk_full == "stop":
                mend = "make room, then go on with --resume"
                raise Failure(f"{problem}; {self._describe_kept()}; {mend}", on_all_ranks=True) from failure
            self.reporter.note(f"{problem}; the training goes on without it")
            return False
        return True

    def _describe_kept(self) -> str:
        return f"the checkpoint of step {self.saved_step} is kept" if self.saved_step else "there is no checkpoint yet"


def is_out_of_memory(error: RuntimeError) -> bool:
    """Return whether an error is that of a device, or of the CPU, whose memory is used up."""
    return isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)


def describe_out_of_memory(error: RuntimeError) -> str:
    """Return the first two sentences of torch's message, which say what was asked for."""
    return ". ".join(" ".join(str(error).split()).split(". ")[:2])
