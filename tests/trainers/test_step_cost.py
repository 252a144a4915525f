"""The cost that a dry run prints is that of the steps that a training takes."""

import runpy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from vaegan.data import MicroBatch
from vaegan.devices import MAX_HEAP_TENSOR_BYTES
from vaegan.trainers.accelerator import make_accelerator
from vaegan.trainers.loop import compute_gradients
from vaegan.trainers.state import build_state
from vaegan.trainers.step_cost import LIBRARY_BYTES, CostCounter, get_copied_bytes, measure_step
from vaegan.trainers.steps import build_step

from ..tiny import FAMILIES, FAMILY_OPTIONS, tiny


def test_operations_of_a_small_autoencoder_are_those_counted_by_hand() -> None:
    config = tiny("ae", "model.network=mlp")
    step = build_step(config)
    weights = [each for each in step.build_networks()["autoencoder"].parameters() if each.dim() == 2]
    # A product forward, one for the gradient of its weight, one for that of its input, which the first layer needs not.
    products = 3 * sum(weight.numel() for weight in weights) - weights[0].numel()
    assert measure_step(config).flops == 2 * config.train.batch_size * products


@pytest.mark.parametrize("groups", [1, 2, 8])
@pytest.mark.parametrize("convolution", [nn.Conv2d, nn.ConvTranspose2d])
def test_a_convolution_in_groups_is_counted_by_hand(convolution: type[nn.Module], groups: int) -> None:
    layer, images = convolution(16, 32, 3, padding=1, groups=groups, bias=False), torch.randn(2, 16, 8, 8)
    products = 2 * 8 * 8 * 16 * 32 // groups * 3 * 3
    with CostCounter() as counter:
        features = layer(images.requires_grad_())
    assert counter.flops == 2 * products
    with CostCounter() as counter:
        features.sum().backward()
    assert counter.flops == 2 * 2 * products, "one product for the gradient of the images, one for that of the weights"


@pytest.mark.parametrize("family", FAMILIES)
def test_operations_are_those_of_real_steps(family: str) -> None:
    config = tiny(family, *FAMILY_OPTIONS.get(family, ()))
    cost = measure_step(config)  # before the real steps, in which nothing is left of it
    step, size, accelerator = build_step(config), config.train.batch_size, make_accelerator(config.train)
    state = build_state(config, step, accelerator)
    batch = MicroBatch(torch.zeros(size, *config.data.image_shape, dtype=torch.uint8), torch.zeros(size).long())
    noise: dict[str, Tensor] = {name: torch.randn(size, *shape) for name, shape in step.get_noise_shapes().items()}
    with CostCounter() as first:  # torch's own counter fails where a gradient is differentiated
        compute_gradients(step, state, 0, [batch], noise, 0, accelerator)
    with FlopCounterMode(display=False) as second:
        compute_gradients(step, state, 1, [batch], noise, 0, accelerator)
    expected = [first.flops, second.get_total_flops()]
    gradients = [weight.grad for weights in state.parameters.values() for weight in weights]
    assert not any(isinstance(each, FakeTensor) for each in gradients)
    # The power iteration of spectral normalisation after the step is counted as well.
    slack = 0.01 if "model.discriminator.spectral_norm=true" in FAMILY_OPTIONS.get(family, ()) else 0.0
    assert [cost.penalty_flops or cost.flops, cost.flops] == pytest.approx(expected, rel=slack)


def test_memory_is_that_of_the_tensors_that_live_together() -> None:
    size = 2 * MAX_HEAP_TENSOR_BYTES
    with FakeTensorMode():
        weight = torch.zeros(size // 4)
        with CostCounter() as counter:
            weight.view(2, -1).add_(1)  # was there before
            first = torch.zeros(size // 4)
            second = first + 1  # twice the size now
            del first
            third = second.view(2, -1).double()  # three times
            second.add_(1)
    assert counter.heap.peak_bytes == size + third.nbytes == 3 * size
    del second, third
    assert counter.heap.allocate(size) is None and counter.heap.peak_bytes == 3 * size


def test_copies_in_another_order_are_counted() -> None:
    convolution, softmax = torch.ops.aten.convolution, torch.ops.aten._log_softmax
    images = torch.zeros(2, 3, 4, 4)
    last, transposed = images.to(memory_format=torch.channels_last), images.transpose(0, 1)
    assert [get_copied_bytes(convolution, each) for each in (images, last)] == [[], []]
    assert get_copied_bytes(convolution, transposed) == [images.nbytes] * 2
    assert get_copied_bytes(softmax, images) == [] and get_copied_bytes(softmax, last) == [images.nbytes]


def test_processes_and_micro_batches_divide_the_memory_and_checkpointing_saves_some() -> None:
    words: Any = ("data.image_size=16", "data.source=shapes", "train.batch_size=256")
    whole = measure_step(tiny("vaegan3", *words))
    parts = measure_step(tiny("vaegan3", *words, "train.micro_batch_size=16"))
    half = measure_step(tiny("vaegan3", *words), processes=2)
    recomputed = measure_step(tiny("vaegan3", *words, "train.checkpointing=true"))
    assert parts.flops == whole.flops == 2 * half.flops < recomputed.flops
    peaks = [cost.peak_bytes - LIBRARY_BYTES for cost in (whole, half, parts, recomputed)]
    assert peaks[0] > 1.8 * peaks[1] > 2 * peaks[2] and peaks[3] < peaks[0]


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak of memory is read under Linux")
def test_counted_memory_is_that_which_a_training_takes(tmp_path: Path) -> None:
    words = ("model.width=16", "data.source=shapes", "data.count=300", "data.image_size=32", "train.batch_size=192")
    config = tiny("vae", *words, "train.steps=2")
    benchmark = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks/memory.py"))
    measured = benchmark["measure_rise"](config, tmp_path / "run")
    assert 0.8 < measure_step(config).peak_bytes / measured < 1.25
