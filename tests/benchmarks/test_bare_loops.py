"""The loops that the training loop is timed beside take the steps of each family."""

from pathlib import Path

import pytest
import torch

from vaegan.data import open_data
from vaegan.trainers.steps import build_step

from ..tiny import tiny

NAMES = {
    "vae": ("vae", ()),
    "vaegan2": ("vaegan2", ()),
    "vaegan3": ("vaegan3", ()),
    "relativistic": ("vaegan3", ("model.adversarial.loss=relativistic", "model.adversarial.r2=0.5")),
    "vqvae": ("vqvae", ()),
}


@pytest.mark.parametrize("family", NAMES)
def test_two_steps_move_every_network(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    from bare_loops import TAKE_STEP, Bare

    assert TAKE_STEP.keys() == NAMES.keys()
    name, overrides = NAMES[family]
    config = tiny(name, *overrides)
    networks = build_step(config).build_networks()
    autoencoder, discriminator = networks["autoencoder"], networks.get("discriminator")
    bare = Bare(autoencoder, discriminator, discriminator, config.model, None)
    pixels = open_data(config.data).train[torch.arange(8)]
    for step in range(2):  # the first one has a penalty
        TAKE_STEP[family](bare, pixels.float() / 127.5 - 1, step)
        for network in networks.values():
            gradients = [parameter.grad for parameter in network.parameters() if parameter.requires_grad]
            assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
            assert any(gradient.any() for gradient in gradients)
            network.zero_grad()
