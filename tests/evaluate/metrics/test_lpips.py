import pickle
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from vaegan.config.schema import EvaluateConfig
from vaegan.errors import UserError
from vaegan.evaluate.metrics.build import check_metrics
from vaegan.evaluate.metrics.lpips import build_lpips, check_lpips_networks_differ
from vaegan.images import to_float
from vaegan.losses.perceptual import (
    build_random_lpips_network,
    get_training_lpips_network,
    load_lpips_network,
    lpips_distance,
)
from vaegan.pretrained import WEIGHT_FILES
from vaegan.randomness import seed_global_generator

from ...standins import accept_file
from ...tiny import tiny
from ..distortions import add_noise, blur, evaluate

pytestmark = pytest.mark.usefixtures("no_downloads")


def package(net: str = "alex", **settings: object) -> torch.nn.Module:
    import lpips

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return lpips.LPIPS(net=net, verbose=False, pnet_rand=True, **settings)


def prepare(images: Tensor) -> Tensor:
    """Prepare images as a user of the package would by hand."""
    colour = images.float() if images.shape[1] == 3 else torch.cat([images.float()] * 3, 1)
    return colour if colour.shape[-1] >= 64 else F.interpolate(colour, size=64, mode="bilinear")


def test_random_backbone_is_the_packages_own_result(sets: dict[str, Tensor]) -> None:
    with seed_global_generator(0, "lpips"):
        reference = package(lpips=False)
    for pixels in sets.values():
        images = to_float(pixels[:20], torch.float64)
        other = add_noise(blur(images, 0.7), 0.1)
        with torch.no_grad():
            expected = reference(prepare(images), prepare(other)).flatten()
        assert torch.allclose(lpips_distance(build_random_lpips_network(), images, other), expected, rtol=0, atol=1e-6)
        assert expected.min() > 1e-3


LAYERS = {
    "alex": {1: [0], 2: [3], 3: [6], 4: [8], 5: [10]},
    "vgg": {1: [0, 2], 2: [5, 7], 3: [10, 12, 14], 4: [17, 19, 21], 5: [24, 26, 28]},
    "squeeze": {1: [0], 2: [3, 4], 3: [6, 7], 4: [9], 5: [10], 6: [11], 7: [12]},
}
"""The layers of torchvision's networks that are in each of the package's slices."""
METRICS = {"alex": "lpips", "vgg": "lpips_vgg", "squeeze": "lpips_squeeze"}


@pytest.mark.parametrize("net", LAYERS)
def test_trained_backbone_is_the_packages_own_result(net: str, stand_in: Callable[[str], Path], photos: Tensor) -> None:
    reference = package(net, lpips=True, pretrained=True)
    weights = torch.load(stand_in(net), weights_only=True)
    places = {f"features.{layer}.": f"slice{part}.{layer}." for part, some in LAYERS[net].items() for layer in some}
    named = {
        place + key.removeprefix(layer): value
        for layer, place in places.items()
        for key, value in weights.items()
        if key.startswith(layer)
    }
    assert len(named) == len(weights)
    reference.net.load_state_dict(named)
    pixels = photos[:8]
    evaluation = evaluate(pixels, lambda images: blur(images, 1.0), METRICS[net])
    rounded = to_float(((blur(to_float(pixels), 1.0) + 1) * 127.5).round().to(torch.uint8))
    with torch.no_grad():
        expected = reference(prepare(to_float(pixels)), prepare(rounded)).flatten()
    assert evaluation.metrics == {f"reconstruction/lpips_{net}": pytest.approx(expected.mean().item(), abs=1e-6)}
    scores = evaluation.scores[f"reconstruction/lpips_{net}"]
    assert torch.allclose(scores, expected.double(), rtol=0, atol=1e-6) and expected.max() > 1e-3
    protocol = evaluation.protocol[METRICS[net]]
    assert (protocol["network"], protocol["resolution"], protocol["resize"]) == (net, 64, "bilinear")


@pytest.mark.parametrize("net", ["vgg", "squeeze"])
def test_only_alexnet_has_a_stand_in(net: str, photos: Tensor) -> None:
    with pytest.raises(UserError, match=r"there is no such file; `vaegan weights --fetch` brings it") as caught:
        evaluate(photos[:4], lambda images: images, METRICS[net])
    assert str(caught.value).startswith(f"{WEIGHT_FILES[net].path}: ") and WEIGHT_FILES[net].url in str(caught.value)


def test_without_weights_the_metric_is_named_random_and_the_notice_says_where_they_go(photos: Tensor) -> None:
    notices: list[str] = []
    metric = build_lpips("alex", 32, notices.append)
    assert metric.key == "reconstruction/lpips_random"
    (notice,) = notices
    assert str(WEIGHT_FILES["alex"].path) in notice and WEIGHT_FILES["alex"].url in notice
    assert "lpips_random" in notice
    assert "\n" not in notice
    evaluation = evaluate(photos[:4], lambda images: images, "lpips")
    assert evaluation.metrics == {"reconstruction/lpips_random": 0}
    assert evaluation.protocol["lpips"]["network"] == "alex, random and uncalibrated"


class Bomb:
    """Runs code when it is unpickled carelessly."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.mark,)


def test_a_damaged_file_is_refused_before_it_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    path = WEIGHT_FILES["alex"].path
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no weights")
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("opened"))
    with pytest.raises(UserError, match="damaged or another file") as error:
        build_lpips("alex", 32, lambda _: None)
    assert str(path) in str(error.value) and WEIGHT_FILES["alex"].sha256 in str(error.value)


@pytest.mark.parametrize("content", ["bomb", "others"])
def test_no_code_of_a_file_is_run_even_if_its_hash_is_right(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark, path = tmp_path / "mark", WEIGHT_FILES["alex"].path
    path.parent.mkdir(parents=True)
    if content == "bomb":
        path.write_bytes(pickle.dumps(Bomb(mark), protocol=2))
    else:
        torch.save({"features.0.weight": torch.zeros(3)}, path)
    monkeypatch.setitem(WEIGHT_FILES, "alex", accept_file("alex", path))
    with pytest.raises(UserError, match=r"not (a file of weights|the weights that are published)") as error:
        load_lpips_network("alex")
    assert str(path) in str(error.value) and not mark.exists()


def test_a_model_is_not_evaluated_by_the_network_that_it_was_trained_in() -> None:
    trained_in, evaluated_by = get_training_lpips_network("random", torch.device("cpu")), build_random_lpips_network()
    pairs = zip(trained_in.parameters(), evaluated_by.parameters(), strict=True)
    assert not any(torch.equal(one, other) for one, other in pairs if one.dim() > 1)
    for network, metric in (("vgg", "lpips_vgg"), ("squeeze", "lpips_squeeze")):
        config = tiny("vaegan3", "model.perceptual=1", f"model.perceptual_network={network}")
        for name in ("lpips_vgg", "lpips_squeeze", "lpips"):
            config_with_lpips = config.model_copy(update={"evaluate": EvaluateConfig(metrics=("psnr", name))})
            if name == metric:
                with pytest.raises(UserError, match=rf"^evaluate\.metrics: {metric}: model\.perceptual"):
                    check_metrics(config_with_lpips)
            else:
                check_lpips_networks_differ(config_with_lpips.evaluate, config_with_lpips.model)
    check_lpips_networks_differ(EvaluateConfig(metrics=("lpips_vgg",)), tiny("vaegan3").model)
