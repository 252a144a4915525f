"""The memory and the floating-point operations of an optimizer step, counted on tensors that hold no values."""

import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from weakref import WeakSet, finalize

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from vaegan.config.objectives import PerceptualConfig
from vaegan.config.schema import Config
from vaegan.data import MicroBatch
from vaegan.losses.perceptual import get_training_lpips_network

from .batch_partition import get_batch_slice
from .heap import Heap
from .loop import clip_gradients, compute_gradients
from .state import State, make_state
from .steps import build_step
from .steps.base import TrainingStep
from .update import apply_update

LIBRARY_BYTES = 64 * 2**20
"""Memory that the first step takes for the libraries' code, threads and small buffers, as measured on a CPU."""


@dataclass(frozen=True)
class StepCost:
    """Memory and operations of an optimizer step of a process."""

    peak_bytes: int
    """Most bytes at a time, in any step, without the weights, their average and the optimizer's moments, but with
    `LIBRARY_BYTES`."""
    flops: int
    """Floating-point operations of convolutions and matrix products, in a step without a penalty if there is one."""
    penalty_flops: int | None
    """Floating-point operations of a step with a gradient penalty; None: no step has one."""


class CostCounter(TorchDispatchMode):
    """Count operations inside the block, and the memory of the tensors that are made in it while they live.

    Attributes:
        flops: Floating-point operations of convolutions and matrix products.
        heap: Where the tensors lie, as on a CPU.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops, self.heap = 0, Heap()
        self._storages = WeakSet[torch.UntypedStorage]()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation, and count it and the storages that it makes."""
        kwargs = kwargs or {}
        if function is torch.ops.aten._local_scalar_dense.default and isinstance(args[0], FakeTensor):
            return args[0].dtype == torch.bool  # only checks of labels read a value; there is none
        inputs = [value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
        given = [value.untyped_storage() for value in inputs]
        result = function(*args, **kwargs)
        for value in tree_leaves(result):
            if isinstance(value, Tensor):
                self._add(value.untyped_storage(), given)
        copies = [size for value in inputs for size in get_copied_bytes(function.overloadpacket, value)]
        for size, block in [(size, self.heap.allocate(size)) for size in copies]:
            self.heap.free(size, block)
        self.flops += count_flops(function.overloadpacket, args, kwargs, result)
        return result

    def _add(self, storage: torch.UntypedStorage, given: list[torch.UntypedStorage]) -> None:
        """Count a storage until it is freed, unless it is that of an input of its operation or was counted before."""
        if storage not in self._storages and not any(storage is each for each in given):
            self._storages.add(storage)
            size = storage.nbytes()
            finalize(storage, self.heap.free, size, self.heap.allocate(size))


def count_flops(operation: Any, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> int:
    """Return the floating-point operations of a convolution or a matrix product; of other operations 0.

    torch counts the gradient of the weights of a convolution in groups as if there were one group.
    """
    if (count := flop_registry.get(operation)) is None:
        return 0
    flops: int = count(*args, **kwargs, out_val=result)
    if operation is torch.ops.aten.convolution_backward:
        *first, groups, (_, has_weight_gradient, _) = args
        if has_weight_gradient and groups > 1:
            of_weights: int = count(*first, groups, [False, True, False], **kwargs, out_val=result)
            flops -= of_weights - of_weights // groups
    return flops


def get_copied_bytes(operation: Any, tensor: Tensor) -> list[int]:
    """Return the bytes of the temporary copies in which an operation holds an input in another order.

    A convolution makes two of a tensor that is dense in no memory format, such as the transposed ones by which the
    gradient of a gradient penalty is computed; a softmax makes one of a tensor that is not contiguous.
    """
    aten = torch.ops.aten
    if tensor.dim() == 4 and not tensor.is_contiguous():
        if operation in (aten._log_softmax, aten._log_softmax_backward_data):
            return [tensor.nbytes]
        if operation is aten.convolution and not tensor.is_contiguous(memory_format=torch.channels_last):
            return [tensor.nbytes] * 2
    return []


def measure_step(config: Config, processes: int = 1) -> StepCost:
    """Count what a step of a run costs, by taking steps of the training loop without computing a value.

    Args:
        config: The run, whose inputs exist.
        processes: Number of processes that the batch is divided over.
    """
    if isinstance(config.model, PerceptualConfig) and config.model.perceptual:
        # This network is kept for all trainings of this process, so it needs real values.
        get_training_lpips_network(config.model.perceptual_network, torch.device("cpu"))
    loss = getattr(config.model, "adversarial", None)
    penalised = loss is not None and bool(loss.r1 or loss.r2)
    training_step = build_step(config)
    accelerator: Any = SimpleNamespace(
        device=torch.device("cpu"), num_processes=1, prepare_model=lambda network: network,
        no_sync=lambda network: nullcontext(),
    )  # fmt: skip
    with torch.device("meta"):
        networks = {
            name: network.to(dtype=getattr(torch, config.train.dtype), memory_format=torch.channels_last)  # type: ignore[call-overload]
            for name, network in training_step.build_networks().items()
        }
    with FakeTensorMode(allow_non_fake_inputs=True), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Accessing the data pointer of FakeTensor")  # harmless: by `copy.deepcopy`
        for network in networks.values():
            replace_tensors(network, "cpu")
        state = make_state(config, training_step, networks, accelerator)
        peak, flops = _count_step(training_step, state, 0, processes, accelerator)
        if loss is None or not penalised or loss.penalty_every == 1:
            return StepCost(peak, flops, flops if penalised else None)
        plain_peak, plain_flops = _count_step(training_step, state, 1, processes, accelerator)
    return StepCost(max(peak, plain_peak), plain_flops, flops)


def _count_step(
    training_step: TrainingStep[Any], state: State, step: int, processes: int, accelerator: Any
) -> tuple[int, int]:
    """Return the most bytes at a time in a step, and its floating-point operations."""
    config = training_step.config
    batch_slice = get_batch_slice(config, 0, processes)
    count = batch_slice.stop - batch_slice.start
    size, dtype = config.train.micro_batch_size or count, getattr(torch, config.train.dtype)
    counted = min(count // size, 2)  # from the second on, all micro-batches are alike
    shapes = training_step.get_noise_shapes()
    with CostCounter() as counter:
        pixels = torch.zeros(count, *config.data.image_shape, dtype=torch.uint8)
        labels = torch.zeros(count, dtype=torch.int64)
        # The noise of the next step is drawn meanwhile. The noise of both is drawn for the images of all processes.
        drawn, following = ([torch.zeros(config.train.batch_size, *shape) for shape in shapes.values()] for _ in "ab")
        noise = {name: each[batch_slice].to(dtype) for name, each in zip(shapes, drawn, strict=True)}
        noise = {name: each[: counted * size] for name, each in noise.items()}
        parts = zip(pixels.split(size)[:counted], labels.split(size)[:counted], strict=True)
        batches = [MicroBatch(*part) for part in parts]
        _, _, sums = compute_gradients(training_step, state, step, batches, noise, 0, accelerator)
        apply_update(training_step, state, step, clip_gradients(config.train, state), sums.get_totals(accelerator))
        for optimizer in state.optimizers.values():
            optimizer.zero_grad(set_to_none=True)
        del drawn, following
    return LIBRARY_BYTES + counter.heap.peak_bytes, counter.flops * (count // size) // counted


def replace_tensors(network: nn.Module, device: str) -> nn.Module:
    """Replace the weights and buffers of a network, in place, by fake ones that are said to lie on a device; return it.

    Args:
        network: Network, called inside a `FakeTensorMode`.
        device: Device, which need not exist.
    """
    for module in network.modules():
        for name, weight in module._parameters.items():
            if weight is not None:
                values = torch.empty_like(weight, device=device, requires_grad=False)
                module._parameters[name] = nn.Parameter(values, requires_grad=weight.requires_grad)
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = torch.empty_like(buffer, device=device)
    return network
