"""What a dry run says of a run's size is what its training holds."""

import pytest
import torch

from vaegan.trainers.dry_run import estimate_size
from vaegan.trainers.loop import STEPS as FAMILY_OF

from ..tiny import FAMILIES, OPTIONS, tiny


@pytest.mark.parametrize("name", [*FAMILIES, "vqvae of a codebook with a gradient"])
def test_the_plan_counts_what_is_trained_and_what_is_averaged(name: str) -> None:
    family, *rest = name.split()
    config = tiny(family, *(["model.codebook=gradient"] if rest else OPTIONS.get(family, ())))
    networks = FAMILY_OF[config.model.family].build(config)
    model, *_ = networks.values()
    every = [each for network in networks.values() for each in network.parameters()]
    planned = estimate_size(config)
    assert sum(planned.parameters.values()) == sum(each.numel() for each in every)
    assert planned.weight_bytes == 4 * (sum(each.numel() for each in [*every, *model.parameters()]))
    state = torch.optim.Adam([each for each in every if each.requires_grad])
    sum(each.sum() for each in every if each.requires_grad).backward()
    state.step()
    kept = (each for held in state.state.values() for key, each in held.items() if key != "step")
    assert planned.optimizer_bytes == sum(each.nbytes for each in kept)


def test_a_codebook_that_the_optimizer_moves_is_named() -> None:
    config = tiny("vqvae", "model.codebook=gradient")
    assert estimate_size(config).parameters["codebook"] == config.model.codes * config.model.code_size
