"""The game of discriminator and autoencoder: every form of it and every option, step by step."""

import dataclasses
import math

import pytest
import torch
from torch import nn

from vaegan.data import open_data
from vaegan.errors import Mistake
from vaegan.perceptual import random_network
from vaegan.trainers import train
from vaegan.trainers.adversary import judged

from ..tiny import tiny
from .equations import batch_of, networks_of, norm, oracle, taken


def test_the_perceptual_term_is_what_the_package_gives() -> None:
    """LPIPS of the reconstruction, enlarged and in three channels, has the gradient of a call by hand."""
    words = ("model.perceptual=3", "model.perceptual_network=random")
    networks, batch = networks_of(tiny("vaegan3"), torch.float32), batch_of(tiny("vaegan3"), 1, torch.float32)
    without, _ = taken(tiny("vaegan3"), networks, batch)
    found, report = taken(tiny("vaegan3", *words), networks, batch)
    out = networks["autoencoder"](batch.images, batch.noise["posterior"], batch.noise["prior"])
    shown = [
        nn.functional.interpolate(each.repeat(1, 3, 1, 1), size=(64, 64), mode="bilinear")
        for each in (batch.images, out.reconstruction)
    ]
    term = random_network()(*shown).mean()
    assert report.scalars["loss/perceptual"].item() == pytest.approx(term.item(), rel=1e-5)
    assert torch.equal(torch.stack([each.sum() for each in found["discriminator"]]),
                       torch.stack([each.sum() for each in without["discriminator"]]))  # fmt: skip
    for part in ("encoder", "decoder"):
        own = torch.autograd.grad(3 * term, getattr(networks["autoencoder"], part).parameters(), retain_graph=True)
        added = [a - b for a, b in zip(found[part], without[part], strict=True)]
        assert norm([a - b for a, b in zip(added, own, strict=True)]) < 1e-3 * norm(list(own))


def test_a_missing_network_is_named_before_the_first_step(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "none"))
    config = tiny("vaegan3", "model.perceptual=1")
    data = open_data(config.data)
    with pytest.raises(Mistake, match=r"^model\.perceptual_network: .*vgg16.*: there is no such file; .*random$"):
        train(config, tmp_path / "run", data)
    assert not (tmp_path / "run").exists()


GAMES = [
    (name, f"model.adversarial.loss={loss}")
    for name in ("vaegan2", "vaegan3", "ganvae")
    for loss in ("cross_entropy", "hinge", "relativistic")
]
SWITCHES = [
    "model.adversarial.r2=0.8", "model.adversarial.lecam=0.6", "model.adversarial.augment=0.7",
    "model.adversarial.augment_target=0.6", "model.adversarial.warmup_steps=1", "model.adversarial.ramp_steps=5",
    "model.adversarial.adaptive=[0.1,10]", "model.discriminator.layer=1", "model.cycle=0.3",
]  # fmt: skip


@pytest.mark.parametrize(("name", "game"), GAMES)
@pytest.mark.parametrize("option", ["", *SWITCHES])
@pytest.mark.parametrize("step", [0, 1])
def test_every_game_with_every_option_has_the_gradient_of_its_equation(
    name: str, game: str, option: str, step: int
) -> None:
    if name == "ganvae" and option.startswith(("model.adversarial.adaptive", "model.discriminator.layer")):
        return  # it has nothing to reconstruct
    config = tiny(name, game, "model.adversarial.penalty_every=2", *filter(None, [option]))
    networks, batch = networks_of(config), batch_of(config, step)
    found, _ = taken(config, networks, batch)
    for part, terms in oracle(config, networks, batch).items():
        whole = [torch.stack(each).sum(0) for each in zip(*terms.values(), strict=True)]
        assert norm([a - b for a, b in zip(found[part], whole, strict=True)]) < 1e-10 * norm(whole), part


@pytest.mark.parametrize("name", ["vaegan2", "vaegan3"])
def test_steps_between_two_penalties_have_none(name: str) -> None:
    config = tiny(name)
    networks = networks_of(config)
    for step, penalised in ((1, False), (2, True), (3, False)):
        batch = batch_of(config, step)
        found, report = taken(config, networks, batch)
        assert ("loss/r1" in report.scalars) == penalised
        terms = oracle(config, networks, batch)["discriminator"]
        assert ("r1" in terms) == penalised
        whole = [torch.stack(each).sum(0) for each in zip(*terms.values(), strict=True)]
        assert norm([a - b for a, b in zip(found["discriminator"], whole, strict=True)]) < 1e-10 * norm(whole)


def test_the_two_fakes_of_the_two_way_game_share_one_weight_and_the_three_classes_are_balanced() -> None:
    for name, expected in (("vaegan2", 2 * math.log(2)), ("vaegan3", math.log(3))):
        config = tiny(name)
        networks = networks_of(config)
        nn.init.zeros_(networks["discriminator"].head.weight)
        nn.init.zeros_(networks["discriminator"].head.bias)  # knows nothing
        _, report = taken(config, networks, batch_of(config))
        assert report.scalars["loss/discriminator"].item() == pytest.approx(expected, abs=1e-12)
        confusion = report.counts["discriminator/confusion"]
        assert confusion.sum(1).tolist() == [6, 6, 6]


def test_the_penalty_is_float32_under_bfloat16() -> None:
    config = tiny("vaegan3")
    networks = networks_of(config, torch.float32)
    for step in (0, 1):
        fine = batch_of(config, step, torch.float32)
        coarse = dataclasses.replace(fine, arithmetic=torch.bfloat16)
        fakes = fine.images.flip(0), fine.images.flip(1)
        losses = [
            judged(config.model.adversarial, networks["discriminator"], batch, fakes)[0] for batch in (fine, coarse)
        ]
        gradients = [torch.autograd.grad(loss, list(networks["discriminator"].parameters())) for loss in losses]
        same = all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))
        assert same == (step == 0)  # penalised at step 0 only
        assert all(loss.dtype == torch.float32 for loss in losses)
