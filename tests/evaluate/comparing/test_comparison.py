"""What a comparison says of given figures."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from vaegan.evaluate.comparing.bootstrap import correct_holm
from vaegan.evaluate.comparing.comparison import Comparison
from vaegan.evaluate.result import EvaluatedRun, EvaluationResult
from vaegan.storage.run_folder import Run

from ..distortions import add_noise, blur, evaluate
from ..studies import make_configs, make_study


def comparison_of(*pairs: tuple[EvaluationResult, EvaluationResult]) -> Comparison:
    """A study of a reference and an "other" variant whose evaluations are given for each seed."""
    variants = make_configs(names=("vae", "vaegan3"))
    study = make_study(variants, seeds=tuple(range(len(pairs))))
    judged: dict[str, dict[int, EvaluatedRun]] = {"vae": {}, "vaegan3": {}}
    for seed, pair in enumerate(pairs):
        for (name, config), evaluation in zip(variants.items(), pair, strict=True):
            seconds = {"vae": 2.0, "vaegan3": 5.0}[name]
            judged[name][seed] = EvaluatedRun(
                Run(Path(name)), config, evaluation, {"seconds": seconds, "memory_bytes": 1e9}, {"encoder": 3}
            )
    return Comparison(study, judged, {}, None)


def test_findings_say_what_the_evidence_says(photos: Tensor) -> None:
    soft, softer, crisp = (evaluate(photos, lambda images, s=s: blur(images, s)) for s in (1.0, 2.0, 0.5))
    noise = evaluate(photos, lambda images: add_noise(blur(images, 1.0), 0.05))

    (finding, samples), sentences = comparison_of((soft, crisp)).verdicts, comparison_of((soft, crisp)).list_sentences()
    assert finding.headline == "Reconstructions of vaegan3 are sharper than those of vae at this seed"
    assert finding.reasons[0].startswith("spectrum error −") and finding.reasons[0].endswith(", p < 0.001")
    assert sentences[0] == f"{finding.headline}: {'; '.join(finding.reasons)}."
    in_spectrum = "Samples of vaegan3 are, in spectrum only, closer to the real images than those of vae"
    assert samples.headline == f"{in_spectrum} at this seed"
    grainy, real = (
        evaluate(photos, lambda images: add_noise(blur(images, 1.0), 0.3)),
        evaluate(photos, lambda images: images),
    )
    undecided = comparison_of((grainy, real)).verdicts[1]
    assert undecided.headline == "Samples of vaegan3 may or may not be sharper than those of vae at this seed"
    assert undecided.reasons[-1] == "no distance of the sets was measured"
    assert "vaegan3 took 2.5 times the training time of vae." in sentences
    assert sentences[-1] == "One seed: every verdict is conditional on seed 0, and another seed may change it."

    assert {each.answer for each in comparison_of((soft, softer)).verdicts} == {"less sharp"}
    (noisier, _) = comparison_of(*[(soft, noise)] * 5).verdicts
    assert noisier.headline == "Reconstructions of vaegan3 are sharper in spectrum but noisier than those of vae"
    (same, _) = comparison_of(*[(soft, soft)] * 3).verdicts
    assert (
        same.headline
        == "Reconstructions of vaegan3 are not distinguishable in sharpness from those of vae at these 3 seeds"
    )

    assert "conditional on them" in comparison_of(*[(soft, crisp)] * 4).describe_condition()
    assert comparison_of(*[(soft, crisp)] * 5).describe_condition() == "5 seeds."


def test_variants_are_compared_with_each_reference_before_them(photos: Tensor) -> None:
    """All comparisons are corrected together, and the two of a pair are the study of those two alone."""
    blurs = {"vae": 2.0, "ae": 1.0, "vaegan3": 0.5}
    variants = make_configs(names=tuple(blurs))
    judged = {
        name: {
            0: EvaluatedRun(
                Run(Path(name)),
                config,
                evaluate(photos, lambda images, s=s: blur(images, s)),
                {"seconds": s},
                {},
            )
        }
        for (name, config), s in zip(variants.items(), blurs.values(), strict=True)
    }
    study = make_study(variants, seeds=(0,))
    whole = Comparison(study.model_copy(update={"references": ("vae", "ae")}), judged, {}, None)
    assert whole.pairs == [("ae", "vae"), ("vaegan3", "vae"), ("vaegan3", "ae")]
    assert Comparison(study, judged, {}, None).pairs == whole.pairs[:2]
    found = {(each.variant, each.reference, each.kind): each for each in whole.verdicts}
    assert len(found) == 6 and all(each.answer != "not distinguishable" for each in found.values())
    alone = Comparison(study, {name: judged[name] for name in ("ae", "vaegan3")}, {}, None)
    for finding in alone.verdicts:
        same = found[finding.variant, finding.reference, finding.kind]
        assert same.evidence == finding.evidence and same.headline == finding.headline
        assert all(a >= b for a, b in zip(same.corrected, finding.corrected, strict=True))
    assert "vaegan3 took 0.5 times the training time of ae." in whole.list_sentences()
    incomplete = {**judged, "ae": {0: replace(judged["ae"][0], cost={})}}
    sentences = Comparison(whole.study, incomplete, {}, None).list_sentences()
    assert "vaegan3 took a training time that nobody knows." in sentences


def test_seeds_that_disagree_decide_nothing_about_all_seeds(photos: Tensor) -> None:
    soft, softer, crisp = (evaluate(photos, lambda images, s=s: blur(images, s)) for s in (1.0, 2.0, 0.5))
    (finding, _) = comparison_of((soft, crisp), *[(soft, softer), (soft, crisp)] * 2).verdicts
    assert finding.answer == "not distinguishable" and finding.seeds == (0, 1, 2, 3, 4)


def test_probabilities_are_corrected_for_all_tests_of_the_study(photos: Tensor) -> None:
    soft, crisp = (evaluate(photos, lambda images, s=s: blur(images, s)) for s in (1.0, 0.99))
    findings = comparison_of((soft, crisp)).verdicts
    tests = [test for finding in findings for test in finding.evidence.tests]
    assert [p for finding in findings for p in finding.corrected] == correct_holm([test.p for test in tests])
    assert len(tests) == 4


def test_effects_are_those_of_paired_images(photos: Tensor) -> None:
    soft, crisp = (
        evaluate(photos, lambda images, s=s: blur(images, s), "psnr", "ssim", "sharpness") for s in (1.0, 0.5)
    )
    comparison = comparison_of((soft, crisp), (soft, crisp))
    effects = {effect.key: effect for effect in comparison.effects}
    assert effects.keys() == {"reconstruction/psnr", "reconstruction/ssim"}
    difference = crisp.scores["reconstruction/psnr"] - soft.scores["reconstruction/psnr"]
    psnr = effects["reconstruction/psnr"]
    assert psnr.estimate.value == pytest.approx(difference.mean().item())
    assert psnr.estimate.error == pytest.approx((difference.std() / len(difference) ** 0.5).item(), rel=0.1)
    assert psnr.size == pytest.approx((difference.mean() / difference.std()).item())
    assert psnr.corrected == correct_holm([each.estimate.p for each in comparison.effects])[0]


def test_the_record_is_json(photos: Tensor) -> None:
    soft, crisp = (evaluate(photos, lambda images, s=s: blur(images, s), "psnr", "sharpness") for s in (1.0, 0.5))
    record = json.loads(json.dumps(comparison_of((soft, crisp)).to_record(), allow_nan=False))
    assert [finding["answer"] for finding in record["findings"]] == ["sharper", "closer in spectrum only"]
    assert record["effects"][0]["key"] == "reconstruction/psnr"
    assert set(record["controls"]) == set()


def test_the_better_value_is_marked(photos: Tensor) -> None:
    soft, crisp = (evaluate(photos, lambda images, s=s: blur(images, s), "psnr", "sharpness") for s in (1.0, 0.5))
    rows = {row.metric.name: row for row in comparison_of((soft, crisp)).build_rows()}
    assert rows["PSNR, dB ↑"].best == {"vaegan3"}
    assert rows["training time ↓"].best == {"vae"}
    assert rows["parameters"].best == set()
    tied = {row.metric.name: row for row in comparison_of((soft, soft)).build_rows()}
    assert tied["PSNR, dB ↑"].best == {"vae", "vaegan3"}
    assert torch.tensor(tied["PSNR, dB ↑"].metric.ideal).isinf()
