"""Building a model from keyword arguments, and what its repr says."""

import pytest
import torch
from torch import nn

from vaegan.config.models import AEConfig, VAEConfig, VAEGANConfig
from vaegan.errors import UserError
from vaegan.models import AE, GANVAE, VAE, VAEGAN, VQVAE, Classifier, Flow, Larsen, Model, PixelCNN, build_model
from vaegan.models.model import count_parameters

from ...tiny import FAMILIES, are_bit_identical, tiny

SHAPE = (1, 8, 8)
CLASSES = {cls.config_class.model_fields["family"].default: cls for cls in (
    AE, VAE, VAEGAN, Larsen, GANVAE, VQVAE, PixelCNN, Flow, Classifier,
)}  # fmt: skip


@pytest.mark.parametrize("name", FAMILIES)
def test_keyword_arguments_build_what_a_config_builds(name: str) -> None:
    config = tiny(name).model
    built = build_model(config, SHAPE, 3)
    settings = config.model_dump(exclude_defaults=True)
    model = CLASSES[config.family](image_shape=list(SHAPE), seed=3, **settings)
    assert type(model) is type(built) and model.config == config and model.image_shape == SHAPE
    assert are_bit_identical(model.state_dict(), built.state_dict())
    assert eval(f"dict({model.extra_repr()})") == {"image_shape": SHAPE, **settings}
    assert repr(model).startswith(f"{type(model).__name__}(\n  image_shape=(1, 8, 8), ")


def test_settings_replace_those_of_the_config() -> None:
    config = VAEGANConfig(width=8, latent_size=6, discriminator={"width": 8, "classes": "two"})
    shape = torch.zeros(5, 3, 12, 12).shape[1:]
    model = VAEGAN(config, shape, latent_size=4, discriminator={"depth": 2}, adversarial={"adaptive": (0.5, 2)})
    assert (model.config.latent_size, model.config.width, model.image_shape) == (4, 8, (3, 12, 12))
    assert (model.config.discriminator.classes, model.config.discriminator.depth) == ("two", 2)
    assert model.config.adversarial.adaptive == (0.5, 2)
    assert VAEGAN(config, shape).config is config
    assert VAEGAN(image_shape=shape, width=8, discriminator=config.discriminator).config.discriminator.classes == "two"


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: VAE(), "image_shape: missing; give (C, S, S)"),
        (lambda: VAE(image_shape=8), "image_shape: got 8; allowed: (C, S, S), S a multiple of 4"),
        (lambda: VAE(image_shape=(8, 8)), "image_shape: got [8, 8]; allowed"),
        (lambda: VAE(image_shape=(1, 8, 12)), "image_shape: got [1, 8, 12]; allowed"),
        (lambda: VAE(image_shape=(1, 30, 30)), "image_shape: got [1, 30, 30]; allowed"),
        (lambda: VAE(image_shape=(0, 8, 8)), "image_shape: got [0, 8, 8]; allowed"),
        (lambda: VAE(image_shape=(1, 8.0, 8.0)), "image_shape: got [1, 8.0, 8.0]; allowed"),
        (lambda: VAE(SHAPE), "config: tuple; give a VAEConfig, or settings by name"),
        (lambda: VAE(AEConfig(), SHAPE), "config: AEConfig; give a VAEConfig, or settings by name"),
        (lambda: VAE(image_shape=SHAPE, latnt_size=4), "VAE: latnt_size: unknown key (given 4); did you mean latent_s"),
        (lambda: VAE(VAEConfig(), SHAPE, latent_size="4"), 'VAE: latent_size: got "4"; allowed: integer >= 1'),
        (lambda: VAE(image_shape=SHAPE, family="ae"), 'VAE: family: got "ae"; allowed: vae'),
        (lambda: VAE(image_shape=SHAPE, decoder=nn.ReLU()), "decoder: a module; give it as networks={'decoder': ...}"),
        (
            lambda: VAEGAN(image_shape=SHAPE, discriminator={"clases": "two"}),
            'VAEGAN: discriminator.clases: unknown key (given "two"); did you mean discriminator.classes?',
        ),
        (lambda: PixelCNN(image_shape=SHAPE), "PixelCNN: autoencoder: missing"),
        (lambda: Flow(image_shape=SHAPE), "Flow: autoencoder: missing"),
        (
            lambda: Flow(image_shape=SHAPE, autoencoder=VAEConfig(labels=3)),
            "Flow: model.labels: the autoencoder encodes and decodes images by 3 classes; give 3",
        ),
        (
            lambda: Flow(image_shape=SHAPE, autoencoder={"family": "vqvae"}),
            'Flow: autoencoder.family: got "vqvae"; did you mean vae?; allowed: ae | vae | vaegan | larsen | ganvae',
        ),
        (
            lambda: Flow(image_shape=SHAPE, autoencoder={"family": "vae", "latnt_size": 4}),
            "Flow: autoencoder.latnt_size: unknown key of family vae (given 4); did you mean autoencoder.latent_size",
        ),
        (lambda: Classifier(image_shape=SHAPE), "Classifier: classes: missing; allowed: integer >= 2"),
    ],
)  # fmt: skip
def test_a_wrong_argument_is_one_line(build, message: str) -> None:
    with pytest.raises(UserError) as caught:
        build()
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


def test_parameters_are_counted_by_part() -> None:
    model: Model = VAE(image_shape=SHAPE, width=8, learned_scale=True)
    counts = count_parameters(model)
    assert counts.keys() == {"encoder", "decoder", "scale"} and counts["scale"] == 1
    assert sum(counts.values()) == sum(parameter.numel() for parameter in model.parameters())
