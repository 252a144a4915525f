"""The verdicts, tables and record of a comparison of given results."""

import json
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from vaegan.evaluate.comparing.comparison import Comparison
from vaegan.evaluate.result import EvaluatedRun
from vaegan.storage.run_folder import Run

from ..distortions import add_noise, blur, evaluate
from ..studies import make_comparison, make_configs, make_study


def test_verdicts_say_what_the_evidence_says(photos: Tensor) -> None:
    soft, softer, crisp = (evaluate(photos, lambda images, s=s: blur(images, s)) for s in (1.0, 2.0, 0.5))
    noise = evaluate(photos, lambda images: add_noise(blur(images, 1.0), 0.05))

    comparison = make_comparison((soft, crisp))
    (verdict, samples), sentences = comparison.verdicts, comparison.list_sentences()
    assert verdict.headline == "Reconstructions of vaegan3 are sharper than those of vae at this seed"
    assert verdict.reasons[0].startswith("spectrum error −") and verdict.reasons[0].endswith(", p < 0.001")
    assert sentences[0] == f"{verdict.headline}: {'; '.join(verdict.reasons)}."
    in_spectrum = "Samples of vaegan3 are, in spectrum only, closer to the real images than those of vae"
    assert samples.headline == f"{in_spectrum} at this seed"
    grainy, real = (
        evaluate(photos, lambda images: add_noise(blur(images, 1.0), 0.3)),
        evaluate(photos, lambda images: images),
    )
    undecided = make_comparison((grainy, real)).verdicts[1]
    assert undecided.headline == "Samples of vaegan3 may or may not be sharper than those of vae at this seed"
    assert undecided.reasons[-1] == "no distance of the sets was measured"
    assert "vaegan3 took 2.5 times the training time of vae." in sentences
    assert sentences[-1] == "One seed: every verdict is conditional on seed 0, and another seed may change it."

    assert {each.answer for each in make_comparison((soft, softer)).verdicts} == {"less sharp"}
    (noisier, _) = make_comparison(*[(soft, noise)] * 5).verdicts
    assert noisier.headline == "Reconstructions of vaegan3 are sharper in spectrum but noisier than those of vae"
    (same, _) = make_comparison(*[(soft, soft)] * 3).verdicts
    assert (
        same.headline
        == "Reconstructions of vaegan3 are not distinguishable in sharpness from those of vae at these 3 seeds"
    )

    assert "conditional on them" in make_comparison(*[(soft, crisp)] * 4).describe_condition()
    assert make_comparison(*[(soft, crisp)] * 5).describe_condition() == "5 seeds."


def test_variants_are_compared_with_each_reference_before_them(photos: Tensor) -> None:
    """All comparisons are corrected together, and the two of a pair are the study of those two alone."""
    blurs = {"vae": 2.0, "ae": 1.0, "vaegan3": 0.5}
    variants = make_configs(names=tuple(blurs))
    runs = {
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
    whole = Comparison(study.model_copy(update={"references": ("vae", "ae")}), runs, {}, None)
    assert whole.pairs == [("ae", "vae"), ("vaegan3", "vae"), ("vaegan3", "ae")]
    assert Comparison(study, runs, {}, None).pairs == whole.pairs[:2]
    verdicts = {(each.variant, each.reference, each.kind): each for each in whole.verdicts}
    assert len(verdicts) == 6 and all(each.answer != "not distinguishable" for each in verdicts.values())
    alone = Comparison(study, {name: runs[name] for name in ("ae", "vaegan3")}, {}, None)
    for verdict in alone.verdicts:
        same = verdicts[verdict.variant, verdict.reference, verdict.kind]
        assert same.evidence == verdict.evidence and same.headline == verdict.headline
        assert all(a >= b for a, b in zip(same.corrected, verdict.corrected, strict=True))
    assert "vaegan3 took 0.5 times the training time of ae." in whole.list_sentences()
    incomplete = {**runs, "ae": {0: replace(runs["ae"][0], cost={})}}
    sentences = Comparison(whole.study, incomplete, {}, None).list_sentences()
    assert "vaegan3 took an unknown training time." in sentences


def test_the_record_is_json(photos: Tensor) -> None:
    soft, crisp = (evaluate(photos, lambda images, s=s: blur(images, s), "psnr", "sharpness") for s in (1.0, 0.5))
    record = json.loads(json.dumps(make_comparison((soft, crisp)).to_record(), allow_nan=False))
    assert [verdict["answer"] for verdict in record["findings"]] == ["sharper", "closer in spectrum only"]
    assert record["effects"][0]["key"] == "reconstruction/psnr"
    assert set(record["controls"]) == set()


def test_the_better_value_is_marked(photos: Tensor) -> None:
    soft, crisp = (evaluate(photos, lambda images, s=s: blur(images, s), "psnr", "sharpness") for s in (1.0, 0.5))
    rows = {row.metric.name: row for row in make_comparison((soft, crisp)).build_rows()}
    assert rows["PSNR, dB ↑"].best == {"vaegan3"}
    assert rows["training time ↓"].best == {"vae"}
    assert rows["parameters"].best == set()
    tied = {row.metric.name: row for row in make_comparison((soft, soft)).build_rows()}
    assert tied["PSNR, dB ↑"].best == {"vae", "vaegan3"}
    assert torch.tensor(tied["PSNR, dB ↑"].metric.ideal).isinf()
