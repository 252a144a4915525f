"""Check and time the training on a GPU, in under ten minutes.

    python benchmarks/gpu.py

1. Every recipe of the digits is trained for 20 steps on the CPU and on the GPU, in fp32 and in bf16; printed is the
   largest difference of a logged value, relative to the largest one of its key.
2. Steps of the VAE and of the three-way VAE-GAN are timed at 64x64 and 256x256 pixels, plain ones and those with R1
   apart, eager and compiled, in fp32 and bf16, with the memory they take and their share of what a matrix product of
   the same type reaches on this device.
3. The time of one residual block is divided among its kernels.

Without a GPU the second part runs on the CPU, which `--sizes 16 --batch-size 4` makes short, to try the script itself.
Recorded results: benchmarks/README.md.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from same_bits import CHECKOUT, PRIORS, RECIPES
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from vaegan.config import Config, load_config
from vaegan.networks.resnet import Block
from vaegan.precision import set_tf32
from vaegan.trainers.loop import clip_gradients, compute_gradients
from vaegan.trainers.state import State, build_state
from vaegan.trainers.steps import build_step
from vaegan.trainers.update import apply_update

STEPS = 20
"""Optimizer steps of the runs that are compared."""
TIMED_STEPS = 8
"""Optimizer steps of each kind that are timed, after as many that are not."""
MATRIX_SIDE = 8192
"""Side of the matrices of the product that is the ceiling."""
WIDTH = 64
"""Channels at full resolution of the networks that are timed."""


def read_history(recipe: str, precision: str, on_gpu: bool, folder: Path) -> list[dict[str, Any]]:
    """Train a recipe of the digits in a process of its own, and return the lines of its history."""
    run = folder / f"{recipe}-{precision}-{'gpu' if on_gpu else 'cpu'}"
    words = [f"train.steps={STEPS}", "train.log_every=1", f"train.precision={precision}", "track.wandb=disabled"]
    words += [f"prior.autoencoder={folder / PRIORS[recipe]}-fp32-cpu"] if recipe in PRIORS else []
    environment = os.environ if on_gpu else {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "vaegan", "train", f"digits/{recipe}", *words, "--output", str(run)]
    subprocess.run(command, cwd=CHECKOUT, env=environment, check=True, capture_output=True)
    return [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]


def compare_histories(lines: list[dict[str, Any]], others: list[dict[str, Any]]) -> tuple[float, str]:
    """Return the largest difference of a value of two histories, relative to the largest of its key, and that key."""
    worst = (0.0, "")
    for key in lines[0].keys() - {"step"}:
        rows = [torch.tensor([line[key] for line in each if key in line]).double() for each in (lines, others)]
        difference = (rows[0] - rows[1]).abs().max() / rows[1].abs().max().clamp_min(1e-12)
        worst = max(worst, (float(difference), key))
    return worst


def print_histories(folder: Path) -> None:
    """Print how far the runs on the GPU are from those on the CPU in fp32."""
    print(f"\n| after {STEPS} steps | fp32 | worst key | bf16 | worst key |\n|{' --- |' * 5}")
    for recipe in RECIPES:
        expected = read_history(recipe, "fp32", False, folder)
        cells = [
            f"{difference:.1e} | {key}"
            for precision in ("fp32", "bf16")
            for difference, key in [compare_histories(read_history(recipe, precision, True, folder), expected)]
        ]
        print(f"| {recipe} | {' | '.join(cells)} |", flush=True)


def time_call(call: Callable[[], object], device: torch.device) -> float:
    """Return the seconds of a call and of what it queued on the device."""
    _synchronise(device)
    start = time.perf_counter()
    call()
    _synchronise(device)
    return time.perf_counter() - start


def measure_ceiling(device: torch.device, dtype: torch.dtype) -> float:
    """Return the FLOP/s of a product of square matrices."""
    side = MATRIX_SIDE if device.type == "cuda" else 1024
    matrix = torch.randn(side, side, device=device, dtype=dtype)
    seconds = [time_call(lambda: matrix @ matrix, device) for _ in range(10)]
    return 2 * side**3 / statistics.median(seconds)


def make_stepper(config: Config, device: torch.device, compiled: bool) -> tuple[State, Callable[[int], None]]:
    """Return the state of a training on random images, and a function that takes the step of a number."""
    step, size = build_step(config), config.train.batch_size
    accelerator: Any = SimpleNamespace(
        device=device, num_processes=1, prepare_model=lambda network: network, no_sync=nullcontext
    )
    state = build_state(config, step, accelerator, compiled)
    pixels = torch.randint(256, (size, *config.data.image_shape), dtype=torch.uint8, device=device)
    pixels = pixels.to(memory_format=torch.channels_last)
    noise: dict[str, Tensor] = {
        purpose: torch.randn(size, *shape, device=device) for purpose, shape in step.get_noise_shapes().items()
    }

    def take(number: int) -> None:
        micro_batches: Any = [(pixels, None)]
        _, _, sums = compute_gradients(step, state, number, micro_batches, noise, 0, accelerator)
        apply_update(step, state, number, clip_gradients(config.train, state), sums.get_totals(accelerator))
        for optimizer in state.optimizers.values():
            optimizer.zero_grad(set_to_none=True)

    return state, take


def print_steps(arguments: argparse.Namespace, device: torch.device) -> None:
    """Print the time of the steps, their memory and their share of the ceiling."""
    ceilings = {precision: measure_ceiling(device, dtype) for precision, dtype in PRECISIONS.items()}
    for precision, ceiling in ceilings.items():
        print(f"\na matrix product in {precision}: {ceiling / 1e12:.2f} TFLOP/s", end="")
    columns = ["images/s", "plain, ms", "with R1, ms", "ratio", "first step, s", "memory, GiB", "of the product"]
    print(f"\n\n| family | size | precision | compiled | {' | '.join(columns)} |\n|{' --- |' * (4 + len(columns))}")
    for name in ("vae", "vaegan3"):
        for size in arguments.sizes:
            for precision in PRECISIONS:
                for compiled in (False, True):
                    cells = time_steps(name, size, precision, compiled, ceilings[precision], arguments, device)
                    print(f"| {name} | {size} | {precision} | {compiled} | {' | '.join(cells)} |", flush=True)


def time_steps(
    name: str, size: int, precision: str, compiled: bool, ceiling: float, arguments: argparse.Namespace,
    device: torch.device,
) -> list[str]:  # fmt: skip
    """Return the cells of a row of the table."""
    batch_size = arguments.batch_size or (256 if size <= 64 else 32)
    words = [
        f"data.image_size={size}", "data.source=shapes", "data.root=null", f"train.batch_size={batch_size}",
        f"train.precision={precision}", f"model.width={arguments.width}",
    ]  # fmt: skip
    config = load_config(f"folder64/{name}", words)
    set_tf32(False)
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    _, take = make_stepper(config, device, compiled)
    first = time_call(partial(take, 1), device)
    has_penalty, every = name != "vae", 4
    numbers = {"plain": 1, **({"penalty": 0} if has_penalty else {})}
    seconds = {}
    for kind, number in numbers.items():
        for _ in range(TIMED_STEPS):
            take(number)
        seconds[kind] = statistics.median(time_call(partial(take, number), device) for _ in range(TIMED_STEPS))
    mean = (seconds["plain"] * (every - 1) + seconds["penalty"]) / every if has_penalty else seconds["plain"]
    memory = torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else float("nan")
    _, eager = make_stepper(config, device, compiled=False)
    with FlopCounterMode(display=False) as counter:
        eager(1)
    penalty = seconds.get("penalty", float("nan"))
    return [
        f"{batch_size / mean:,.0f}", f"{1e3 * seconds['plain']:.1f}", f"{1e3 * penalty:.1f}",
        f"{penalty / seconds['plain']:.2f}", f"{first:.1f}", f"{memory:.1f}",
        f"{counter.get_total_flops() / seconds['plain'] / ceiling:.2f}",
    ]  # fmt: skip


def print_block(device: torch.device) -> None:
    """Print the kernels of the forward and backward pass of one residual block in bf16."""
    side, count = (128, 32) if device.type == "cuda" else (16, 4)
    block = Block(WIDTH, WIDTH, normalise=True).to(device).to(memory_format=torch.channels_last)
    features = torch.randn(count, WIDTH, side, side, device=device).to(memory_format=torch.channels_last)
    features.requires_grad_()

    def run() -> None:
        with torch.autocast(device.type, torch.bfloat16):
            output = block(features)
        output.float().square().mean().backward()

    for _ in range(3):
        run()
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    with profile(activities=activities) as profiled:
        run()
        _synchronise(device)
    order = "self_device_time_total" if device.type == "cuda" else "self_cpu_time_total"
    print(f"\n{profiled.key_averages().table(sort_by=order, row_limit=15, max_name_column_width=60)}")


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}
"""Types of the precisions that are timed."""


def main() -> None:
    """Run the three parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", type=int, default=[64, 256], help="sides of the images in pixels")
    parser.add_argument("--batch-size", type=int, help="images of a step; default: 256, or 32 of more than 64 pixels")
    parser.add_argument("--width", type=int, default=WIDTH, help="channels at full resolution")
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    print(f"torch {torch.__version__}, {name}")
    if device.type == "cuda":
        with tempfile.TemporaryDirectory() as folder:
            print_histories(Path(folder))
    print_steps(arguments, device)
    print_block(device)


if __name__ == "__main__":
    main()
