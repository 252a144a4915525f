import math
import subprocess
import sys

import pytest
import torch
from torch import Tensor

from vaegan.config.models import AEConfig, VAEConfig, VAEGANConfig
from vaegan.config.schema import EvaluateConfig
from vaegan.density_fitting import fit_density_to_images
from vaegan.errors import Failure, UserError
from vaegan.evaluate.metrics.metric import round_to_8_bits
from vaegan.evaluate.metrics.sharpness import compute_image_moments, compute_statistics, spectrum
from vaegan.evaluate.model_evaluation import evaluate_model
from vaegan.evaluate.result import EvaluationResult
from vaegan.models import Autoencoder, build_model
from vaegan.progress import ProgressCallback, ignore_progress

from .distortions import evaluate, to_images, to_split

SIZES = {"width": 8, "latent_size": 6}


def build(config: AEConfig, pixels: Tensor) -> Autoencoder:
    return build_model(config, tuple(pixels.shape[1:]), 0)


def evaluate_pixels(
    model: Autoencoder, pixels: Tensor, seed: int = 0, training: Tensor | None = None, **settings: object
) -> EvaluationResult:
    config, images = EvaluateConfig(**settings), None if training is None else to_images(training)
    return evaluate_model(model, to_split(pixels), config, seed=seed, training=images, notify=lambda _: None)


@pytest.mark.parametrize("config", [VAEConfig(**SIZES), VAEGANConfig(**SIZES)])
def test_every_metric_and_choice_is_there(config: VAEConfig, photos: Tensor) -> None:
    evaluation = evaluate_pixels(build(config, photos), photos[:20])
    gaps = ("laplacian_gap", "spectrum_error", "kurtosis_gap")
    paired = ("psnr", "ssim", "lpips_random", "coherence", *gaps)
    names = {f"reconstruction/{name}" for name in paired} | {f"sample/{name}" for name in gaps}
    assert set(evaluation.metrics) == names | {"elbo", "bits_per_dim", "rate", "gap/mmd2", "gap/frechet"}
    assert all(isinstance(value, float) and math.isfinite(value) for value in evaluation.metrics.values())
    expected = {"split": "test", "reconstructions": 20, "samples": 20, "of": 20, "resolution": 32, "channels": 3,
                "code": "posterior mean", "seed": 0, "batch_size": 64, "dtype": "float32",
                "arithmetic": "float32, without TF32", "device": "cpu"}  # fmt: skip
    assert expected.items() <= evaluation.protocol.items()
    assert {"psnr", "ssim", "lpips", "sharpness", "elbo", "versions"} <= set(evaluation.protocol)


def test_an_autoencoder_has_neither_samples_nor_a_bound(digits: Tensor) -> None:
    evaluation = evaluate_pixels(build(AEConfig(**SIZES), digits), digits[:20])
    assert (evaluation.protocol["samples"], evaluation.protocol["samples_from"]) == (0, None)
    assert not [name for name in evaluation.metrics if not name.startswith("reconstruction/")]
    assert "power/sample" not in evaluation.curves


@pytest.mark.parametrize("rank", [0, 1])
def test_a_notice_is_printed_by_the_main_process_alone(
    rank: int, digits: Tensor, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", str(rank))
    model = build(VAEConfig(**SIZES), digits)
    evaluate_model(model, to_split(digits[:4]), EvaluateConfig(metrics=("lpips",)), seed=0)
    assert capsys.readouterr().err.count("reported as lpips_random") == (rank == 0)


def test_the_batch_size_changes_nothing_but_rounding(digits: Tensor) -> None:
    model = build(VAEConfig(**SIZES), digits).double()
    small, large = (evaluate_pixels(model, digits[:50], batch_size=size) for size in (7, 50))
    assert small.metrics == {
        name: pytest.approx(value, rel=1e-4 if "lpips" in name else 1e-9) for name, value in large.metrics.items()
    }
    assert small.protocol | {"batch_size": 50} == large.protocol


def test_samples_are_the_models_own_of_that_seed(digits: Tensor) -> None:
    model = build(VAEConfig(**SIZES), digits)
    evaluation = evaluate_pixels(model, digits[:20], seed=5, samples=45, batch_size=16, metrics=("sharpness",))
    with torch.no_grad():
        images = round_to_8_bits(model.sample(45, seed=5))
    power = compute_statistics(compute_image_moments(images, spectrum(images)).mean(0)).power
    assert evaluation.curves["power/sample"] == pytest.approx(power.tolist(), rel=1e-3)
    assert evaluation.protocol["samples"] == 45
    assert evaluation.protocol["reconstructions"] == 20
    assert evaluation.metrics != evaluate_pixels(model, digits[:20], seed=6, samples=45, metrics=("sharpness",)).metrics


@pytest.mark.parametrize("config", [AEConfig(**SIZES), VAEConfig(**SIZES)])
@pytest.mark.parametrize(
    ("spec", "name"),
    [("gaussian", "Gaussian, fitted to 300 codes"), ("gmm", "GMM of 10, fitted to 300 codes")],
)
def test_samples_come_from_a_density_where_that_is_asked_for(
    config: AEConfig, spec: str, name: str, digits: Tensor
) -> None:
    model, settings = build(config, digits), EvaluateConfig(density=spec)
    assert settings.density is not None
    evaluation = evaluate_pixels(
        model, digits[:20], 5, digits[100:], samples=45, batch_size=16, metrics=("psnr", "sharpness"), density=spec
    )
    density = fit_density_to_images(settings.density, model, to_images(digits[100:]), 5, 16)
    with torch.no_grad():
        images = round_to_8_bits(model.sample(45, 5, density))
    power = compute_statistics(compute_image_moments(images, spectrum(images)).mean(0)).power
    assert evaluation.curves["power/sample"] == pytest.approx(power.tolist(), rel=1e-3)
    protocol = evaluation.protocol
    assert (protocol["samples"], protocol["samples_from"], evaluation.density) == (45, name, name)
    assert protocol["density"]["asked"] == settings.density and "scikit-learn" in protocol["versions"]
    assert "one draw of the posterior of each training image" in protocol["density"]["codes"]


def test_nothing_is_fitted_that_no_metric_needs(digits: Tensor) -> None:
    model = build(AEConfig(**SIZES), digits)
    few = evaluate_pixels(model, digits[:9], training=digits[:1], metrics=("psnr",), density="gmm")
    assert few.protocol["samples"] == 0
    with pytest.raises(UserError, match="1 training images are too few"):
        evaluate_pixels(model, digits[:9], training=digits[:1], density="gmm")


def test_the_progress_counts_what_is_fitted_to(digits: Tensor) -> None:
    steps: list[tuple[int, int]] = []
    settings = EvaluateConfig(metrics=("sharpness",), batch_size=8, density="gaussian")
    evaluate_model(
        build(AEConfig(**SIZES), digits), to_split(digits[:12]), settings, seed=0,
        training=to_images(digits[:20]), progress=lambda *step: steps.append(step),
    )  # fmt: skip
    assert steps == [(done, 44) for done in (8, 16, 20, 28, 32, 40, 44)]


def test_a_part_of_the_split_is_taken_at_even_distances(digits: Tensor) -> None:
    model = build(VAEConfig(**SIZES), digits)
    metrics = ("psnr", "ssim")
    part = evaluate_pixels(model, digits[:40], samples=10, metrics=metrics)
    by_hand = evaluate_pixels(model, digits[:40:4], metrics=metrics)
    assert part.metrics == by_hand.metrics
    assert (part.protocol["reconstructions"], part.protocol["of"]) == (10, 40)


def test_nothing_is_drawn_that_no_metric_needs(digits: Tensor) -> None:
    class NoSamples(type(build(VAEConfig(**SIZES), digits))):  # type: ignore[misc]
        def draw_prior_codes(
            self,
            start: int,
            stop: int,
            seed: int,
            labels: Tensor | None = None,
            progress: ProgressCallback = ignore_progress,
        ) -> Tensor:
            raise AssertionError("samples were drawn")

    model = NoSamples(VAEConfig(**SIZES), (1, 8, 8), 0)
    assert set(evaluate_pixels(model, digits[:9], metrics=("psnr", "elbo")).metrics) == {
        "reconstruction/psnr", "elbo", "bits_per_dim", "rate"
    }  # fmt: skip


def test_the_model_is_left_as_it_came_and_the_progress_is_told(digits: Tensor) -> None:
    model = build(VAEConfig(**SIZES), digits).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    steps: list[tuple[int, int]] = []
    settings = EvaluateConfig(metrics=("sharpness",), batch_size=8)
    evaluate_model(model, to_split(digits[:20]), settings, seed=0, progress=lambda *step: steps.append(step))
    assert steps == [(8, 40), (16, 40), (20, 40), (28, 40), (36, 40), (40, 40)]
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_tf32_is_off_while_a_model_is_evaluated(digits: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    def autocast_dtype() -> tuple[bool, bool, str]:
        backends = torch.backends
        return backends.cudnn.allow_tf32, backends.cuda.matmul.allow_tf32, torch.get_float32_matmul_precision()

    seen = set()

    class Watched(type(build(VAEConfig(**SIZES), digits))):  # type: ignore[misc]
        def _decode(self, codes: Tensor, labels: Tensor | None) -> Tensor:
            seen.add(autocast_dtype())
            return super()._decode(codes, labels)

    model = Watched(VAEConfig(**SIZES), (1, 8, 8), 0)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        given = autocast_dtype()
        evaluate_pixels(model, digits[:9])
        assert autocast_dtype() == given == (True, True, "high")
        with pytest.raises(Failure, match="not finite"):
            evaluate(digits[:4], lambda images: images * math.nan, "psnr")
        assert autocast_dtype() == given
    finally:
        torch.set_float32_matmul_precision(before)
    assert seen == {(False, False, "highest")}
    assert evaluate_pixels(model.double(), digits[:9], metrics=("psnr",)).protocol["arithmetic"] == "float64"


def test_lpips_is_imported_only_when_it_is_used() -> None:
    code = "import sys, vaegan.evaluate.model_evaluation; sys.exit('lpips' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
