"""The one training loop. A family adds only its step; everything random or scheduled is a function of the step."""

import math
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from vaegan.config.schema import Config, TrainConfig, get_value_at_step
from vaegan.data import Data, MicroBatch, iterate_batches
from vaegan.devices import keep_freed_memory
from vaegan.distributed import all_gather_object, report_lost_ranks, run_on_main
from vaegan.errors import Failure, Interrupted, UserError
from vaegan.images import to_float
from vaegan.networks.given import GivenNetworks, add_networks
from vaegan.precision import tuned_convolutions
from vaegan.progress import Reporter
from vaegan.storage.adopted_settings import adopt_train_settings
from vaegan.storage.run_folder import Run

from .accelerator import describe_unused_device, get_autocast_dtype, make_accelerator
from .batch_partition import get_batch_slice
from .compilation import decide_compilation, report_failed_compilation
from .initial_weights import read_initial_weights_of_run
from .interrupt import Interrupts
from .log.recorder import Evaluator, Recorder
from .meter import Meter
from .noise import iterate_noise
from .resume import find_resume_checkpoint
from .run_lock import lock_run
from .state import State, build_state, restore
from .steps import build_step
from .steps.base import StepInput, TrainingStep
from .update import MAX_QUEUED_STEPS, QueuedStep, apply_update, queue_step


@torch.enable_grad()  # a caller may have switched gradients off
def train(
    config: Config,
    folder: Path,
    data: Data,
    evaluator: Evaluator | None = None,
    reporter: Reporter | None = None,
    *,
    networks: GivenNetworks | None = None,
    resume: bool = False,
    extend: bool = False,
) -> Run:
    """Train a run to its end and return it; every process of a launch calls this with the same arguments.

    Args:
        config: The run.
        folder: Run folder; created if it does not exist.
        data: The images that `config.data` names.
        evaluator: Evaluates the averaged model every `train.evaluate_every` steps.
        reporter: Shows progress and notes; None: they are not shown.
        networks: Modules in the place of networks of `config.model`, which are copied; see `vaegan.networks.given`.
        resume: Resume from the newest checkpoint in `folder`, if there is one.
        extend: Let a resumed run have more `train.steps` than it was started with.

    Raises:
        UserError: The folder holds another run, another training is running in it, the family cannot learn from the
            images, the batch cannot be divided over the processes, or `networks` cannot be trained.
        Failure: A gradient is not finite, a file cannot be read or written, or another process has ended; the message
            says what is kept.
        Interrupted: A signal asked the training to stop, and a checkpoint was written.
    """
    config = add_networks(adopt_train_settings(config, folder), networks)
    accelerator = make_accelerator(config.train)
    if accelerator.device.type == "cpu":
        keep_freed_memory()
    if len(set(all_gather_object(config.train.precision))) > 1:
        problem = "auto stands for another one on each of the machines; give fp32 or bf16"
        raise UserError(f"train.precision: {problem}", on_all_ranks=True)
    training_step = build_step(config, networks)
    batch_slice = get_batch_slice(config, accelerator.process_index, accelerator.num_processes)
    training_step.check_inputs()
    training_step.check_data(data)
    training_step.check_networks()
    reporter = reporter if reporter is not None and accelerator.is_main_process else Reporter()
    if (unused := describe_unused_device()) is not None:
        reporter.note(unused)
    compiled = decide_compilation(config.train, accelerator.device, bool(training_step.given), reporter)
    run = Run(folder)

    with (
        report_lost_ranks("go on with --resume"),
        lock_run(folder),
        tuned_convolutions(),
        Interrupts(config.train.grace_seconds, reporter) as interrupts,
    ):
        checkpoint = find_resume_checkpoint(config, run, data, reporter, resume, extend)
        initial = None
        if checkpoint is None:
            config, initial = read_initial_weights_of_run(training_step.record_inputs(config), training_step, reporter)
        if training_step.given:
            run_on_main(lambda: run.write_networks(training_step.given))
        with Recorder(config, run, data, checkpoint, accelerator, reporter, evaluator, interrupts) as recorder:
            state = build_state(config, training_step, accelerator, compiled)
            if checkpoint is not None:
                restore(state, checkpoint, accelerator)
                recorder.catch_up(state)
            else:
                if initial is not None:
                    initial.load_into(state.model)
                training_step.init_from_data(state.networks, data)
                for average in state.averages.values():
                    average.load_state_dict(state.model.state_dict())
            stream = iterate_batches(
                data.train, config.data, config.seed, config.train.batch_size, batch_slice,
                config.train.micro_batch_size, accelerator.device, state.step, config.train.steps,
            )  # fmt: skip
            noise = iterate_noise(
                training_step.get_noise_shapes(), config.seed, config.train.batch_size, batch_slice,
                getattr(torch, config.train.dtype), accelerator.device, state.step, config.train.steps,
            )  # fmt: skip
            queue = deque[QueuedStep]()

            def settle(left: int = 0) -> None:
                while len(queue) > left:
                    settle_step(queue.popleft(), state, recorder, accelerator)

            title = f"Training {config.track.name or folder.name}"
            with (
                closing(stream),
                closing(noise),
                reporter.progress(title, "images", config.train.batch_size) as progress,
            ):
                progress(state.step, config.train.steps)
                inputs = zip(iterate_with_failures(stream), noise, strict=False)
                for step, ((micro_batches, failure), step_noise) in enumerate(inputs, state.step):
                    if interrupts.should_stop(failed=failure is not None):
                        settle()
                        recorder.faults.stop(state, failure)
                    set_optimizer_settings(config.train, state, step)
                    with report_failed_compilation(compiled), recorder.faults.stop_if_out_of_memory(state, settle):
                        meter, codes, sums = compute_gradients(
                            training_step, state, step, micro_batches, step_noise, batch_slice.start, accelerator
                        )
                        norms = clip_gradients(config.train, state)
                    apply_update(training_step, state, step, norms, sums.get_totals(accelerator))
                    for optimizer in state.optimizers.values():
                        optimizer.zero_grad(set_to_none=True)
                    queue.append(queue_step(norms, meter, codes))
                    settle(0 if recorder.is_due(step + 1) else MAX_QUEUED_STEPS.get(accelerator.device.type, 0))
                    progress(state.step, config.train.steps)
            recorder.finish(state)
            if interrupts.should_stop():
                raise Interrupted(f"{folder}: finished, then stopped")
    return run


def iterate_with_failures(stream: Iterator[list[MicroBatch]]) -> Iterator[tuple[list[MicroBatch], str | None]]:
    """Yield the micro-batches of each step; for a step that cannot be read, yield [] and the reason, and end.

    A rank that cannot read its images has to tell the others before it stops.
    """
    try:
        yield from ((micro_batches, None) for micro_batches in stream)
    except Failure as failure:
        yield [], str(failure)


def settle_step(queued: QueuedStep, state: State, recorder: Recorder, accelerator: Accelerator) -> None:
    """Count the update of a queued step, or that it was skipped, and record what is due after it.

    Raises:
        Failure: Its gradient is not finite, and the training stops with a checkpoint; or a file could not be written.
    """
    norms, codes = dict(zip(state.parameters, queued.read_norms(), strict=True)), queued.codes
    if all(map(math.isfinite, norms.values())):
        state.meter.merge(queued.meter)
        state.updates += 1
        state.skipped = 0
    else:
        names = find_non_finite(norms, queued.meter, accelerator)
        recorder.faults.skip_update(state, names)
        recorder.log_skip(state, names)
        norms, codes = {}, None
    state.step += 1
    recorder.after_step(state, norms, codes)


def compute_gradients(
    training_step: TrainingStep[Any],
    state: State,
    step: int,
    micro_batches: list[MicroBatch],
    noise: Mapping[str, Tensor],
    start: int,
    accelerator: Accelerator,
) -> tuple[Meter, Tensor | None, Meter]:
    """Accumulate the gradient of the global batch in every network, reduced over ranks with the last micro-batch.

    Args:
        training_step: The step of the family.
        state: The training.
        step: Number of optimizer steps before this one.
        micro_batches: Images and labels of this process.
        noise: Noise of its images by purpose, on the device.
        start: Position of its first image in the global batch.
        accelerator: The processes of this training.

    Returns:
        The scalars and counts of this rank's images; their codes, shape (images of this rank, d), or None if the family
        has no prior; and the sums over them that `TrainingStep.after_update` needs.
    """
    config = training_step.config
    dtype = getattr(torch, config.train.dtype)
    meter, codes, sums = Meter(), [], Meter()
    adaptive_state = {name: value.to(dtype) for name, value in state.adaptive_state.items()}
    autocast_dtype = get_autocast_dtype(config.train)
    chunks = {purpose: tensor.chunk(len(micro_batches)) for purpose, tensor in noise.items()}
    for index, (pixels, labels) in enumerate(micro_batches):
        images, slices = to_float(pixels, dtype), {purpose: each[index] for purpose, each in chunks.items()}
        batch = StepInput(images, labels, slices, step, start, autocast_dtype, adaptive_state)
        start += len(images)
        with ExitStack() as stack:
            if index < len(micro_batches) - 1:
                for network in state.prepared.values():
                    stack.enter_context(accelerator.no_sync(network))
            output = training_step.accumulate_gradients(
                state.prepared, batch, lambda loss: (loss / len(micro_batches)).backward()
            )
        meter.add(output, len(images) / config.train.batch_size)
        codes += [output.codes] if output.codes is not None else []
        sums.add_counts(output.sums)
    return meter, torch.cat(codes) if codes else None, sums


def clip_gradients(config: TrainConfig, state: State) -> Tensor:
    """Clip the gradient of each network to `train.clip_norm`, and return the norms before that, shape (networks,).

    The gradients are those of the global batch, so that every rank gets the same numbers.
    """
    norms = []
    for parameters in state.parameters.values():
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        norms.append(torch.nn.utils.get_total_norm(gradients))
        if config.clip_norm is not None:
            torch.nn.utils.clip_grads_with_norm_(parameters, config.clip_norm, norms[-1])
    return torch.stack(norms)


def find_non_finite(norms: Mapping[str, float], meter: Meter, accelerator: Accelerator) -> list[str]:
    """Return the names of the loss terms that are not finite, or else of the networks whose gradient is not."""
    terms = [key for key, total in meter.reduce(accelerator).sums.items() if not total.isfinite().all()]
    return terms or [f"the gradient of the {name}" for name, norm in norms.items() if not math.isfinite(norm)]


def set_optimizer_settings(config: TrainConfig, state: State, step: int) -> None:
    """Set the learning rates and betas of step ``step`` (from 0)."""
    factor = min(1.0, (step + 1) / max(1, config.warmup_steps))
    betas = tuple(get_value_at_step(config, beta, step) for beta in config.betas)
    for name, optimizer in state.optimizers.items():
        own_rate = config.discriminator_learning_rate if name == "discriminator" else None
        rate = get_value_at_step(config, config.learning_rate if own_rate is None else own_rate, step)
        for group in optimizer.param_groups:
            group["lr"] = factor * rate
            group |= {"betas": betas} if "betas" in group else {"alpha": betas[1]}
