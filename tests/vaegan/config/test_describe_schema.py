"""The schema as text."""

import re

from vaegan.config import Config, StudyConfig
from vaegan.config.describe_schema import format_schema, get_schema_node, iterate_keys


def test_the_printed_schema_has_every_setting_and_fits_a_terminal():
    text = format_schema()
    assert max(map(len, text.splitlines())) <= 80
    settings = [*iterate_keys(get_schema_node(Config)), *iterate_keys(get_schema_node(StudyConfig))]
    assert len(settings) > 60
    for key, node in settings:
        assert re.search(rf"^ *{re.escape(key)}[:,]", text, re.MULTILINE), key
        assert node.get("description") or "families" in node, f"{key} has no docstring"
    assert "model.discriminator_learning_rate" not in text
    assert re.search(
        r"train\.discriminator_learning_rate: number > 0 \| schedule \{start, end\} \| null\n? *= ?\n? *null\n", text
    )


def test_as_above_is_said_of_the_same_default_alone() -> None:
    """The widths of a VQ-VAE and of a PixelCNN, and the network of a grid, are others than those before them."""
    parts = {part.partition(".")[0]: " ".join(part.split()) for part in format_schema().split("\nmodel, family: ")[1:]}
    assert "model.width: integer >= 8, <= 4,096, multiple of 8 = 128" in parts["vqvae"]
    assert "model.width: integer >= 8, <= 4,096, multiple of 8 = 64" in parts["pixelcnn"]
    assert 'model.network: conv | antialiased | resnet | inverted_residual = "resnet"' in parts["vae, code: grid"]
    assert "model.network: diffusers (required)" in parts["vae, network: diffusers"]
    assert "model.cycle: number >= 0 = 1.0" in parts["ganvae"]
