"""Discriminators that score pairs of images."""

import pytest
import torch

from vaegan.errors import UserError
from vaegan.networks.build import build_discriminator

from ...tiny import tiny

PATCHES = ("model.discriminator.network=patch", "model.discriminator.scales=[1,2]")


@pytest.mark.parametrize("words", [(), PATCHES], ids=["whole", "patches"])
def test_both_images_of_a_pair_have_its_score_and_no_other_image_has_a_part_in_it(words: tuple[str, ...]) -> None:
    config = tiny("vaegan3", "model.discriminator.packing=2", *words).model
    discriminator = build_discriminator(config, (3, 8, 8), 0).double()
    images = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    scores, features, *_ = discriminator(images)
    for first in (0, 2, 4):
        alone = discriminator.member(torch.cat([images[first], images[first + 1]])[None])
        for row in (first, first + 1):
            torch.testing.assert_close(scores[row], alone.scores[0], rtol=1e-12, atol=1e-12)
            torch.testing.assert_close(features[row], alone.features[0], rtol=1e-12, atol=1e-12)
    swapped = discriminator(images[[1, 0, 2, 3, 4, 5]]).scores
    assert not torch.equal(swapped[:2], scores[:2])
    torch.testing.assert_close(swapped[2:], scores[2:], rtol=1e-12, atol=1e-12)


def test_single_images_are_scored_as_before() -> None:
    configs = tiny("vaegan3").model, tiny("vaegan3", "model.discriminator.packing=1").model
    one, other = (build_discriminator(config, (1, 8, 8), 3).state_dict() for config in configs)
    assert one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("model.labels=10",), "two images have no class in common; give condition=none, or packing=1"),
        (
            ("model.adversarial.instance=1", "model.discriminator.instance_layers=[1]"),
            "the features of a pair do not tell its images apart; leave instance_layers out, or give packing=1",
        ),
    ],
)
def test_what_pairs_do_not_have_is_refused(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError, match=rf"model\.discriminator\.packing: {message}"):
        tiny("vaegan3", "model.discriminator.packing=2", *words)
    tiny("vaegan3", "model.discriminator.packing=2", "model.labels=10", "model.discriminator.condition=none")
