"""Models called from Python: fresh noise, no graph of samples, and one line about a wrong input."""

import pytest
import torch
from torch import Tensor

from vaegan.errors import UserError
from vaegan.images import to_float, to_uint8
from vaegan.models import Autoencoder, Classifier

from ...tiny import ADVERSARIES, AUTOENCODERS, CONDITIONAL_OPTIONS, FLOWS, GRIDS
from .build import build, draw_images

NOISY = ("vae", "vae-grid", *ADVERSARIES)
"""Families whose forward draws noise."""


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_every_autoencoder_reconstructs_images_alone(name: str) -> None:
    model, x = build(name).double().eval(), draw_images().double()
    torch.manual_seed(2)
    first, second = model(x).reconstruction, model(x).reconstruction
    assert first.shape == x.shape and first.dtype == x.dtype and first.abs().max() <= 1
    assert torch.equal(first, second) == (name not in NOISY)
    torch.manual_seed(2)
    assert torch.equal(model(x).reconstruction, first)
    if name not in NOISY:
        torch.testing.assert_close(first, model.reconstruct(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", NOISY)
def test_the_noise_that_is_drawn_is_the_noise_that_could_be_given(name: str) -> None:
    model, x = build(name).double(), draw_images().double()
    torch.manual_seed(7)
    out = model(x)
    torch.manual_seed(7)
    alone = name in ("vae", "vae-grid", "vaegan1-grid")  # nothing is generated
    names = ("noise",) if alone else ("prior_noise", "noise") if name == "ganvae" else ("noise", "prior_noise")
    noise = {key: torch.randn(6, model.code_size, dtype=torch.float64) for key in names}
    given = model(x, **noise)
    assert torch.equal(out.reconstruction, given.reconstruction)
    torch.testing.assert_close(
        given.reconstruction, model.decode(model.encode(x).sample(noise["noise"])), rtol=1e-12, atol=1e-12
    )
    if not alone:
        assert torch.equal(out.generated, given.generated)
        torch.testing.assert_close(given.generated, model.decode(noise["prior_noise"]), rtol=1e-12, atol=1e-12)
        with pytest.raises(UserError, match=r"^prior_noise: "):
            model(x, prior_noise=torch.zeros(6, 3).double())


def test_in_training_a_generator_alone_needs_no_images() -> None:
    model, prior = build("ganvae"), torch.randn(6, 4)
    out = model(prior_noise=prior)
    assert out.posterior is out.reconstruction is None and torch.equal(out.generated, model.decode(prior))
    with pytest.raises(UserError, match=r"^images: missing; give images, or as prior_noise"):
        model()


@pytest.mark.parametrize("name", [name for name in AUTOENCODERS if name not in ("ae", "vqvae")])
def test_samples_carry_no_graph_and_are_no_inference_tensors(name: str) -> None:
    model = build(name).requires_grad_(True)
    samples = model.sample(3)
    assert not samples.requires_grad and not samples.is_inference()
    codes = model.draw_prior_codes(0, 3, 0).detach().requires_grad_(True)
    assert torch.equal(model.decode(codes), samples)
    (gradient,) = torch.autograd.grad(model.decode(codes).sum(), codes)  # codes can be optimised
    assert gradient.abs().max() > 0


@pytest.mark.parametrize("name", CONDITIONAL_OPTIONS)
def test_a_forward_takes_one_label_for_all_and_refuses_missing_and_wrong_ones(name: str) -> None:
    model, x = build(name, *CONDITIONAL_OPTIONS[name]).eval(), draw_images()
    field = {"pixelcnn": "logits", **dict.fromkeys(FLOWS, "predicted")}.get(name, "reconstruction")

    def run(labels: Tensor | int | None) -> Tensor:
        torch.manual_seed(0)
        return getattr(model(x, labels=labels), field)

    assert torch.equal(run(3), run(torch.full((6,), 3))) and not torch.equal(run(3), run(4))
    for labels, message in (
        (None, "this model is conditional; give each image's class, 0 to 9"), (10, "10: the classes of this model"),
        (torch.zeros(6), "torch.float32 of shape"), (torch.zeros(5).long(), r"torch.int64 of shape \(5,\)"),
        (torch.full((6,), -1), "-1: the classes"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=f"^labels: {message}"):
            run(labels)
    unconditional = build(name).eval()
    assert unconditional(x, labels=torch.zeros(6).long()).reconstruction.shape == x.shape  # they are ignored


def build_any(name: str) -> Autoencoder | Classifier:
    return Classifier(image_shape=(1, 8, 8), classes=10, width=8) if name == "classifier" else build(name)


@pytest.mark.parametrize("name", [*AUTOENCODERS, "classifier"])
def test_wrong_images_are_one_line(name: str) -> None:
    model, x = build_any(name).eval(), draw_images()
    calls = (model, model.features) if isinstance(model, Classifier) else (model, model.encode, model.reconstruct)
    pixels = torch.zeros(6, 1, 8, 8, dtype=torch.uint8)
    expected = "give torch.float32 of shape (N, 1, 8, 8) in [-1, 1], or torch.uint8 from 0 to 255"
    for images, given in (
        (pixels[0], "torch.uint8 of shape (1, 8, 8)"), (pixels[..., :4], "torch.uint8 of shape (6, 1, 8, 4)"),
        (x.double(), "torch.float64 of shape (6, 1, 8, 8)"), (x.long(), "torch.int64 of shape (6, 1, 8, 8)"),
        (x[0], "torch.float32 of shape (1, 8, 8)"), (x[..., :4], "torch.float32 of shape (6, 1, 8, 4)"),
        (x.expand(6, 3, 8, 8), "torch.float32 of shape (6, 3, 8, 8)"), (x.numpy(), "ndarray"), (x.sum(), "torch.float"),
        (pixels.numpy(), "ndarray"), (None, "NoneType"),
    ):  # fmt: skip
        if images is None and name == "ganvae":
            continue
        others = name in GRIDS and tuple(getattr(images, "shape", ()))[1:] == (1, 8, 4)  # which a grid encodes
        for call in calls[:1] if others else calls:
            with pytest.raises(UserError) as caught:
                call(images)
            assert str(caught.value).startswith(f"images: {given}") and str(caught.value).endswith(expected)
    for call in calls:
        with pytest.raises(UserError, match=r"^images: on meta; bring them to the model's device, cpu$"):
            call(x.to("meta"))
        with pytest.raises(UserError, match=r"^images: floats up to 255; give floats from -1 to 1, or uint8 from 0"):
            call(torch.full_like(x, 255.0))
        with pytest.raises(UserError, match=r"^images: floats up to nan; give floats from -1 to 1"):
            call(x * torch.nan)
        assert call(1.5 * x.sign()) is not None  # a little outside


@pytest.mark.parametrize("name", [*AUTOENCODERS, "classifier"])
def test_uint8_pixels_are_converted(name: str) -> None:
    model, pixels = build_any(name).double().eval(), to_uint8(draw_images())
    x = to_float(pixels, torch.float64)
    if isinstance(model, Classifier):
        assert torch.equal(model(pixels), model(x)) and torch.equal(model.features(pixels), model.features(x))
        return
    assert torch.equal(model.encode(pixels).mean, model.encode(x).mean)
    assert torch.equal(model.reconstruct(pixels), model.reconstruct(x)) and len(model.reconstruct(x[:0])) == 0
    torch.manual_seed(3)
    first = model(pixels).reconstruction
    torch.manual_seed(3)
    assert torch.equal(first, model(x).reconstruction)


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_wrong_codes_are_one_line(name: str) -> None:
    model = build(name)
    codes = model.encode(draw_images()).mean
    assert codes.shape == (6, model.code_size)
    for wrong in (codes[:, 1:], codes[0], codes.double(), codes.int()):
        with pytest.raises(UserError) as caught:
            model.decode(wrong)
        expected = f"give torch.float32 of shape (N, {model.code_size})"
        assert str(caught.value) == f"codes: {wrong.dtype} of shape {tuple(wrong.shape)}; {expected}"
