"""Autoencoders of diffusers: equal to diffusers' own, built by seed and part, and refused in one line."""

from typing import Any

import pytest
import torch
from torch import nn

from tests.tensors import draw_pixels
from vaegan.config.architectures import DIFFUSERS_CLASSES
from vaegan.config.load import validate_config
from vaegan.config.schema import Config
from vaegan.errors import UserError
from vaegan.models import build_model
from vaegan.models.continuous import ContinuousAutoencoder

from ...tiny import tiny

KL = {
    "_class_name": "AutoencoderKL", "_diffusers_version": "0.30.0", "block_out_channels": [8, 8],
    "down_block_types": ["DownEncoderBlock2D"] * 2, "up_block_types": ["UpDecoderBlock2D"] * 2, "norm_num_groups": 4,
    "latent_channels": 2, "scaling_factor": 0.5,
}  # fmt: skip
ASYMMETRIC = {
    "_class_name": "AsymmetricAutoencoderKL", "down_block_out_channels": [8, 8], "up_block_out_channels": [8, 16],
    "down_block_types": ["DownEncoderBlock2D"] * 2, "up_block_types": ["UpDecoderBlock2D"] * 2, "norm_num_groups": 4,
    "latent_channels": 2,
}  # fmt: skip
TINY = {
    "_class_name": "AutoencoderTiny", "encoder_block_out_channels": [8, 8], "decoder_block_out_channels": [8, 8],
    "num_encoder_blocks": [1, 1], "num_decoder_blocks": [1, 1], "latent_channels": 2,
}  # fmt: skip
DC = {
    "_class_name": "AutoencoderDC", "latent_channels": 2, "attention_head_dim": 4, "encoder_block_out_channels": [8, 8],
    "decoder_block_out_channels": [8, 8], "encoder_layers_per_block": [1, 1], "decoder_layers_per_block": [1, 1],
    "encoder_block_types": ["ResBlock", "EfficientViTBlock"], "encoder_qkv_multiscales": [[], []],
    "decoder_block_types": ["ResBlock", "EfficientViTBlock"], "decoder_qkv_multiscales": [[], []],
    "decoder_norm_types": "rms_norm", "decoder_act_fns": "silu",
}  # fmt: skip
CONFIGS = {config["_class_name"]: config for config in (KL, ASYMMETRIC, TINY, DC)}


def make_config(settings: dict[str, Any], family: str | None = None, **model: Any) -> Config:
    kind = DIFFUSERS_CLASSES.get(str(settings.get("_class_name")))
    family = family or ("ae" if kind is not None and not kind.gaussian else "vae")
    tree = tiny("vae-grid").model_dump(mode="json")
    tree["model"] = {"family": family, "network": "diffusers", "diffusers": settings, **model}
    return validate_config(Config, tree, "config")


def build(settings: dict[str, Any], seed: int = 5, image_shape: tuple[int, int, int] = (1, 8, 8)) -> Any:
    model = build_model(make_config(settings).model, image_shape, seed)
    assert isinstance(model, ContinuousAutoencoder)
    return model.eval()


def are_equal(one: nn.Module, two: nn.Module) -> bool:
    a, b = one.state_dict(), two.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_every_class_is_proved() -> None:
    assert CONFIGS.keys() == DIFFUSERS_CLASSES.keys()


@pytest.mark.parametrize("name", CONFIGS)
@torch.no_grad()
def test_codes_and_images_are_those_of_diffusers(name: str) -> None:
    import diffusers

    ours = build(CONFIGS[name]).double()
    settings = {key: value for key, value in CONFIGS[name].items() if not key.startswith("_")}
    channels = {"in_channels": 1} if name == "AutoencoderDC" else {"in_channels": 1, "out_channels": 1}
    theirs = getattr(diffusers, name)(**settings, **channels).double().eval()
    theirs.load_state_dict({**ours.encoder.state_dict(), **ours.decoder.state_dict()})  # strict
    for height, width in ((8, 8), (16, 12)):
        images = draw_pixels(3, 1, height, width)
        encoded, posterior = theirs.encode(images), ours.encode(images)
        if name.endswith("KL"):
            expected = encoded.latent_dist.mean
            torch.testing.assert_close(posterior.variance, encoded.latent_dist.var.flatten(1), rtol=0, atol=1e-12)
            torch.testing.assert_close(posterior.kl(), encoded.latent_dist.kl(), rtol=1e-12, atol=0)
        else:
            expected = encoded.latents if name == "AutoencoderTiny" else encoded.latent
            assert (posterior.variance == 0).all()
        mean = posterior.mean.view(expected.shape)
        if (height, width) == (8, 8):
            assert torch.equal(mean, posterior.mean.view(-1, *ours.code_shape))
            assert torch.equal(ours.decode(posterior.mean), ours.decode(mean))
        torch.testing.assert_close(mean, expected, rtol=0, atol=1e-12)
        torch.testing.assert_close(ours.decode(mean), theirs.decode(expected).sample, rtol=0, atol=1e-6)
        assert torch.equal(ours.reconstruct(images), ours.decode(mean)) and expected.std() > 1e-3


@pytest.mark.parametrize("name", CONFIGS)
def test_weights_are_a_function_of_seed_and_part(name: str) -> None:
    torch.manual_seed(0)
    model = build(CONFIGS[name])
    torch.manual_seed(1)
    before = torch.get_rng_state()
    again = build(CONFIGS[name])
    assert torch.equal(torch.get_rng_state(), before)
    assert are_equal(model.encoder, again.encoder) and are_equal(model.decoder, again.decoder)
    other = build(CONFIGS[name], seed=6)
    assert not are_equal(model.encoder, other.encoder) and not are_equal(model.decoder, other.decoder)
    firsts = [weight.detach().flatten()[0].item() for weight in model.parameters() if weight.ndim > 1]
    assert len(set(firsts)) == len(firsts)  # each is drawn


@pytest.mark.parametrize(
    ("settings", "changes"),
    [
        (ASYMMETRIC, {"down_block_out_channels": [4, 8], "layers_per_down_block": 2}),
        (TINY, {"encoder_block_out_channels": [16, 16], "num_encoder_blocks": [2, 1]}),
        (DC, {"encoder_layers_per_block": [2, 1]}),
    ],
)
def test_a_decoder_does_not_change_with_the_encoder(settings: dict[str, Any], changes: dict[str, Any]) -> None:
    one, two = build(settings), build({**settings, **changes})
    assert are_equal(one.decoder, two.decoder) and not are_equal(one.encoder, two.encoder)


def test_attention_computes_in_the_type_of_the_training() -> None:
    from diffusers.models.attention_processor import Attention, AttnProcessor2_0

    for settings in (KL, ASYMMETRIC):
        processors = [each.processor for each in build(settings).modules() if isinstance(each, Attention)]
        assert len(processors) == 2 and all(type(each) is AttnProcessor2_0 for each in processors)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_trained_parameter_gets_a_gradient(name: str) -> None:
    """DDP waits for a gradient of each parameter that requires one."""
    model = build(CONFIGS[name]).double()
    images = draw_pixels(2, 1, 8, 8)
    out = model(images)
    (out.reconstruction.square().sum() + out.posterior.kl().sum() * name.endswith("KL")).backward()
    trained = {key: weight.grad for key, weight in model.named_parameters() if weight.requires_grad}
    assert [key for key, gradient in trained.items() if gradient is None] == []
    frozen = {key for key, weight in model.named_parameters() if not weight.requires_grad}
    assert all(key.startswith("decoder.decoder.condition_encoder.") for key in frozen)
    last = model.decoder.get_last_layer()
    assert last.shape == (1, 8, 3, 3) and any(last is weight for weight in model.parameters())


@pytest.mark.parametrize(
    ("settings", "model", "message"),
    [
        ({"block_out_channels": [8]}, {}, "diffusers._class_name: missing; allowed: AutoencoderKL | "),
        ({"_class_name": "VQModel"}, {}, 'diffusers._class_name: got "VQModel"; allowed: AutoencoderKL | '),
        ({"_class_name": ["a"]}, {}, 'diffusers._class_name: got ["a"]; allowed: AutoencoderKL | '),
        (TINY, {"family": "vae"}, "diffusers._class_name: AutoencoderTiny gives no posterior; take model.family=ae"),
        (DC, {"family": "vaegan"}, "diffusers._class_name: AutoencoderDC gives no posterior; take model.family=ae"),
        (KL, {"family": "ae"}, "diffusers._class_name: AutoencoderKL gives a Gaussian posterior; take model.family=va"),
        (KL, {"labels": 10}, "labels: the networks of diffusers take no class; leave it out"),
        (KL, {"likelihood": "bernoulli"}, "likelihood: bernoulli takes bounded pixels; for diffusers give gaussian or"),
        ({**KL, "block_out_channels": 8}, {}, "diffusers.block_out_channels: got 8; allowed: list of integer"),
        ({**KL, "latent_channels": 0}, {}, "diffusers.latent_channels: got 0; allowed: integer >= 1"),
    ],
)
def test_a_wrong_section_is_refused_in_one_line(settings: Any, model: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        make_config(settings, **model)
    assert f"model.{message}" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({**KL, "widths": [8]}, "model.diffusers.widths: unknown key of AutoencoderKL; allowed: in_channels, out_"),
        ({**KL, "in_channels": 3}, "model.diffusers.in_channels: 3, but the images have 1 channels; leave it out, or"),
        ({**KL, "norm_num_groups": 3}, "model.diffusers: AutoencoderKL refuses its config: num_channels"),
        ({**KL, "down_block_types": ["No"] * 2}, "model.diffusers: AutoencoderKL refuses its config: No does not exis"),
        (
            {**KL, "block_out_channels": [8] * 5, "down_block_types": ["DownEncoderBlock2D"] * 5,
             "up_block_types": ["UpDecoderBlock2D"] * 5},
            "model.diffusers: its downsampling: 16 does not divide the side of the images, 8",
        ),
        ({**DC, "decoder_norm_types": "batch_norm"}, "model.diffusers: AutoencoderDC has a BatchNorm with this config"),
        (
            {**ASYMMETRIC, "up_block_out_channels": [8] * 3, "up_block_types": ["UpDecoderBlock2D"] * 3},
            "model.diffusers: AsymmetricAutoencoderKL makes 1x16x16 with this config where 1x8x8 are needed",
        ),
        (
            {**TINY, "num_encoder_blocks": [1], "encoder_block_out_channels": [8, 8]},
            "model.diffusers: AutoencoderTiny ",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_built_is_refused_in_one_line(settings: Any, message: str) -> None:
    with pytest.raises(UserError) as caught:
        build(settings)
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)
