import pytest
import torch

from vaegan.config.adversarial import DiscriminatorConfig
from vaegan.networks.discriminator import Discriminator
from vaegan.networks.initialise import initialise
from vaegan.randomness import draw_normal
from vaegan.trainers.steps import build_step

from ...tiny import tiny


def test_weights_are_a_function_of_seed_and_name() -> None:
    def draw_weights(seed: int, name: str) -> torch.Tensor:
        network = Discriminator(DiscriminatorConfig(width=8), (1, 8, 8), 3)
        initialise(network, seed, name)
        return torch.cat([each.detach().flatten() for each in network.parameters()])

    torch.manual_seed(0)
    first = draw_weights(0, "discriminator")
    torch.randn(5)
    assert torch.equal(draw_weights(0, "discriminator"), first)
    assert not torch.equal(draw_weights(1, "discriminator"), first)
    assert not torch.equal(draw_weights(0, "encoder"), first)


@pytest.mark.parametrize("family", ["vaegan3", "vqvae"])
def test_the_default_type_of_torch_changes_no_initial_weight(family: str) -> None:
    config = tiny(family)

    def build() -> list[torch.Tensor]:
        networks = build_step(config).build_networks().values()
        return [value.float() for network in networks for value in network.state_dict().values()]

    expected, noise = build(), draw_normal((5,), 0, "noise")
    torch.set_default_dtype(torch.float64)
    try:
        assert all(map(torch.equal, build(), expected))
        assert draw_normal((5,), 0, "noise").dtype == torch.float32 and torch.equal(
            draw_normal((5,), 0, "noise"), noise
        )
    finally:
        torch.set_default_dtype(torch.float32)
