"""Images without a model: the numbers of a model's evaluation, from its images in files of every kind."""

import math
from functools import cache
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from vaegan.config.classifier import ClassifierConfig
from vaegan.config.schema import EvaluateConfig
from vaegan.errors import UserError
from vaegan.evaluate.image_sets import evaluate_image_sets, open_image_sets
from vaegan.evaluate.metrics.frechet_statistics import read_statistics
from vaegan.evaluate.metrics.pixels import MAX_PSNR_DB
from vaegan.evaluate.result import EvaluationResult
from vaegan.images import to_float, to_uint8
from vaegan.losses import perceptual
from vaegan.models import Classifier
from vaegan.progress import Reporter
from vaegan.storage.run_folder import Run

from .distortions import blur, evaluate

METRICS = ("psnr", "ssim", "ms_ssim", "lpips", "sharpness", "frechet", "kid", "prdc")
COUNT = 40


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The run of a classifier of digits, whose features sets are compared in."""
    run = Run(tmp_path_factory.mktemp("runs") / "net")
    run.path.mkdir(parents=True)
    run.export(Classifier(ClassifierConfig(width=8, classes=10), (1, 8, 8), 3).eval(), 1)
    return str(run.path)


build_lpips_once = cache(perceptual.build_random_lpips_network)


@pytest.fixture(autouse=True)
def _make_random_features_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perceptual, "build_random_lpips_network", build_lpips_once)


def distort(images: Tensor) -> Tensor:
    return blur(images, 0.5)


def write_folder(folder: Path, pixels: Tensor, suffix: str = ".png", first: int = 0) -> Path:
    """Write images as files, of which one lies in a folder of its own."""
    for number, image in enumerate(pixels, start=first):
        file = folder / ("a" if number == 3 else "") / f"{number:03}{suffix}"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0].numpy()).save(file)
    return folder


@pytest.fixture
def fakes(digits: Tensor) -> Tensor:
    return to_uint8(distort(to_float(digits[:COUNT])))


def compare(real: Path, fake: Path, network: str, *metrics: str, **options: object) -> EvaluationResult:
    """Compare two sets in batches of 16."""
    settings = {name: options.pop(name) for name in ("statistics_file",) if name in options}
    samples = options.pop("samples", None)
    sets = open_image_sets(real, fake, Reporter(), **options)
    config = EvaluateConfig(metrics=metrics or METRICS, features=network, batch_size=16, samples=samples)
    return evaluate_image_sets(sets, config, Reporter(), **settings)


def test_the_numbers_are_those_of_the_model_that_made_the_images(digits, fakes, network, tmp_path) -> None:
    real, fake = write_folder(tmp_path / "real", digits[:COUNT]), write_folder(tmp_path / "fake", fakes, ".bmp")
    measured = evaluate(digits[:COUNT], distort, *METRICS, features=network)
    result = compare(real, fake, network)
    expected = {name: value for name, value in measured.metrics.items() if name.startswith("reconstruction/")}
    assert len(expected) == 14 and result.metrics == pytest.approx(expected, rel=1e-6, abs=1e-6)
    for name in ("psnr", "ssim", "ms_ssim", "lpips", "sharpness", "features"):
        assert result.protocol[name] == measured.protocol[name]
    assert (result.protocol["pairs"], result.protocol["paired_by"]) == (COUNT, "name without suffix")
    assert "left_out" not in result.protocol and result.protocol["fit"] is None
    for number in range(COUNT):
        (fake / ("a" if number == 3 else "") / f"{number:03}.bmp").rename(fake / f"other{number:03}.bmp")
    unpaired = compare(real, fake, network)
    expected = {name: value for name, value in measured.metrics.items() if name.startswith("sample/")}
    assert unpaired.metrics == pytest.approx(expected, rel=1e-3, abs=1e-3) and unpaired.protocol["paired_by"] is None
    assert set(unpaired.protocol["left_out"]) == {"psnr", "ssim", "ms_ssim", "lpips", "coherence"}


def test_images_are_as_close_to_themselves_as_the_metrics_allow(digits, network, tmp_path) -> None:
    real = write_folder(tmp_path / "real", digits[:COUNT])
    metrics = compare(real, real, network).metrics
    ideal = {"psnr": MAX_PSNR_DB, "ssim": 1, "ms_ssim": 1, "lpips_random": 0, "laplacian_gap": 0, "spectrum_error": 0,
             "kurtosis_gap": 0, "coherence": 1, "fd_net": 0, "precision_net": 1, "recall_net": 1}  # fmt: skip
    assert {name: metrics[f"reconstruction/{name}"] for name in ideal} == pytest.approx(ideal, abs=1e-6)
    assert -0.1 < metrics["reconstruction/kid_net"] < 0.01, "unbiased, and a little below 0 for the images themselves"


def test_metrics_of_pairs_are_of_the_pairs_and_those_of_sets_of_all(digits, fakes, network, tmp_path) -> None:
    """The second half of either set has no counterpart."""
    real, fake = write_folder(tmp_path / "real", digits[:COUNT]), write_folder(tmp_path / "fake", fakes[:20])
    write_folder(fake, fakes[20:], first=1000)
    paired, all_ = evaluate(digits[:20], distort, "psnr", "sharpness"), evaluate(digits[:COUNT], distort, "sharpness")
    result = compare(real, fake, network, "psnr", "sharpness")
    for name in ("psnr", "coherence"):
        assert result.metrics[f"reconstruction/{name}"] == pytest.approx(paired.metrics[f"reconstruction/{name}"])
    for name in ("laplacian_gap", "spectrum_error", "kurtosis_gap"):
        assert result.metrics[f"reconstruction/{name}"] == pytest.approx(all_.metrics[f"reconstruction/{name}"])
    counts = [result.protocol[name] for name in ("pairs", "real_images", "fake_images")]
    assert counts == [20, COUNT, COUNT]
    few = compare(real, fake, network, "psnr", samples=30).protocol
    assert [few[name] for name in ("pairs", "real_images", "fake_images")] == [20, 30, 30]


def test_files_of_an_array_hold_what_a_folder_does(digits, fakes, network, tmp_path) -> None:
    expected = compare(write_folder(tmp_path / "real", digits[:COUNT]), write_folder(tmp_path / "fake", fakes), network)
    names = sorted(path.relative_to(tmp_path / "real") for path in (tmp_path / "real").rglob("*.png"))
    order = [int(name.stem) for name in names]  # a folder is read in the order of its paths
    for save in (np.savez, np.savez_compressed):
        for name, pixels in (("real", digits[:COUNT]), ("fake", fakes)):
            save(tmp_path / f"{name}.npz", pixels[order].permute(0, 2, 3, 1).numpy())
        arrays = compare(tmp_path / "real.npz", tmp_path / "fake.npz", network, by_index=True)
        assert arrays.metrics == expected.metrics and arrays.protocol["paired_by"] == "index"
    unpaired = compare(tmp_path / "real.npz", tmp_path / "fake.npz", network, "psnr", "sharpness")
    assert set(unpaired.protocol["left_out"]) == {"psnr", "coherence"}
    digests = [compare(tmp_path / "real", path, network, "sharpness").protocol["fake"]["digest"]
               for path in (tmp_path / "fake", tmp_path / "fake.npz", tmp_path / "real")]  # fmt: skip
    assert len(set(digests)) == 3


def test_statistics_stand_for_the_real_images(digits, fakes, network, tmp_path) -> None:
    real, fake = write_folder(tmp_path / "real", digits[:COUNT]), write_folder(tmp_path / "fake", fakes)
    file = tmp_path / "statistics.npz"
    results = [compare(real, fake, network, *names, statistics_file=file) for names in (("frechet",), METRICS)]
    with np.load(file, allow_pickle=False) as archive:
        mean, covariance = archive["mu"], archive["sigma"]
    assert mean.dtype == covariance.dtype == np.float64 and covariance.shape == 2 * mean.shape
    read = compare(file, fake, network)
    assert list(read.metrics) == ["sample/fd_net"] and read.protocol["fit"] is None
    assert set(read.protocol["left_out"]) == {*METRICS} - {"frechet"}
    for result in results:
        assert result.metrics["reconstruction/fd_net"] == pytest.approx(read.metrics["sample/fd_net"], rel=1e-12)
    np.savez(file, mu=mean, sigma=covariance)  # as pytorch-fid writes it
    assert compare(file, fake, network, "frechet").metrics == read.metrics
    scores = pytest.importorskip("pytorch_fid.fid_score")
    np.savez(file, mu=(other := mean + 0.1), sigma=2 * covariance)
    gaussian = read_statistics(file, {})
    assert torch.equal(gaussian.mean, torch.from_numpy(other))
    assert torch.allclose(gaussian.factor @ gaussian.factor.mT, torch.from_numpy(2 * covariance), atol=1e-10)
    own = compare(fake, fake, network, "frechet", statistics_file=tmp_path / "own.npz")
    assert own.metrics["reconstruction/fd_net"] == pytest.approx(0, abs=1e-7)
    with np.load(tmp_path / "own.npz") as archive:
        expected = scores.calculate_frechet_distance(archive["mu"], archive["sigma"], other, 2 * covariance)
    assert compare(file, fake, network, "frechet").metrics["sample/fd_net"] == pytest.approx(expected, rel=1e-5)


def test_images_of_other_sizes_are_fitted_and_the_protocol_says_how(digits, network, tmp_path) -> None:
    large = digits[:8].repeat_interleave(2, 2).repeat_interleave(2, 3)
    real, fake = write_folder(tmp_path / "real", digits[:8]), write_folder(tmp_path / "fake", large)
    result = compare(real, fake, network, "psnr", size=8)
    assert result.metrics["reconstruction/psnr"] > 20
    assert result.protocol["resize"] == "bicubic, antialiased, as Pillow" and result.protocol["resolution"] == 8
    assert compare(real, fake, network, "psnr", size=8, fit="stretch").protocol["fit"].startswith("both sides")


@pytest.mark.parametrize(
    ("problem", "message"),
    [("sizes", "--images: images of 8 x 8 to 16 x 16 pixels; give --image-size"),
     ("twins", "007.bmp and 007.png have the same name without suffix"),
     ("features", "of 5 features, and those of --features are"),
     ("shape", "mu of shape (5,) and sigma of (4, 4)"),
     ("damaged", "cannot be read as statistics"),
     ("network", "statistics of another, not of classifier net"),
     ("nothing", "--metrics: nothing can be measured: psnr: no image of"),
     ("count", "--paired-by-index: 7 images of"),
     ("missing", "--images: "),
     ("index", "statistics.npz holds statistics and no image; leave it out"),
     ("reverse", "a file of statistics, which can stand for the real images alone")],
)  # fmt: skip
def test_what_cannot_be_compared_gets_a_line(problem, message, digits, network, tmp_path) -> None:
    real, fake = write_folder(tmp_path / "real", digits[:7]), write_folder(tmp_path / "fake", digits[:8])
    file, metrics, by_index = tmp_path / "statistics.npz", ("psnr",), problem in ("count", "index")
    arrays = {"mu": np.zeros(5), "sigma": np.eye(4 if problem == "shape" else 5)}
    if problem == "sizes":
        Image.new("L", (16, 16)).save(fake / "large.png")
    elif problem == "twins":
        write_folder(fake, digits[:1], ".bmp", first=7), write_folder(real, digits[:1], first=7)
    elif problem == "nothing":
        fake = write_folder(tmp_path / "other", digits[:3], first=50)
    elif problem == "missing":
        fake = tmp_path / "none"
    elif problem in ("features", "shape", "damaged", "network", "index", "reverse"):
        np.savez(file, **arrays, **({"network": np.array("another")} if problem == "network" else {}))
        if problem == "damaged":
            arrays["mu"] = np.array([{}] * 5)  # an object, which only pickle could read
            np.savez(file, **arrays)
        real, fake, metrics = (file, fake, ("frechet",)) if problem != "reverse" else (real, file, ("frechet",))
    with pytest.raises(UserError) as error:
        compare(real, fake, network, *metrics, by_index=by_index)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_broken_file_is_passed_over_with_a_note(digits, network, tmp_path) -> None:
    real, fake = write_folder(tmp_path / "real", digits[:7]), write_folder(tmp_path / "fake", digits[:7])
    (fake / "000.png").write_bytes(b"no image")
    notes: list[str] = []
    with patch.object(Reporter, "note", lambda self, text: notes.append(text)):
        result = compare(real, fake, network, "psnr")
    assert (result.protocol["pairs"], result.protocol["fake_images"]) == (6, 6)
    assert len(notes) == 1 and "1 file that cannot be used as images skipped" in notes[0]
    assert math.isclose(result.metrics["reconstruction/psnr"], MAX_PSNR_DB)
    with pytest.raises(UserError, match="cannot be used; restore them"):
        compare(real, fake, network, "psnr", by_index=True)


def test_images_in_their_own_sizes_are_compared_one_by_one(digits: Tensor, network: str, tmp_path: Path) -> None:
    """The mean over images of three shapes is that of each shape alone; what needs one size says so."""
    sizes = {"square": (24, 24), "wide": (40, 20), "tall": (17, 33)}  # width and height
    values = []
    for name, size in sizes.items():
        for kind, image in (("real", digits[3, 0]), ("fake", digits[4, 0])):
            (tmp_path / kind / name).mkdir(parents=True)
            picture = Image.fromarray(image.numpy()).resize(size, Image.Resampling.BICUBIC)
            picture.save(tmp_path / kind / name / "0.png")
        pixels = [
            to_float(torch.from_numpy(np.array(Image.open(tmp_path / kind / name / "0.png")))[None, None])
            for kind in ("real", "fake")
        ]
        error = (pixels[0].double() - pixels[1].double()).square().mean()
        values.append(10 * math.log10(4 / error))
    result = compare(
        tmp_path / "real", tmp_path / "fake", network, "psnr", "ssim", "lpips", "sharpness", native_size=True
    )
    assert result.metrics["reconstruction/psnr"] == pytest.approx(sum(values) / 3, rel=1e-6)
    assert {"reconstruction/ssim", "reconstruction/lpips_random"} <= result.metrics.keys()
    assert result.protocol["resolution"] == "native" and result.protocol["pairs"] == 3
    assert result.protocol["left_out"] == {"sharpness": "needs images of one size; give --image-size"}
    with pytest.raises(UserError, match="not several sizes"):
        compare(tmp_path / "real", tmp_path / "fake", network, "frechet", native_size=True)
    Image.fromarray(digits[0, 0].numpy()).save(tmp_path / "fake" / "wide" / "0.png")
    with pytest.raises(UserError, match=r"^--native-size: wide/0\.png: 40 x 20 pixels in one set, 8 x 8 in the other"):
        compare(tmp_path / "real", tmp_path / "fake", network, "psnr", native_size=True)
    np.savez(tmp_path / "array.npz", arr_0=np.zeros((3, 8, 8, 3), np.uint8))
    with pytest.raises(UserError, match=r"^--native-size: .*array\.npz: an array; give folders"):
        compare(tmp_path / "array.npz", tmp_path / "fake", network, "psnr", native_size=True)


def test_a_square_has_the_same_figures_in_its_own_size(
    digits: Tensor, fakes: Tensor, network: str, tmp_path: Path
) -> None:
    real, fake = write_folder(tmp_path / "real", digits[:5]), write_folder(tmp_path / "fake", fakes[:5])
    one, other = (
        compare(real, fake, network, "psnr", "ssim", "lpips", **options) for options in ({}, {"native_size": True})
    )
    assert other.metrics == pytest.approx(one.metrics, rel=1e-5)


def test_images_in_their_own_sizes_without_pairs_have_no_figure_of_pairs(digits, fakes, network, tmp_path) -> None:
    real, fake = write_folder(tmp_path / "real", digits[:3]), write_folder(tmp_path / "fake", fakes[:3], first=10)
    message = r"nothing can be measured: psnr: no image of .*; sharpness: needs images of one size; give --image-size$"
    with pytest.raises(UserError, match=message):
        compare(real, fake, network, "psnr", "sharpness", native_size=True)
