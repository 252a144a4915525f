"""A process of the pool. It does jobs, one a line of JSON on standard input, each in a process group of its own."""

import atexit
import gc
import io
import json
import math
import os
import signal
import sys
import time
import traceback
from contextlib import redirect_stderr
from dataclasses import astuple, replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from accelerate.state import AcceleratorState, GradientState, PartialState
from torch import Tensor, distributed

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parents[1]))
from image_sets import open_folder, share_folder
from own_networks import build_own_networks

from benchmarks.communication import count_traffic
from vaegan import distributed as vaegan_distributed
from vaegan import long_work
from vaegan.cli.console import Console
from vaegan.config import load_config
from vaegan.data import open_data
from vaegan.distributed import any_rank, get_group_rank_and_size, get_rank, init_process_group
from vaegan.errors import Failure, Interrupted, UserError
from vaegan.evaluate.classifier_evaluation import evaluate_classifier_splits
from vaegan.evaluate.metrics import dealt_rows, kid
from vaegan.evaluate.metrics.dealt_rows import DealtRows
from vaegan.evaluate.metrics.precision_recall import compute_prdc
from vaegan.randomness import draw_normal
from vaegan.storage.loading import load_classifier
from vaegan.storage.run_folder import Run
from vaegan.trainers import loop, train
from vaegan.trainers.log.recorder import Recorder
from vaegan.trainers.state import State, to_checkpoint
from vaegan.trainers.steps import build_step
from vaegan.trainers.steps.base import Backward, Networks, StepInput, StepOutput, TrainingStep


def run_training(
    config: str,
    folder: str,
    world: int,
    resume: bool = False,
    slow: int | None = None,
    stop: int | None = None,
    poison: dict[str, int] | None = None,
    own: list[int] | None = None,
) -> dict[str, object]:
    """Train, possibly with a fault.

    Args:
        config: File with the config of the run.
        folder: Run folder.
        world: Number of processes, which is checked.
        resume: Whether to resume the run in ``folder``.
        slow: Rank of a process that is late in every step; None: no process is.
        stop: Step after which the last process gets SIGTERM; None: it gets none.
        poison: The process of rank ``rank`` has a first loss of NaN in the steps ``from`` to ``to - 1``, counted from
            0; None: no process has.
        own: Seed of each rank's own modules; None: the networks are those of the config.

    Returns:
        ``fingerprints`` of the state of this process after each step; ``end``: the error that ended the training, or
        "finished"; ``notes``: the lines of standard error.
    """
    fingerprints: list[str] = []
    stderr = io.StringIO()
    end = "finished"

    class WatchingRecorder(Recorder):
        def after_step(self, state: State, *rest: object) -> None:
            assert self.accelerator.num_processes == world
            if self.accelerator.process_index == slow:
                time.sleep(0.02)
            fingerprints.append(compute_fingerprint(state))
            if state.step == stop and self.accelerator.is_last_process:
                os.kill(os.getpid(), signal.SIGTERM)
            super().after_step(state, *rest)

    def build_poisoned_step(*arguments: Any) -> TrainingStep:
        step = build_step(*arguments)
        accumulate_gradients = step.accumulate_gradients

        def accumulate_poisoned_gradients(networks: Networks, batch: StepInput, backward: Backward) -> StepOutput:
            if not (poison and batch.step in range(poison["from"], poison["to"]) and get_rank() == poison["rank"]):
                return accumulate_gradients(networks, batch, backward)
            output = accumulate_gradients(networks, batch, lambda loss: backward(loss * math.nan))
            term = next(term for term in output.scalars if term.startswith("loss/"))
            return replace(output, scalars={**output.scalars, term: output.scalars[term] * math.nan})

        step.accumulate_gradients = accumulate_poisoned_gradients
        return step

    loop.Recorder, loop.build_step = WatchingRecorder, build_poisoned_step
    try:
        run = load_config(config)
        with redirect_stderr(stderr):
            networks = build_own_networks(run.model.labels, own[get_rank()]) if own else None
            data = open_data(run.data)
            train(run, Path(folder), data, resume=resume, reporter=Console(), networks=networks)
    except (Failure, Interrupted, UserError) as error:
        end = str(error)
    finally:
        loop.Recorder, loop.build_step = Recorder, build_step
    return {"fingerprints": fingerprints, "end": end, "notes": stderr.getvalue().splitlines()}


def compute_fingerprint(state: State) -> str:
    """Return the SHA-256 of every bit that a checkpoint of a state would hold."""
    digest = sha256()
    for name, tensors in to_checkpoint(state, state.meter, {}).tensors.items():
        for key, value in tensors.items():
            digest.update(f"{name}/{key}".encode())
            digest.update(to_bytes(value))
    return digest.hexdigest()


def to_bytes(value: Tensor) -> bytes:
    """Return the numbers of a tensor in row-major order, whatever its memory layout."""
    return value.detach().cpu().contiguous().numpy().tobytes()


def measure_traffic(config: str, folder: str, world: int) -> list[object]:
    """Train, and return the sizes of the networks and the events of `Traffic`."""
    traffic = count_traffic(load_config(config), Path(folder))
    assert distributed.get_world_size() == world
    return [traffic.parameters, traffic.events]


def evaluate_classifier(folder: str, world: int) -> dict[str, object]:
    """Evaluate a classifier on its splits, and return metrics, protocol and scores."""
    init_process_group()
    run = Run(Path(folder))
    model, config = load_classifier(folder), run.config
    assert get_group_rank_and_size()[1] == world
    evaluation = evaluate_classifier_splits(model, open_data(config.data), config.evaluate, seed=config.seed)
    scores = {name: values.tolist() for name, values in evaluation.scores.items()}
    return {"metrics": evaluation.metrics, "protocol": evaluation.protocol, "scores": scores}


def compare_features(world: int) -> list[float]:
    """Return KID, its blocks' values, and PRDC of features in small blocks, which each process holds a part of."""
    init_process_group()
    rank, size = get_group_rank_and_size()
    assert size == world
    sets = []
    for count, name in ((300, "real"), (260, "other")):
        features = 0.9 * draw_normal((count, 12), 0, name)
        batches = [(start, features[start : start + 7]) for start in range(7 * rank, count, 7 * world)]
        sets.append(DealtRows(batches, torch.device("cpu")))
    with patch.object(dealt_rows, "BLOCK_ROWS", 50), patch.object(kid, "MAX_KERNEL_VALUES", 5000):
        values = [kid.compute_kid(*sets), *kid.compute_block_values(*sets).tolist(), *astuple(compute_prdc(*sets))]
    assert torch.equal(sets[1].fetch(torch.tensor([259, 0])), features[[259, 0]])
    return values


def work_long(world: int, timeout: float, beat: float, work: float) -> list[Any]:
    """Let rank 0 work for some seconds, then fail, and return what each process got, and the number of messages."""
    beats = []

    def count(*arguments: Any) -> bool:
        beats.append(arguments)
        return any_rank(*arguments)

    def fail() -> None:
        raise UserError("it failed")

    with (
        patch.object(vaegan_distributed, "COLLECTIVE_TIMEOUT", timedelta(seconds=timeout)),
        patch.object(long_work, "BEAT_SECONDS", beat), patch.object(long_work, "any_rank", count),
    ):  # fmt: skip
        init_process_group()
        result = long_work.run_long_on_main(lambda: [get_rank(), time.sleep(work)])
        try:
            long_work.run_long_on_main(fail)
        except UserError as error:
            return [result, str(error), len(beats)]
    return []


TASKS = {
    "train": run_training,
    "traffic": measure_traffic,
    "evaluate": evaluate_classifier,
    "open": open_folder,
    "features": compare_features,
    "long": work_long,
    "share": share_folder,
}
"""Functions that do a job, by the name of the task."""


def main() -> None:
    """Do jobs until a line is empty; print a line of JSON with the result or the traceback of each."""
    atexit.register(gc.freeze)  # as the command line does
    torch.set_num_threads(1)
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # other output goes to standard error
    while line := sys.stdin.readline().strip():
        job = json.loads(line)
        os.environ |= job["environment"]
        try:
            reply = {"done": TASKS[job["task"]](**job["arguments"])}
        except Exception:
            reply = {"failed": traceback.format_exc()}
        if distributed.is_initialized():
            distributed.destroy_process_group()
        for state in (GradientState, AcceleratorState, PartialState):
            state._reset_state()
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


if __name__ == "__main__":
    main()
