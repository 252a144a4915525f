"""Linear probes are scikit-learn's, and find what is planted in codes."""

import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from vaegan.applications.linear_probe import LinearProbe, fit_linear_probe, fit_probes
from vaegan.errors import UserError
from vaegan.randomness import draw_normal

CLASSES = 3
LABELS = torch.arange(90) % CLASSES


def draw_features(size: int, strength: float) -> torch.Tensor:
    """Draw features (90, size) of several scales; the first `CLASSES` tell the class."""
    features = draw_normal((90, size), 0, "features").double()
    features[:, :CLASSES] += strength * torch.nn.functional.one_hot(LABELS, CLASSES)
    return features * torch.logspace(-2, 2, size, dtype=torch.float64) + 3


def test_the_accuracy_is_scikit_learns_with_the_penalty_that_held_out_images_choose() -> None:
    features = draw_features(6, 1.5)
    train, labels, test = features[:60], LABELS[:60], features[60:]
    probe = fit_linear_probe(train, labels, test, LABELS[60:])
    scaler = StandardScaler().fit(train)
    model = LogisticRegression(C=probe.penalty, max_iter=200).fit(scaler.transform(train), labels)
    assert probe.accuracy == pytest.approx(model.score(scaler.transform(test), LABELS[60:]))
    assert 0.5 < probe.accuracy < 1
    assert (probe.correct.numpy() == (model.predict(scaler.transform(test)) == LABELS[60:].numpy())).all()

    held_out = torch.arange(60) % 5 == 0
    scores = {}
    for penalty in (1e-4, 1e-3, 1e-2, 1e-1, 1.0):
        scaler = StandardScaler().fit(train[~held_out])
        model = LogisticRegression(C=penalty, max_iter=200).fit(scaler.transform(train[~held_out]), labels[~held_out])
        scores[penalty] = model.score(scaler.transform(train[held_out]), labels[held_out])
    assert probe.penalty == next(penalty for penalty, score in scores.items() if score == max(scores.values()))
    assert len(set(scores.values())) > 1


def test_the_interval_is_wilsons() -> None:
    probe = LinearProbe(torch.arange(50) < 40, 1.0)
    z, rate = 1.959963984540054, 0.8
    centre = (rate + z**2 / 100) / (1 + z**2 / 50)
    reach = z / (1 + z**2 / 50) * (rate * 0.2 / 50 + z**2 / 10_000) ** 0.5
    assert probe.accuracy == rate and probe.interval == pytest.approx((centre - reach, centre + reach))


def test_codes_are_probed_beside_pixels_and_as_many_components_of_them() -> None:
    codes, pixels = draw_features(4, 30.0), draw_normal((90, 1, 4, 4), 1, "pixels").double()
    probes = fit_probes(codes[:60], pixels[:60], LABELS[:60], codes[60:], pixels[60:], LABELS[60:], seed=0)
    assert list(probes) == ["codes", "PCA of pixels", "pixels"]
    assert probes["codes"].accuracy == 1 and probes["pixels"].accuracy < 0.7
    analysis = PCA(4, random_state=0).fit(pixels[:60].flatten(1))
    train, test = (torch.from_numpy(analysis.transform(part.flatten(1))) for part in (pixels[:60], pixels[60:]))
    expected = fit_linear_probe(train, LABELS[:60], test, LABELS[60:])
    assert torch.equal(probes["PCA of pixels"].correct, expected.correct)


def test_one_class_is_refused() -> None:
    features = draw_features(3, 1.0)
    with pytest.raises(UserError, match="images of two classes"):
        fit_linear_probe(features, torch.zeros(90, dtype=torch.int64), features, LABELS)
