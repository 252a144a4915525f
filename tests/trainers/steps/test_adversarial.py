"""The adversarial training of discriminator and autoencoder: every form of the loss and every option."""

import dataclasses
import math

import pytest
import torch
from torch import nn

from vaegan.data import open_data
from vaegan.errors import UserError
from vaegan.losses.perceptual import build_random_lpips_network
from vaegan.trainers import train
from vaegan.trainers.steps import build_step

from ...tiny import PATCHES, tiny
from .equations import build_batch, build_networks, compute_oracle, norm, run_step


@pytest.mark.parametrize("name", ["vae", "vaegan3"])
def test_the_perceptual_term_is_what_the_package_gives(name: str) -> None:
    """LPIPS of the reconstruction, enlarged and in three channels, has the gradient of a call by hand."""
    words = ("model.perceptual=3", "model.perceptual_network=random")
    networks, batch = build_networks(tiny(name), torch.float32), build_batch(tiny(name), 1, torch.float32)
    without, _ = run_step(tiny(name), networks, batch)
    actual, output = run_step(tiny(name, *words), networks, batch)
    out = networks["autoencoder"](batch.images, *batch.noise.values())
    shown = [
        nn.functional.interpolate(each.repeat(1, 3, 1, 1), size=(64, 64), mode="bilinear")
        for each in (batch.images, out.reconstruction)
    ]
    term = build_random_lpips_network("training")(*shown).mean()
    assert output.scalars["loss/perceptual"].item() == pytest.approx(term.item(), rel=1e-5)
    for one, other in zip(actual.get("discriminator", ()), without.get("discriminator", ()), strict=True):
        assert torch.equal(one, other)
    for part in ("encoder", "decoder"):
        expected = torch.autograd.grad(3 * term, getattr(networks["autoencoder"], part).parameters(), retain_graph=True)
        added = [a - b for a, b in zip(actual[part], without[part], strict=True)]
        assert norm([a - b for a, b in zip(added, expected, strict=True)]) < 1e-3 * norm(list(expected))


def test_a_missing_network_is_named_before_the_first_step(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "none"))
    config = tiny("vaegan3", "model.perceptual=1")
    data = open_data(config.data)
    with pytest.raises(UserError, match=r"^model\.perceptual_network: .*vgg16.*: there is no such file; .*random$"):
        train(config, tmp_path / "run", data)
    assert not (tmp_path / "run").exists()


LOSSES = ("cross_entropy", "hinge", "relativistic")
SWITCHES = (
    "model.adversarial.r2=0.8", "model.adversarial.lecam=0.6", "model.adversarial.augment=0.7",
    "model.adversarial.augment_target=0.6", "model.adversarial.warmup_steps=1", "model.adversarial.ramp_steps=5",
    "model.adversarial.adaptive=[0.1,10]", "model.discriminator.layer=1", "model.cycle=0.3",
    "model.adversarial.instance=0.4 model.discriminator.instance_layers=[1,2] model.adversarial.instance_queue=5",
    "model.discriminator.projected_layers=[1,2] model.adversarial.r2=0.8 model.adversarial.lecam=0.6",
    "model.discriminator.packing=2",
    "model.discriminator.packing=2 model.adversarial.r2=0.8 model.adversarial.lecam=0.6",
)  # fmt: skip
NOT_OF = {
    # It has nothing to reconstruct.
    "ganvae": ("model.adversarial.adaptive", "model.discriminator.layer", "model.adversarial.instance="),
    "vaegan1-grid": ("model.cycle", "model.discriminator.projected"),  # it generates nothing, and has patches
    "vaegan3-grid": ("model.discriminator.projected",),
}
"""Options that a family does not take."""
CASES = [
    *(
        (name, loss, option)
        for name in ("vaegan2", "vaegan3", "ganvae")
        for loss in LOSSES
        for option in ("", *SWITCHES)
    ),
    *(
        (name, loss, option)
        for name in PATCHES
        for loss in LOSSES
        for option in ("", "model.discriminator.scales=[1,2]")
    ),
    *((name, "cross_entropy", option) for name in PATCHES for option in SWITCHES),
    *(("vaegan1-diffusers", loss, "model.likelihood=laplace") for loss in LOSSES),
]


@pytest.mark.parametrize(
    ("name", "loss", "option"), [case for case in CASES if not case[2].startswith(NOT_OF.get(case[0], ("-",)))]
)
@pytest.mark.parametrize("step", [0, 1])
def test_every_adversarial_loss_with_every_option_has_the_gradient_of_its_equation(
    name: str, loss: str, option: str, step: int
) -> None:
    config = tiny(name, f"model.adversarial.loss={loss}", "model.adversarial.penalty_every=2", *option.split())
    networks, batch = build_networks(config), build_batch(config, step)
    actual, _ = run_step(config, networks, batch)
    for part, terms in compute_oracle(config, networks, batch).items():
        whole = [torch.stack(each).sum(0) for each in zip(*terms.values(), strict=True)]
        assert norm([a - b for a, b in zip(actual[part], whole, strict=True)]) < 1e-10 * norm(whole), part


@pytest.mark.parametrize("name", ["vaegan2", "vaegan3"])
def test_steps_between_two_penalties_have_none(name: str) -> None:
    config = tiny(name)
    networks = build_networks(config)
    for step, penalised in ((1, False), (2, True), (3, False)):
        batch = build_batch(config, step)
        actual, output = run_step(config, networks, batch)
        assert ("loss/r1" in output.scalars) == penalised
        terms = compute_oracle(config, networks, batch)["discriminator"]
        assert ("r1" in terms) == penalised
        whole = [torch.stack(each).sum(0) for each in zip(*terms.values(), strict=True)]
        assert norm([a - b for a, b in zip(actual["discriminator"], whole, strict=True)]) < 1e-10 * norm(whole)


def test_the_two_fakes_of_the_two_way_loss_share_one_weight_and_the_three_classes_are_balanced() -> None:
    for name, expected in (("vaegan2", 2 * math.log(2)), ("vaegan3", math.log(3))):
        config = tiny(name)
        networks = build_networks(config)
        nn.init.zeros_(networks["discriminator"].head.weight)
        nn.init.zeros_(networks["discriminator"].head.bias)  # knows nothing
        _, output = run_step(config, networks, build_batch(config))
        assert output.scalars["loss/discriminator"].item() == pytest.approx(expected, abs=1e-12)
        confusion = output.counts["discriminator/confusion"]
        assert confusion.sum(1).tolist() == [6, 6, 6]


@pytest.mark.parametrize(("words", "origins"), [((), 1), (("model.adversarial.r2=0.5",), 3)])
def test_a_penalty_takes_its_own_images_out_of_bfloat16_and_no_others(words: tuple[str, ...], origins: int) -> None:
    config = tiny("vaegan3", *words)
    networks, training_step = build_networks(config, torch.float32), build_step(config)
    discriminator, seen = networks["discriminator"], []
    discriminator.trunk.stages[0].register_forward_hook(
        lambda _, inputs, output: seen.append((len(output), output.dtype))
    )
    for step in (0, 1):
        fine = build_batch(config, step, torch.float32)
        coarse = dataclasses.replace(fine, autocast_dtype=torch.bfloat16)
        fakes = fine.images.flip(0), fine.images.flip(1)
        results = []
        for batch in (fine, coarse):
            seen.clear()
            results.append(training_step.compute_discriminator_loss(discriminator, batch, fakes))
        count = len(fine.images)
        assert all(result.loss.dtype == torch.float32 for result in results)
        if step == 1:
            assert seen == [(3 * count, torch.bfloat16)]
            continue
        others = [((3 - origins) * count, torch.bfloat16)] if origins < 3 else []
        assert seen == [(origins * count, torch.float32), *others]
        assert torch.equal(results[0].real.scores, results[1].real.scores)
        for name in ("loss/r1", "loss/r2"):
            if name in results[0].output.scalars:
                assert torch.equal(results[0].output.scalars[name], results[1].output.scalars[name])
        assert torch.equal(results[0].loss, results[1].loss) == (not others)


def test_the_adaptive_state_moves_the_right_way() -> None:
    """ADA's strength rises where real images are known too surely; averages and the factor follow their sums."""
    words = ("augment_target=0.6", "augment=0.5", "augment_images=100", "lecam=1", "adaptive=[0.2,5]")
    config = tiny("vaegan3", *(f"model.adversarial.{word}" for word in words))  # 8 images a step
    step = build_step(config)
    gradients = {"gradient/reconstruction": torch.tensor([3.0, 4.0]), "gradient/adversarial": torch.tensor([0.0, 2.0])}

    def update_state(**sums: float) -> dict[str, float]:
        state = step.init_adaptive_state()
        totals = {"ada_heuristic": 0.0, "lecam_real": 0.0, "lecam_fake": 0.0} | sums
        step.after_update({}, state, gradients | {key: torch.tensor(value).double() for key, value in totals.items()})
        return {key: value.item() for key, value in state.items()}

    assert {key: value.item() for key, value in step.init_adaptive_state().items()} == {
        "augment": 0.5, "real": 0, "fake": 0, "adaptive": 1
    }  # fmt: skip
    assert update_state(ada_heuristic=8.0)["augment"] == pytest.approx(0.58)
    assert update_state(ada_heuristic=4.0)["augment"] == pytest.approx(0.42)
    assert update_state(lecam_real=16.0)["real"] == pytest.approx(0.02) and update_state(lecam_fake=-80.0)[
        "fake"
    ] == pytest.approx(-0.1)
    assert update_state()["adaptive"] == pytest.approx(2.5, rel=1e-4)
    gradients["gradient/adversarial"] = torch.tensor([0.0, 1e-9])
    assert update_state()["adaptive"] == 5
    gradients["gradient/adversarial"] = torch.tensor([0.0, 1e9])
    assert update_state()["adaptive"] == pytest.approx(0.2)


def test_the_adaptive_factor_weighs_the_two_gradients_at_the_last_layer() -> None:
    config = tiny("vaegan3", "model.adversarial.adaptive=[0.001,1000]")
    networks, batch = build_networks(config), build_batch(config, 1)
    _, output = run_step(config, networks, batch)
    terms = compute_oracle(config, networks, batch)["decoder"]
    *_, last = (index for index, (name, _) in enumerate(networks["autoencoder"].decoder.named_parameters())
                if name == "trunk.out.weight")  # fmt: skip
    weight = 0.7 * 0.4  # as `build_batch` sets it
    for name, parts, share in (
        ("reconstruction", ("reconstruction", "similarity"), 1),
        ("adversarial", ("fooling with reconstructions", "fooling with generated"), weight),
    ):
        expected = sum(terms[part][last] for part in parts) / share
        torch.testing.assert_close(output.sums[f"gradient/{name}"] / len(batch.images), expected, rtol=1e-9, atol=1e-12)
    assert output.scalars["weight/adversarial"].item() == pytest.approx(weight)
