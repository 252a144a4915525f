"""The update of a step: cancelled on the device, read later, and no step waits for the device."""

import json
import math
import os
import signal
from collections.abc import Mapping
from contextlib import nullcontext
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from vaegan.data import Data
from vaegan.errors import Failure, Interrupted
from vaegan.losses.perceptual import build_random_lpips_network
from vaegan.trainers import loop, train
from vaegan.trainers.accelerator import make_accelerator
from vaegan.trainers.loop import clip_gradients, compute_gradients, set_optimizer_settings
from vaegan.trainers.state import build_state
from vaegan.trainers.step_cost import replace_tensors
from vaegan.trainers.steps import build_step
from vaegan.trainers.steps import perceptual as perceptual_step
from vaegan.trainers.update import apply_update, step_optimizer, undo_unless

from ..tiny import FAMILIES, are_bit_identical, flatten, load_newest, read_run_files, tiny

OPTIONS = {
    "ae": ["model.denoising=0.2"],
    "vae": ["model.perceptual=1 model.perceptual_network=random"],
    "vqvae": ["model.codebook=gradient", "model.revive_below=0.5"],
    "vaegan3": [
        "model.adversarial.adaptive=[0.1,10]", "model.adversarial.augment_target=0.6", "model.adversarial.lecam=0.3",
        "model.discriminator.spectral_norm=true", "model.adversarial.r2=0.5", "model.learned_scale=true",
        "model.perceptual=1 model.perceptual_network=random", "train.clip_norm=1", "train.optimizer=rmsprop",
        "train.precision=bf16", "train.micro_batch_size=4", "train.ema_decay=0", "model.adversarial.loss=relativistic",
        "model.adversarial.instance=0.4 model.discriminator.instance_layers=[1,2]", "model.discriminator.packing=2",
    ],
    "ganvae": ["model.discriminator.projected_layers=[1,2]"],
}  # fmt: skip
"""Options of each family under which its step is tried."""


@pytest.mark.parametrize("name", ["adam", "rmsprop"])
def test_an_optimizer_steps_as_torch_does_or_not_at_all(name: str) -> None:
    config, accelerator = tiny("vae", f"train.optimizer={name}"), make_accelerator(tiny("vae").train)
    state = build_state(config, build_step(config), accelerator)
    set_optimizer_settings(config.train, state, 0)
    (optimizer,), (weights,) = state.optimizers.values(), state.parameters.values()
    copies = [nn.Parameter(weight.detach().clone()) for weight in weights]
    kind = (
        torch.optim.Adam(copies, 1e-3, config.train.betas)
        if name == "adam"
        else torch.optim.RMSprop(copies, 1e-3, alpha=0.99)
    )
    for step in range(4):
        applied = step != 1
        for weight, copy in zip(weights, copies, strict=True):
            weight.grad = torch.full_like(weight, math.sin(step + 1) if applied else math.nan)
            copy.grad = weight.grad.clone()
        step_optimizer(optimizer, torch.tensor(applied))
        if applied:
            kind.step()
    for weight, copy in zip(weights, copies, strict=True):
        assert torch.equal(weight, copy)
        for moment, value in kind.state[copy].items():
            assert torch.equal(optimizer.state[weight][moment], value)


def test_what_a_block_changed_is_undone_unless_the_flag_is_set() -> None:
    for applied, expected in ((True, 5.0), (False, 2.0)):
        tensor = torch.tensor([2.0, math.nan])
        with undo_unless(torch.tensor(applied), [tensor]):
            tensor.fill_(5.0)
        assert tensor[0] == expected and tensor[1].isnan() == (not applied)


@pytest.fixture
def queued(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps are queued on the CPU as on a GPU."""
    monkeypatch.setitem(loop.MAX_QUEUED_STEPS, "cpu", 1)


def spoil(monkeypatch: pytest.MonkeyPatch, *steps: int) -> None:
    """Let the gradients of some steps have a norm of NaN."""
    numbers = count()

    def clip(*arguments: Any) -> Tensor:
        return clip_gradients(*arguments) * (math.nan if next(numbers) in steps else 1.0)

    monkeypatch.setattr(loop, "clip_gradients", clip)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_queued_training_leaves_the_same_files(
    name: str, tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(name, "train.steps=7", "train.log_every=3", "train.checkpoint_every=5", "train.nan=skip")
    files = []
    for queued_steps in (0, 1):
        monkeypatch.setitem(loop.MAX_QUEUED_STEPS, "cpu", queued_steps)
        spoil(monkeypatch, 1, 3)
        run = train(config, tmp_path / str(queued_steps), data)
        files.append({path: content for path, content in read_run_files(run.path).items() if "timing" not in str(path)})
        assert load_newest(run.path).state["updates"] == 5
    assert files[0] == files[1]


@pytest.mark.usefixtures("queued")
def test_a_queued_step_that_is_not_finite_stops_before_the_next_one(tmp_path, data, monkeypatch) -> None:
    """The step after it is queued already, and changes nothing."""
    words = ("train.checkpoint_every=null", "train.log_every=100", "train.sample_every=null")
    spoil(monkeypatch, 3)
    with pytest.raises(Failure, match=r"^step 4: .* the checkpoint of step 3 is kept"):
        train(tiny("vaegan3", *words, "train.steps=9"), tmp_path / "run", data)
    monkeypatch.setattr(loop, "clip_gradients", clip_gradients)
    before = train(tiny("vaegan3", *words, "train.steps=3"), tmp_path / "before", data)
    states = [flatten(load_newest(path)) for path in (tmp_path / "run", before.path)]
    assert are_bit_identical(*states)


@pytest.mark.usefixtures("queued")
def test_five_queued_steps_in_a_row_that_are_not_finite_stop_the_training(tmp_path, data, monkeypatch) -> None:
    words = ("train.checkpoint_every=null", "train.log_every=100", "train.nan=skip")
    spoil(monkeypatch, 2, 3, 4, 5, 6)
    with pytest.raises(Failure, match=r"^step 7: .* in the 5th step in a row; the checkpoint of step 6 is kept"):
        train(tiny("vae", *words, "train.steps=20"), tmp_path / "run", data)
    monkeypatch.setattr(loop, "clip_gradients", clip_gradients)
    before = train(tiny("vae", *words, "train.steps=2"), tmp_path / "before", data)
    assert are_bit_identical(*(flatten(load_newest(path)) for path in (tmp_path / "run", before.path)))


@pytest.mark.usefixtures("queued")
def test_a_signal_settles_the_queued_step_before_the_checkpoint(tmp_path, data, monkeypatch) -> None:
    def signal_in_step_4(*arguments: Any) -> Any:
        if arguments[2] == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return compute_gradients(*arguments)

    config = tiny("vaegan3", "train.steps=8", "train.log_every=100", "train.checkpoint_every=null")
    straight = train(config, tmp_path / "straight", data)
    monkeypatch.setattr(loop, "compute_gradients", signal_in_step_4)
    with pytest.raises(Interrupted, match="stopped at step 4"):
        train(config, tmp_path / "run", data)
    monkeypatch.setattr(loop, "compute_gradients", compute_gradients)
    run = train(config, tmp_path / "run", data, resume=True)
    assert are_bit_identical(*(flatten(load_newest(each.path)) for each in (run, straight)))
    lines = [[json.loads(line) for line in each.history_file.read_text().splitlines()] for each in (run, straight)]
    assert lines[0] == lines[1]


def fill_gradients(networks: Mapping[str, nn.Module]) -> None:
    """Give every trained weight a gradient."""
    for network in networks.values():
        for weight in network.parameters():
            weight.grad = torch.empty_like(weight) if weight.requires_grad else weight.grad


CASES = [(name, option) for name in FAMILIES for option in ["", *OPTIONS.get(name, [])]] + [
    ("vaegan1-diffusers", ""),
    ("vaegan1-grid", "train.freeze=[encoder]"),
]


class ReadCounter(TorchDispatchMode):
    """Count the operations for which a host would wait for its device: reads of values, and results of their size."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        name = function.overloadpacket.__name__
        masks = [
            each for each in (args[1] if name in ("index", "index_put", "index_put_", "_unsafe_index") else [])
            if each is not None and each.dtype in (torch.bool, torch.uint8)
        ]  # fmt: skip
        if masks or name in ("_local_scalar_dense", "nonzero", "masked_select", "_unique2", "equal", "is_nonzero"):
            self.seen.append(name)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize(("name", "option"), CASES)
def test_no_step_reads_a_value(name: str, option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forward, backward and update, until the step is settled, which reads the norms."""
    config = tiny(name, *option.split())
    step, size, accelerator = build_step(config), config.train.batch_size, make_accelerator(config.train)
    state = build_state(config, step, accelerator)
    pixels = torch.randint(256, (size, *config.data.image_shape), dtype=torch.uint8)
    labels = torch.zeros(size, dtype=torch.int64)
    noise = {key: torch.randn(size, *shape) for key, shape in step.get_noise_shapes().items()}
    parts = config.train.micro_batch_size or size
    micro_batches = list(zip(pixels.split(parts), labels.split(parts), strict=True))
    reads = []
    with ReadCounter() as counter, monkeypatch.context() as patch:
        for reader in ("tolist", "numpy"):
            patch.setattr(Tensor, reader, lambda tensor, *_, reader=reader: reads.append(reader))
        for number in (0, 1):
            meter, _, sums = compute_gradients(step, state, number, micro_batches, noise, 0, accelerator)
            norms = clip_gradients(config.train, state)
            apply_update(step, state, number, norms, sums.get_totals(accelerator))
            state.meter.merge(meter)
    assert counter.seen == reads == []
    with counter:
        assert bool(norms.isfinite().all()) and counter.seen == ["_local_scalar_dense"]


@pytest.mark.parametrize(("name", "option"), CASES)
def test_no_step_waits_for_the_device(name: str, option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On fake CUDA tensors, whose values nobody can read, and which do not mix with those of the CPU.

    The backward of the engine needs a real GPU; gradients are made by hand.
    """
    config = tiny(name, *option.split())
    step, size = build_step(config), config.train.batch_size
    networks, adaptive_state = step.build_networks(), step.init_adaptive_state()
    lpips = build_random_lpips_network("training")
    with FakeTensorMode(allow_non_fake_inputs=True):
        device = torch.device("cuda")
        step.build_networks = lambda: {key: replace_tensors(network, "cuda") for key, network in networks.items()}
        step.init_adaptive_state = lambda: {key: torch.empty_like(value) for key, value in adaptive_state.items()}
        monkeypatch.setattr(nn.Module, "to", lambda network, *arguments, **options: network)
        monkeypatch.setattr(Tensor, "pin_memory", lambda tensor: tensor)
        monkeypatch.setattr(
            torch.autograd, "grad", lambda _, inputs, **options: [torch.empty_like(each) for each in [inputs]]
        )
        monkeypatch.setattr(Tensor, "backward", lambda _: fill_gradients(networks))
        monkeypatch.setattr(perceptual_step, "get_training_lpips_network", lambda *_: replace_tensors(lpips, "cuda"))
        accelerator: Any = SimpleNamespace(
            device=device, num_processes=1, prepare_model=lambda network: network, no_sync=lambda _: nullcontext()
        )
        state = build_state(config, step, accelerator)
        pixels = torch.empty(size, *config.data.image_shape, dtype=torch.uint8, device=device)
        labels = torch.empty(size, dtype=torch.int64, device=device)
        noise = {key: torch.empty(size, *shape, device=device) for key, shape in step.get_noise_shapes().items()}
        parts = config.train.micro_batch_size or size
        micro_batches = list(zip(pixels.split(parts), labels.split(parts), strict=True))
        for number in (0, 1):  # the first has a gradient penalty
            meter, _, sums = compute_gradients(step, state, number, micro_batches, noise, 0, accelerator)
            norms = clip_gradients(config.train, state)
            apply_update(step, state, number, norms, sums.get_totals(accelerator))
            state.meter.merge(meter)
        tensors = [norms, *state.meter.sums.values(), *next(iter(state.parameters.values()))]
        assert {tensor.device.type for tensor in tensors} == {"cuda"}
        with pytest.raises(DataDependentOutputException):
            norms.tolist()
