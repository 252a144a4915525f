"""The classifier: what its features and logits are, and what they do not depend on."""

import pytest
import torch
from torch import Tensor, nn

from vaegan.models import Classifier, build_model
from vaegan.trainers.dry_run import estimate_size

from ...tiny import are_bit_identical, tiny


def build(shape: tuple[int, int, int] = (1, 8, 8), seed: int = 0, **settings: int) -> Classifier:
    overrides = [f"model.{key}={value}" for key, value in settings.items()]
    return build_model(tiny("classifier", *overrides).model, shape, seed)


def draw_images(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize(
    ("shape", "size"), [((1, 8, 8), 16), ((3, 8, 8), 16), ((3, 24, 24), 64), ((3, 40, 40), 64), ((1, 64, 64), 64)]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_features_are_numbers_of_each_image_and_the_logits_are_linear_in_them(shape, size, dtype) -> None:
    model, x = build(shape, classes=7, depth=2).to(dtype), draw_images(5, *shape).to(dtype)
    features = model.features(x)
    assert features.shape == (5, size) == (5, model.feature_size) and features.dtype == dtype
    assert features.isfinite().all() and (features.std(0) > 0).all()
    assert torch.equal(model(x), features @ model.head.weight.T + model.head.bias) or torch.allclose(
        model(x), features @ model.head.weight.T + model.head.bias, rtol=1e-5, atol=1e-6
    )
    maps = model.trunk(x)[-1]
    torch.testing.assert_close(features, maps.flatten(2).mean(2))


def test_an_image_has_its_features_whatever_else_is_in_the_batch() -> None:
    model, x = build((3, 16, 16)).double(), draw_images(5, 3, 16, 16).double()
    alone = torch.cat([model.features(each) for each in x.split(1)])
    torch.testing.assert_close(model.features(x), alone, rtol=1e-12, atol=1e-12)
    assert not any(isinstance(layer, nn.modules.batchnorm._NormBase) for layer in model.modules())
    assert torch.equal(model.train().features(x), model.eval().features(x))


def test_the_weights_are_a_function_of_the_seed() -> None:
    torch.manual_seed(3)
    first = build().state_dict()
    torch.manual_seed(4)
    assert are_bit_identical(first, build().state_dict()) and not are_bit_identical(first, build(seed=1).state_dict())
    assert are_bit_identical(build().trunk.state_dict(), build(classes=3).trunk.state_dict())


def test_under_bfloat16_the_logits_are_float32() -> None:
    model, x = build(), draw_images(6, 1, 8, 8)
    coarse, fine = model(x, torch.bfloat16), model(x)
    assert coarse.dtype == fine.dtype == torch.float32 and not torch.equal(coarse, fine)
    torch.testing.assert_close(coarse, fine, rtol=0.1, atol=0.1)


def test_its_size_is_estimated() -> None:
    size_estimate, model = estimate_size(tiny("classifier", "model.depth=2")), build(depth=2)
    counts = {name: sum(each.numel() for each in part.parameters()) for name, part in model.named_children()}
    assert size_estimate.parameters == counts and counts.keys() == {"trunk", "head"}
    assert size_estimate.weight_bytes == size_estimate.optimizer_bytes == 2 * 4 * sum(counts.values())
