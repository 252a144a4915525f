"""An inspection holds the statistics, maps and probes of the images of a split, and says what it leaves out."""

from dataclasses import replace

import pytest
import torch

from vaegan.applications.code_statistics import compute_code_statistics
from vaegan.applications.encoding import encode_images
from vaegan.applications.linear_probe import fit_probes
from vaegan.data import Data, Images
from vaegan.errors import UserError
from vaegan.evaluate import inspection
from vaegan.evaluate.inspection import inspect_codes
from vaegan.images import to_float
from vaegan.models import AE, VAE, VQVAE, Autoencoder
from vaegan.progress import Reporter
from vaegan.randomness import draw_normal

SETTINGS = {"image_shape": (1, 8, 8), "network": "mlp", "width": 8, "latent_size": 3}


@pytest.fixture(scope="module")
def data() -> Data:
    """Images of two classes, of which one is lighter."""
    labels = torch.arange(60) % 2
    pixels = draw_normal((60, 1, 8, 8), 0, "pixels") * 40 + 90 + 70 * labels[:, None, None, None]
    store = pixels.clamp(0, 255).to(torch.uint8)
    parts = {"train": (0, 40), "validation": (40, 40), "test": (40, 60)}
    splits = {
        name: Images(store, torch.arange(start, stop), labels[start:stop], ("dark", "light"))
        for name, (start, stop) in parts.items()
    }
    return Data(**splits, classes=("dark", "light"), fingerprint="")


def build(family: type[Autoencoder] = VAE, **settings: object) -> Autoencoder:
    return family(**SETTINGS, **settings).eval()


def test_it_is_made_of_the_codes_of_the_split(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "MAX_MAP_IMAGES", 8)
    monkeypatch.setattr(inspection, "MAX_PROBE_IMAGES", 30)
    model = build()
    found = inspect_codes(model, data, "test", 0, Reporter())
    posterior = encode_images(model, data.test)
    expected = compute_code_statistics(posterior)
    assert found.notes == [] and torch.equal(found.posterior.mean, posterior.mean)
    shown = data.test.select_evenly(8)
    assert [len(each.coordinates) for each in found.maps] == [8, 8]
    assert found.map_labels is not None and torch.equal(found.map_labels, data.test.labels[shown])
    chosen = data.train.select_evenly(30)
    codes = encode_images(model, data.train, chosen).mean
    probes = fit_probes(
        codes, to_float(data.train[chosen]), data.train.labels[chosen],
        posterior.mean, to_float(data.test[torch.arange(20)]), data.test.labels, 0,
    )  # fmt: skip
    for name, probe in probes.items():
        assert torch.equal(found.probes[name].correct, probe.correct)
    tree = found.to_dict()
    assert (tree["split"], tree["images"], tree["active_units"]) == ("test", 20, int(expected.active.sum()))
    assert tree["kl"] == pytest.approx(posterior.kl().mean().item(), rel=1e-5)
    assert [row["dimension"] for row in tree["dimensions"]] == [0, 1, 2]
    assert [row["aggregate_wasserstein"] for row in tree["dimensions"]] == expected.wasserstein.tolist()
    assert tree["linear_probe"]["codes"]["accuracy"] == probes["codes"].accuracy
    assert tree["linear_probe"]["codes"]["training_images"] == 30


def test_it_says_what_is_left_out(data: Data) -> None:
    assert inspect_codes(build(), data, "train", 0, Reporter()).notes == [
        "No linear probe: training images judge themselves."
    ]
    nameless = {name: replace(getattr(data, name), labels=None, classes=()) for name in ("train", "test")}
    found = inspect_codes(build(AE), replace(data, **nameless, classes=()), "test", 0, Reporter())
    assert found.notes == [
        "These codes have no prior N(0, 1): their dimensions are ordered by variance.",
        "No linear probe: the images have no labels.",
    ]
    assert found.map_labels is None and found.to_dict()["kl"] is None and found.to_dict()["linear_probe"] == {}
    few = replace(data, test=replace(data.test, indices=data.test.indices[:3], labels=data.test.labels[:3]))
    found = inspect_codes(build(labels=2), few, "test", 0, Reporter())
    assert found.maps == () and found.notes == [
        "The encoder is given the class of each image, so that its codes need not hold it.",
        "No maps: 3 codes of 3 dimensions: a map needs 4 codes of two dimensions.",
    ]


def test_what_cannot_be_inspected_is_refused(data: Data) -> None:
    with pytest.raises(UserError, match="--split validation: 0 images"):
        inspect_codes(build(), data, "validation", 0, Reporter())
    model = VQVAE(image_shape=(1, 8, 8), width=8, residual_width=4, depth=1, codes=8, code_size=4)
    with pytest.raises(UserError, match="entries of a codebook"):
        inspect_codes(model, data, "test", 0, Reporter())
