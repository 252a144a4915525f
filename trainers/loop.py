"""The one training loop. A family adds only its step; everything random or scheduled is a function of the step."""

import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor

from vaegan.cli.console import Console
from vaegan.config.schema import Config, TrainConfig
from vaegan.data import Data, MicroBatch, iterate_batches
from vaegan.distributed import report_lost_ranks
from vaegan.errors import Failure, Interrupted
from vaegan.images import to_float
from vaegan.networks import spectral_norm
from vaegan.randomness import draw_normal
from vaegan.storage.runs import Run

from . import ema
from .batch_partition import get_autocast_dtype, get_batch_slice, make_accelerator
from .interrupt import Interrupts
from .log.recorder import Evaluator, Recorder
from .meter import Meter
from .run_lock import lock_run
from .state import State, build_state, restore
from .steps import adversarial, ae, classifier, ganvae, larsen, pixelcnn, vae, vaegan, vqvae
from .steps.base import Batch, Family, StepOutput, check_labels

STEPS: Mapping[str, Family] = {
    "ae": Family(ae.build, ae.step, ae.get_noise_shapes),
    "vae": Family(vae.build, vae.step, vae.get_noise_shapes, check=check_labels),
    "pixelcnn": Family(pixelcnn.build, pixelcnn.step, ready=pixelcnn.check_inputs, check=check_labels, start=pixelcnn.init_from_data),
    "vqvae": Family(vqvae.build, vqvae.step, start=vqvae.init_from_data, follow=vqvae.after_update),
    "vaegan": Family(
        adversarial.build, vaegan.step, vaegan.get_noise_shapes, vaegan.check_inputs, check_labels, controls=vaegan.init_adaptive_state,
        follow=vaegan.after_update,
    ),
    "larsen": Family(adversarial.build, larsen.step, larsen.get_noise_shapes, check=check_labels),
    "ganvae": Family(
        adversarial.build, ganvae.step, ganvae.get_noise_shapes, check=check_labels, controls=ganvae.init_adaptive_state, follow=ganvae.after_update
    ),
    "classifier": Family(classifier.build, classifier.step, check=classifier.check_data),
}  # fmt: skip


def train(
    config: Config,
    folder: Path,
    data: Data,
    evaluator: Evaluator | None = None,
    console: Console | None = None,
    *,
    resume: bool = False,
    extend: bool = False,
) -> Run:
    """Train a run to its end; every process of a launch calls this alike.

    Args:
        config: The run.
        folder: Where it is recorded; made where it does not exist.
        data: The images that `config.data` names.
        evaluator: Measures the averaged model every `train.evaluate_every` steps.
        console: Where progress and notes go; None: nowhere.
        resume: Go on from the newest checkpoint in `folder`, if there is one.
        extend: Let a resume have more `train.steps` than the run was started with.

    Returns:
        The finished run.

    Raises:
        UserError: The folder holds another run, another training works in it, the family cannot learn from the images,
            or the processes cannot share the batch.
        Failure: A gradient or a file is broken, or another process has ended; the message says what is kept.
        Interrupted: A signal came, and a checkpoint was written.
    """
    accelerator = make_accelerator(config.train)
    family = STEPS[config.model.family]
    part = get_batch_slice(config.train, accelerator.process_index, accelerator.num_processes)
    family.ready(config)
    family.check(config, data)
    console = console if console is not None and accelerator.is_main_process else Console(shown=False)
    run = Run(folder)

    with (
        report_lost_ranks("go on with --resume"),
        lock_run(folder),
        Interrupts(config.train.grace_seconds, accelerator.device, console) as interrupts,
        Recorder(config, run, data, accelerator, console, evaluator, interrupts, resume, extend) as recorder,
    ):
        state = build_state(config, family, accelerator)
        if recorder.checkpoint is not None:
            restore(state, recorder.checkpoint, accelerator)
            recorder.catch_up(state)
        else:
            family.start(config, state.networks, data)
            state.average.load_state_dict(state.model.state_dict())
        stream = iterate_batches(
            data.train, config.data, config.seed, config.train.batch_size, part,
            config.train.micro_batch_size, accelerator.device, state.step, config.train.steps,
        )  # fmt: skip
        title = f"Training {config.track.name or folder.name}"
        with closing(stream), console.progress(title, "images", config.train.batch_size) as progress:
            progress(state.step, config.train.steps)
            for micro_batches, broken in iterate_with_failures(stream):
                if interrupts.anywhere(or_else=broken is not None):
                    recorder.stop(state, broken)
                set_learning_rates(config.train, state)
                meter, codes, sums = compute_gradients(config, family, state, micro_batches, part, accelerator)
                norms = clip_gradients(config.train, state)
                if all(map(math.isfinite, norms.values())):
                    apply_update(config, family, state, meter, sums.total(accelerator))
                else:
                    recorder.skip(state, find_non_finite(norms, meter, accelerator))
                    norms, codes = {}, None
                for optimizer in state.optimizers.values():
                    optimizer.zero_grad(set_to_none=True)
                state.step += 1
                progress(state.step, config.train.steps)
                recorder.after_step(state, norms, codes)
        recorder.finish(state)
        if interrupts.anywhere():
            raise Interrupted(f"{folder}: finished, then stopped")
    return run


def iterate_with_failures(stream: Iterator[list[MicroBatch]]) -> Iterator[tuple[list[MicroBatch], str | None]]:
    """The steps of a stream, and for one that cannot be read the reason: all processes have to stop for it together."""
    try:
        yield from ((micro_batches, None) for micro_batches in stream)
    except Failure as failure:
        yield [], str(failure)


def compute_gradients(
    config: Config, family: Family, state: State, micro_batches: list[MicroBatch], part: slice, accelerator: Accelerator
) -> tuple[Meter, Tensor | None, Meter]:
    """The gradient of the global batch in every network, reduced over processes with the last micro-batch.

    Returns:
        What this process's images have to say; their codes, shape (images of this process, d), None where the family
        has no prior; and the sums that the family follows.
    """
    dtype = getattr(torch, config.train.dtype)
    noise = {
        purpose: draw_normal((config.train.batch_size, *shape), config.seed, purpose, state.step)[part]
        .to(accelerator.device, dtype)
        .chunk(len(micro_batches))
        for purpose, shape in family.noise(config).items()
    }
    meter, codes, sums, start = Meter(), [], Meter(), part.start
    controls = {name: value.to(dtype) for name, value in state.controls.items()}
    for index, (images, labels) in enumerate(micro_batches):
        own = {purpose: drawn[index] for purpose, drawn in noise.items()}
        batch = Batch(
            to_float(images, dtype), labels, own, state.step, start, get_autocast_dtype(config.train), controls
        )
        start += len(images)
        with ExitStack() as stack:
            if index < len(micro_batches) - 1:
                for network in state.prepared.values():
                    stack.enter_context(accelerator.no_sync(network))
            report = family.step(config, state.prepared, batch, lambda loss: (loss / len(micro_batches)).backward())
        meter.add(report, len(images) / config.train.batch_size)
        codes += [report.codes] if report.codes is not None else []
        sums.add(StepOutput({}, report.sums), 0.0)
    return meter, torch.cat(codes) if codes else None, sums


def clip_gradients(config: TrainConfig, state: State) -> dict[str, float]:
    """The norm of each network's gradient, which is then clipped to `train.clip_norm`.

    The gradients are already those of the global batch, so every process gets the same numbers.
    """
    totals = []
    for parameters in state.parameters.values():
        totals.append(torch.nn.utils.get_total_norm([each.grad for each in parameters if each.grad is not None]))
        if config.clip_norm is not None:
            torch.nn.utils.clip_grads_with_norm_(parameters, config.clip_norm, totals[-1])
    return dict(zip(state.parameters, torch.stack(totals).tolist(), strict=True))


def apply_update(config: Config, family: Family, state: State, meter: Meter, sums: Meter) -> None:
    """Take the step that the gradients say, and let what follows the weights follow them.

    Args:
        config: The run.
        family: Its family.
        state: The training.
        meter: What this process's images have to say.
        sums: What those of all processes sum up to.
    """
    for optimizer in state.optimizers.values():
        optimizer.step()
    for network in state.networks.values():
        spectral_norm.update_spectral_norm(network)
    with torch.no_grad():
        family.follow(config, state.networks, state.controls, sums.sums)
    ema.update_ema(state.average, state.model, config.train.ema_decay, state.updates)
    state.meter.merge(meter)
    state.updates += 1
    state.skipped = 0


def find_non_finite(norms: Mapping[str, float], meter: Meter, accelerator: Accelerator) -> list[str]:
    """What is not finite in a step of which a gradient is not: the loss terms, or else the gradients."""
    terms = [key for key, total in meter.total(accelerator).sums.items() if not total.isfinite().all()]
    return terms or [f"the gradient of the {name}" for name, norm in norms.items() if not math.isfinite(norm)]


def set_learning_rates(config: TrainConfig, state: State) -> None:
    """Set the learning rates of the coming step."""
    rate = get_learning_rate_factor(config, state.step)
    for name, optimizer in state.optimizers.items():
        own = config.discriminator_learning_rate if name == "discriminator" else None
        for group in optimizer.param_groups:
            group["lr"] = rate * (own or config.learning_rate)


def get_learning_rate_factor(config: TrainConfig, step: int) -> float:
    """Share of the learning rates that step number ``step`` (from 0) uses: linear warm-up, then `train.decay`."""
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    if config.decay == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (step - config.warmup_steps) / (config.steps - config.warmup_steps)))
