"""Measure images per second of the training loop and of a bare hand-written loop over the same networks and data.

    python benchmarks/throughput.py digits/vaegan3 --steps 100 --rounds 5

Both loops take turns inside one process, so only the ratio of their speeds is meaningful. The bare loop is a script for
one device and the three-way adversarial loss alone: same losses, same optimizers, noise from torch.randn, no averaging
of weights, no gradient norms, no log, no resume. What the training loop does besides is then timed, one operation after
another, on the same networks.

Recorded results: benchmarks/README.md.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.nn.functional as F
from accelerate import Accelerator

from vaegan.cli.console import Console
from vaegan.config import Config, load_config
from vaegan.config.models import VAEGANConfig
from vaegan.data import Data, iterate_batches, open_data
from vaegan.images import to_float
from vaegan.progress import ProgressCallback
from vaegan.randomness import draw_normal
from vaegan.trainers import ema, train
from vaegan.trainers.loop import clip_gradients
from vaegan.trainers.state import build_state
from vaegan.trainers.steps import build_step
from vaegan.trainers.steps.base import StepInput

WARM_UP_STEPS = 10
"""Optimizer steps before the clock starts."""


class Clock(Console):
    """A `Reporter` that records the time at which each step ended."""

    def __init__(self) -> None:
        super().__init__(shown=True)
        self.times: list[float] = []

    def note(self, text: str) -> None:
        """Print nothing."""

    @contextmanager
    def progress(self, what: str, unit: str, per_step: int = 1) -> Iterator[ProgressCallback]:
        """Record the times of the updates."""
        yield lambda done, total: self.times.append(time.perf_counter())


def time_training(config: Config, data: Data) -> float:
    """Return the seconds of the steps after the warm-up in `vaegan.trainers.train`."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        train(config, Path(folder) / "run", data, reporter=clock)
    return clock.times[-1] - clock.times[WARM_UP_STEPS - 1]


def time_bare_loop(config: Config, data: Data, device: torch.device) -> float:
    """Return the seconds of the steps after the warm-up in the bare loop."""
    networks = {
        name: network.to(device, memory_format=torch.channels_last)
        for name, network in build_step(config).build_networks().items()
    }
    optimizers = [
        torch.optim.Adam(network.parameters(), config.train.learning_rate, config.train.betas)
        for network in networks.values()
    ]
    pixels, count = data.train.copy_to(device), config.train.batch_size
    autoencoder, discriminator = networks["autoencoder"], networks["discriminator"]
    model, values = config.model, pixels[0].numel()
    for step in range(config.train.steps):
        if step == WARM_UP_STEPS:
            _synchronise(device)
            start = time.perf_counter()
        images = pixels[torch.randint(len(pixels), (count,), device=device)].float() / 127.5 - 1
        mean, log_variance = autoencoder.encoder(images).chunk(2, 1)
        codes = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
        fakes = autoencoder.decoder(torch.cat([codes, torch.randn_like(mean)]))

        penalised = step % model.adversarial.penalty_every == 0
        origins = torch.arange(3, device=device).repeat_interleave(count)
        if penalised:
            real_logits, features, _ = discriminator(images.requires_grad_())
            loss = F.cross_entropy(torch.cat([real_logits, discriminator(fakes.detach()).scores]), origins)
            odds = real_logits[:, 0] - real_logits[:, 1:].logsumexp(1)
            (slope,) = torch.autograd.grad(odds.sum(), images, create_graph=True)
            loss = loss + model.adversarial.r1 * model.adversarial.penalty_every / 2 * slope.square().sum() / count
        else:
            logits, features, _ = discriminator(torch.cat([images, fakes.detach()]))
            loss = F.cross_entropy(logits, origins)
        loss.backward()

        discriminator.requires_grad_(False)
        images = images.detach()
        error = (images - fakes[:count]).square().sum() / (2 * model.scale**2)
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum()
        logits, fake_features, _ = discriminator(fakes)
        adversarial = F.cross_entropy(logits, torch.zeros(2 * count, dtype=torch.long, device=device))
        similarity = 0.5 * F.mse_loss(fake_features[:count], features[:count].detach())
        loss = (error + model.beta * divergence) / (count * values)
        loss = loss + model.adversarial.similarity * similarity + model.adversarial.weight * adversarial
        loss.backward()
        discriminator.requires_grad_(True)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
    _synchronise(device)
    return time.perf_counter() - start


def time_overhead(config: Config, data: Data, accelerator: Accelerator) -> dict[str, float]:
    """Return the milliseconds of each operation that only the training loop has, by name."""
    step = build_step(config)
    state = build_state(config, step, accelerator)
    size, device = config.train.batch_size, accelerator.device
    stream = iterate_batches(data.train, config.data, 0, size, slice(0, size), None, device, 0, 10_000)
    for network in state.networks.values():
        for parameter in network.parameters():
            parameter.grad = torch.zeros_like(parameter)

    def draw_noise() -> dict[str, torch.Tensor]:
        shapes = step.get_noise_shapes().items()
        return {purpose: draw_normal((size, *shape), 0, purpose, 0).to(device) for purpose, shape in shapes}

    def update_average() -> None:
        ema.update_ema(state.average, state.model, 0.999, state.counters.updates, torch.tensor(True, device=device))

    images, labels = next(stream)[0]
    batch = StepInput(to_float(images), labels, draw_noise(), 0, 0, None)
    output = step.accumulate_gradients(state.networks, batch, lambda loss: None)
    operations: dict[str, Callable[[], object]] = {
        "next batch in its order": lambda: next(stream),
        "stateless noise, drawn beside the step before": draw_noise,
        "gradient norms and the NaN check": lambda: bool(clip_gradients(config.train, state).isfinite().all()),
        "averaged weights": update_average,
        "sums for the log": lambda: state.meter.add(output, 1.0),
    }
    return {name: time_calls(operation, device) for name, operation in operations.items()}


def time_calls(operation: Callable[[], object], device: torch.device, repeats: int = 50) -> float:
    """Return the median milliseconds of a call."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        operation()
        _synchronise(device)
        seconds.append(time.perf_counter() - start)
    return 1000 * statistics.median(seconds)


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> None:
    """Time both loops in turns, then the overhead, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config")
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    overrides = [*arguments.overrides, f"train.steps={arguments.steps + WARM_UP_STEPS}", "track.wandb=disabled"]
    config = load_config(arguments.config, overrides)
    if not isinstance(config.model, VAEGANConfig) or config.model.discriminator.classes != "three":
        parser.error(f"{arguments.config}: the bare loop is that of the three-way VAE-GAN; name such a config")
    data, accelerator = open_data(config.data), Accelerator()
    images = arguments.steps * config.train.batch_size
    ratios = []
    for number in range(arguments.rounds):
        bare_seconds, seconds = time_bare_loop(config, data, accelerator.device), time_training(config, data)
        ratios.append(bare_seconds / seconds)
        speeds = f"bare {images / bare_seconds:,.0f}, vaegan {images / seconds:,.0f} images/s"
        print(f"round {number + 1}: {speeds}, ratio {ratios[-1]:.3f}")
    step_milliseconds = 1000 * seconds / arguments.steps
    print(f"median ratio {statistics.median(ratios):.3f} on {accelerator.device}, {torch.get_num_threads()} threads")
    for name, milliseconds in time_overhead(config, data, accelerator).items():
        fraction = milliseconds / step_milliseconds
        print(f"  {name}: {milliseconds:.2f} ms of a step's {step_milliseconds:.1f} ms ({fraction:.1%})")


if __name__ == "__main__":
    main()
