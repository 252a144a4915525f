import torch

from vaegan.config.models import DiscriminatorConfig
from vaegan.networks.discriminator import Discriminator
from vaegan.networks.initialise import initialise


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
