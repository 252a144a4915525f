import pytest
from torch import Tensor

from vaegan.evaluate.comparing.bootstrap import correct_holm

from ..distortions import blur, evaluate
from ..studies import make_comparison


def test_seeds_that_disagree_decide_nothing_about_all_seeds(photos: Tensor) -> None:
    soft, softer, crisp = (evaluate(photos, lambda images, s=s: blur(images, s)) for s in (1.0, 2.0, 0.5))
    (verdict, _) = make_comparison((soft, crisp), *[(soft, softer), (soft, crisp)] * 2).verdicts
    assert verdict.answer == "not distinguishable" and verdict.seeds == (0, 1, 2, 3, 4)


def test_probabilities_are_corrected_for_all_tests_of_the_study(photos: Tensor) -> None:
    soft, crisp = (evaluate(photos, lambda images, s=s: blur(images, s)) for s in (1.0, 0.99))
    verdicts = make_comparison((soft, crisp)).verdicts
    tests = [test for verdict in verdicts for test in verdict.evidence.tests]
    assert [p for verdict in verdicts for p in verdict.corrected] == correct_holm([test.p for test in tests])
    assert len(tests) == 4


def test_effects_are_those_of_paired_images(photos: Tensor) -> None:
    soft, crisp = (
        evaluate(photos, lambda images, s=s: blur(images, s), "psnr", "ssim", "sharpness") for s in (1.0, 0.5)
    )
    comparison = make_comparison((soft, crisp), (soft, crisp))
    effects = {effect.key: effect for effect in comparison.effects}
    assert effects.keys() == {"reconstruction/psnr", "reconstruction/ssim"}
    difference = crisp.scores["reconstruction/psnr"] - soft.scores["reconstruction/psnr"]
    psnr = effects["reconstruction/psnr"]
    assert psnr.estimate.value == pytest.approx(difference.mean().item())
    assert psnr.estimate.error == pytest.approx((difference.std() / len(difference) ** 0.5).item(), rel=0.1)
    assert psnr.size == pytest.approx((difference.mean() / difference.std()).item())
    assert psnr.corrected == correct_holm([each.estimate.p for each in comparison.effects])[0]
