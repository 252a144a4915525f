"""Activation checkpointing changes the memory and the time of a training, and no bit of it."""

from pathlib import Path

import pytest
import torch
from torch import nn

from vaegan.data import Data
from vaegan.networks.checkpointing import Stages, recompute_stages
from vaegan.trainers import train
from vaegan.trainers.accelerator import make_accelerator
from vaegan.trainers.state import build_state
from vaegan.trainers.steps import build_step

from ..tiny import (
    BUILDS,
    FAMILY_OPTIONS,
    are_bit_identical,
    divide_cases,
    flatten,
    get_network_overrides,
    load_newest,
    tiny,
    tiny_diffusers,
)
from .steps.equations import Gradients, build_batch, build_networks, run_step


@pytest.mark.parametrize(
    ("name", "network"),
    divide_cases(
        [build for build in BUILDS if build[1] in ("conv", "antialiased", "resnet", "grid")],
        [("vaegan3", "conv"), ("vaegan3-grid", "resnet"), ("vqvae", "grid"), ("flow-grid", "conv")],
    ),
)
def test_a_training_that_goes_on_with_it_has_the_same_bits(name, network, tmp_path, data) -> None:
    words = (*get_network_overrides(name, network), *FAMILY_OPTIONS.get(name, ()), "train.log_every=1")
    steps = ("train.steps=4", "train.checkpoint_every=2", "train.micro_batch_size=4")
    plain = train(tiny(name, *words, *steps), tmp_path / "plain", data)
    parts = train(tiny(name, *words, *steps[1:], "train.steps=2"), tmp_path / "parts", data)
    train(tiny(name, *words, *steps, "train.checkpointing=true"), parts.path, data, resume=True, extend=True)
    assert are_bit_identical(flatten(load_newest(parts.path)), flatten(load_newest(plain.path)))
    assert parts.history_file.read_bytes() == plain.history_file.read_bytes()


def count_kept_values(model: nn.Module, stages: list[str], noise: torch.Tensor) -> tuple[int, list[str]]:
    """Return how many values a forward keeps for the backward pass, and the stages that both passes compute."""
    kept, computed = set[tuple[int, int]](), list[str]()
    handles = [
        model.get_submodule(stage).register_forward_pre_hook(lambda *_, stage=stage: computed.append(stage))
        for stage in stages
    ]

    def keep(value: torch.Tensor) -> torch.Tensor:
        kept.add((value.data_ptr(), value.numel()))
        return value

    images = torch.rand(4, 1, 8, 8, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        loss = model(images, noise).reconstruction.sum()
    loss.backward()
    for handle in handles:
        handle.remove()
    return sum(count for _, count in kept), computed


@pytest.mark.parametrize("network", ["conv", "antialiased", "resnet", "inverted_residual"])
def test_each_stage_keeps_its_input_alone_and_is_computed_twice(network: str, data: Data) -> None:
    config = tiny("vae", f"model.network={network}", "model.depth=2", "train.checkpointing=true")
    state = build_state(config, build_step(config), make_accelerator(config.train))
    model, noise = state.model, torch.zeros(4, 4)
    stages = [
        f"{name}.{number}"
        for name, module in model.named_modules()
        if isinstance(module, Stages)
        for number, stage in enumerate(module)
        if next(stage.children(), None) is not None
    ]
    assert {stage.split(".")[0] for stage in stages} == {"encoder", "decoder"}
    less, computed = count_kept_values(model, stages, noise)
    assert sorted(computed) == sorted(2 * stages)
    for module in model.modules():
        module.recomputes = False
    more, computed = count_kept_values(model, stages, noise)
    assert computed == stages and less < 0.6 * more
    with torch.no_grad():
        assert isinstance(state.averages["average"], nn.Module) and all(
            module.recomputes for module in state.averages["average"].modules() if isinstance(module, Stages)
        )


@pytest.mark.parametrize(
    ("family", "name", "kept_part"),
    [("vaegan", "AutoencoderKL", 0.8), ("vae", "AsymmetricAutoencoderKL", 0.8), ("ae", "AutoencoderTiny", 1)],
)
def test_networks_of_diffusers_keep_less_and_have_the_same_gradients(family: str, name: str, kept_part: float) -> None:
    """Those of AutoencoderTiny, which would compute something else, are left as they are."""
    pytest.importorskip("diffusers")
    config = tiny_diffusers(family, name)
    networks, batch = build_networks(config, torch.float32), build_batch(config, 1, torch.float32)

    def count_kept_and_run() -> tuple[int, Gradients]:
        kept = set[tuple[int, int]]()

        def keep(value: torch.Tensor) -> torch.Tensor:
            kept.add((value.data_ptr(), value.numel()))
            return value

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
            gradients, _ = run_step(config, networks, batch)
        return sum(count for _, count in kept), gradients

    more, plain = count_kept_and_run()
    recompute_stages(networks["autoencoder"])
    less, recomputed = count_kept_and_run()
    assert less <= kept_part * more
    for part, gradients in plain.items():
        assert all(map(torch.equal, gradients, recomputed[part])), part


def test_the_discriminator_is_left_as_it_is(tmp_path: Path) -> None:
    config = tiny("vaegan3", "model.discriminator.network=conv", "train.checkpointing=true")
    state = build_state(config, build_step(config), make_accelerator(config.train))
    stages = [module for module in state.networks["discriminator"].modules() if isinstance(module, Stages)]
    assert stages and not any(module.recomputes for module in stages)
