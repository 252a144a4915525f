"""The size that a dry run prints is the size of what training holds."""

import pytest
import torch

from vaegan.trainers.dry_run import estimate_size
from vaegan.trainers.steps import build_step

from ..tiny import FAMILIES, FAMILY_OPTIONS, tiny


@pytest.mark.parametrize("name", [*FAMILIES, "vqvae of a codebook with a gradient"])
def test_the_size_counts_what_is_trained_and_what_is_averaged(name: str) -> None:
    family, *rest = name.split()
    config = tiny(family, *(["model.codebook=gradient"] if rest else FAMILY_OPTIONS.get(family, ())))
    networks = build_step(config).build_networks()
    model, *_ = networks.values()
    parameters = [parameter for network in networks.values() for parameter in network.parameters()]
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    size = estimate_size(config)
    assert sum(size.parameters.values()) == sum(parameter.numel() for parameter in parameters)
    averages = [*model.parameters()] * (1 if config.train.second_ema_half_life is None else 2)
    assert size.weight_bytes == 4 * sum(parameter.numel() for parameter in [*parameters, *averages])
    optimizer = torch.optim.Adam(trained)
    sum(parameter.sum() for parameter in trained).backward()
    optimizer.step()
    moments = (value for state in optimizer.state.values() for key, value in state.items() if key != "step")
    assert size.optimizer_bytes == sum(moment.nbytes for moment in moments)


def test_a_codebook_that_the_optimizer_trains_is_named() -> None:
    config = tiny("vqvae", "model.codebook=gradient")
    assert estimate_size(config).parameters["codebook"] == config.model.codes * config.model.code_size
