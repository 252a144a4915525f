"""Conditional families: the gradient of each equation with the class in it, and what the class changes."""

import dataclasses

import pytest
import torch

from vaegan.data import open_data
from vaegan.errors import UserError
from vaegan.trainers import train
from vaegan.trainers.steps import build_step

from ...tiny import ADVERSARIES, CONDITIONAL_OPTIONS, NETWORKS, PATCHES, get_network_overrides, tiny
from .equations import EXPECTED_TERMS, build_batch, build_networks, compute_oracle, norm, run_step

KINDS = ("projection", "auxiliary", "none")
LOSSES = ("cross_entropy", "hinge", "relativistic")
CASES = [
    *((name, network, "model.labels=10") for name in ("vae", "ganvae") for network in NETWORKS),
    *(
        (name, "conv", f"model.labels=10 model.discriminator.condition={kind}")
        for name in ADVERSARIES
        for kind in KINDS
        if name not in PATCHES or kind != "auxiliary"  # which tells the class of an image
    ),
    *(
        (name, "mlp", f"model.labels=10 model.discriminator.condition={kind} model.adversarial.loss={loss}")
        for name in ("vaegan2", "vaegan3", "ganvae")
        for kind in KINDS[:2]
        for loss in LOSSES[1:]
    ),
    ("vaegan3", "conv", "model.labels=10 model.cycle=0.3 model.adversarial.r2=0.4 model.adversarial.lecam=0.2"),
    ("vaegan3", "conv", "model.labels=10 model.discriminator.condition=auxiliary model.adversarial.augment=0.7"),
]


@pytest.mark.parametrize(("name", "network", "words"), CASES)
@pytest.mark.parametrize("step", [0, 1])
def test_each_network_gets_the_gradient_of_its_conditional_equation(
    name: str, network: str, words: str, step: int
) -> None:
    config = tiny(name, *get_network_overrides(name, network), *words.split())
    networks, batch = build_networks(config), build_batch(config, step)
    actual, _ = run_step(config, networks, batch)
    expected = compute_oracle(config, networks, batch)
    assert actual.keys() == expected.keys()
    for part, terms in expected.items():
        whole = [torch.stack(each).sum(0) for each in zip(*terms.values(), strict=True)]
        assert norm([a - b for a, b in zip(actual[part], whole, strict=True)]) < 1e-10 * norm(whole), part
        reached = {key for key, gradients in terms.items() if norm(gradients) > 1e-7 * norm(whole)}
        classes = {key for key in reached if key.startswith("class of")}
        predicts_class = "condition=auxiliary" in words
        shielded = part == "encoder" and not name.startswith("vaegan3")
        assert bool(classes) == (predicts_class and not shielded), part  # of two classes none reaches the encoder
        if "loss" not in words and step == 0 and len(words.split()) < 3:
            assert reached - classes == EXPECTED_TERMS[name][part]


@pytest.mark.parametrize("name", CONDITIONAL_OPTIONS)
def test_what_a_step_makes_of_the_labels(name: str) -> None:
    """Other labels, other gradients, in all networks; of an unconditional model the same bits."""
    for words, matters in (((), False), (CONDITIONAL_OPTIONS[name], True)):
        config = tiny(name, *words)
        networks, batch = build_networks(config), build_batch(config)
        assert batch.labels is not None
        other = dataclasses.replace(batch, labels=(batch.labels + 1) % 10)
        one, two = run_step(config, networks, batch)[0], run_step(config, networks, other)[0]
        for part in one:
            same = all(torch.equal(a, b) for a, b in zip(one[part], two[part], strict=True))
            assert same == (not matters), part


@pytest.mark.parametrize("name", CONDITIONAL_OPTIONS)
def test_a_conditional_run_wants_a_set_of_as_many_classes(name: str, tmp_path) -> None:
    config = tiny(name, *CONDITIONAL_OPTIONS[name], "model.labels=9")
    with pytest.raises(UserError, match=r"^model\.labels: 9, but .* 10 classes; give model\.labels=10$"):
        train(config, tmp_path / "run", open_data(config.data))
    data = open_data(config.data)
    without = dataclasses.replace(data, train=dataclasses.replace(data.train, labels=None, classes=()))
    with pytest.raises(UserError, match="have no labels"):
        train(config, tmp_path / "run", without)
    assert not (tmp_path / "run").exists()


def test_an_auxiliary_head_needs_classes() -> None:
    with pytest.raises(
        UserError, match=r"model\.discriminator\.condition: auxiliary tells the classes of model\.labels"
    ):
        tiny("vaegan3", "model.discriminator.condition=auxiliary")


@pytest.mark.parametrize("name", ADVERSARIES)
def test_without_a_condition_the_discriminator_is_that_of_an_unconditional_model(name: str) -> None:
    plain, conditional = (
        build_step(tiny(name, *words)).build_networks()["discriminator"].state_dict()
        for words in ((), ("model.labels=10", "model.discriminator.condition=none"))
    )
    assert plain.keys() == conditional.keys()
    assert all(torch.equal(plain[key], conditional[key]) for key in plain)
