"""One process of the pool: does jobs, one a line of JSON on standard input, each in another company of ranks."""

import io
import json
import math
import os
import signal
import sys
import time
import traceback
from contextlib import redirect_stderr
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import torch
from accelerate.state import AcceleratorState, GradientState, PartialState
from torch import Tensor, distributed

sys.path.insert(0, str(Path(__file__).parents[2]))
from benchmarks.communication import counted
from vaegan.cli.console import Console
from vaegan.config import load_config
from vaegan.config.schema import Config
from vaegan.data import open_data
from vaegan.distributed import get_group_rank_and_size, get_rank, init_process_group
from vaegan.errors import Failure, Interrupted
from vaegan.evaluate.classifier_evaluation import evaluate_classifier_splits
from vaegan.storage.loading import load_classifier
from vaegan.storage.run_folder import Run
from vaegan.trainers import loop, train
from vaegan.trainers.log.recorder import Recorder
from vaegan.trainers.state import State, to_checkpoint
from vaegan.trainers.steps import build_step
from vaegan.trainers.steps.base import Backward, Networks, StepInput, StepOutput, TrainingStep


def training(
    config: str,
    folder: str,
    world: int,
    resume: bool = False,
    slow: int | None = None,
    stop: int | None = None,
    poison: dict[str, int] | None = None,
) -> dict[str, object]:
    """Train.

    Args:
        config: File of the run.
        folder: Its folder.
        world: How many processes there must be.
        resume: As `train`.
        slow: A process that comes late to every step.
        stop: A step after which the last process gets SIGTERM.
        poison: Which process (`get_rank`) has a first loss of NaN in the steps `from`, counted from 0, to `to`.

    Returns:
        What this process holds after each step, hashed; how the training ended; what was noted.
    """
    held: list[str] = []
    heard = io.StringIO()
    ended = "finished"

    class Watched(Recorder):
        def after_step(self, state: State, *rest: object) -> None:
            assert self.accelerator.num_processes == world
            if self.accelerator.process_index == slow:
                time.sleep(0.02)
            held.append(fingerprint(state))
            if state.step == stop and self.accelerator.is_last_process:
                os.kill(os.getpid(), signal.SIGTERM)
            super().after_step(state, *rest)

    def build_poisoned_step(config: Config) -> TrainingStep:
        step = build_step(config)
        healthy = step.accumulate_gradients

        def accumulate_poisoned_gradients(networks: Networks, batch: StepInput, backward: Backward) -> StepOutput:
            if not (poison and batch.step in range(poison["from"], poison["to"]) and get_rank() == poison["rank"]):
                return healthy(networks, batch, backward)
            output = healthy(networks, batch, lambda loss: backward(loss * math.nan))
            term = next(term for term in output.scalars if term.startswith("loss/"))
            return replace(output, scalars={**output.scalars, term: output.scalars[term] * math.nan})

        step.accumulate_gradients = accumulate_poisoned_gradients
        return step

    loop.Recorder, loop.build_step = Watched, build_poisoned_step
    try:
        run = load_config(config)
        with redirect_stderr(heard):
            train(run, Path(folder), open_data(run.data), resume=resume, reporter=Console())
    except (Failure, Interrupted) as end:
        ended = str(end)
    finally:
        loop.Recorder, loop.build_step = Recorder, build_step
    return {"held": held, "ended": ended, "noted": heard.getvalue().splitlines()}


def fingerprint(state: State) -> str:
    """Digest of every bit that a checkpoint would hold."""
    digest = sha256()
    for name, tensors in to_checkpoint(state, state.meter, {}).tensors.items():
        for key, value in tensors.items():
            digest.update(f"{name}/{key}".encode())
            digest.update(bytes_of(value))
    return digest.hexdigest()


def bytes_of(value: Tensor) -> bytes:
    """Its numbers, however they lie in memory."""
    return value.detach().cpu().contiguous().numpy().tobytes()


def traffic(config: str, folder: str, world: int) -> list[object]:
    """Train, and say what was said."""
    heard = counted(load_config(config), Path(folder))
    assert distributed.get_world_size() == world
    return [heard.parameters, heard.events]


def accuracy(folder: str, world: int) -> dict[str, object]:
    """Judge a classifier."""
    init_process_group()
    run = Run(Path(folder))
    model, config = load_classifier(folder), run.config
    assert get_group_rank_and_size()[1] == world
    found = evaluate_classifier_splits(model, open_data(config.data), config.evaluate, seed=config.seed)
    scores = {name: values.tolist() for name, values in found.scores.items()}
    return {"metrics": found.metrics, "protocol": found.protocol, "scores": scores}


TASKS = {"training": training, "traffic": traffic, "accuracy": accuracy}


def main() -> None:
    """Work until a line is empty; a line of JSON for each job: what came of it, or how it failed."""
    torch.set_num_threads(1)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else is printed
    while line := sys.stdin.readline().strip():
        job = json.loads(line)
        os.environ |= job["environment"]
        try:
            answer = {"done": TASKS[job["task"]](**job["arguments"])}
        except Exception:
            answer = {"failed": traceback.format_exc()}
        if distributed.is_initialized():
            distributed.destroy_process_group()
        for state in (GradientState, AcceleratorState, PartialState):
            state._reset_state()
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
