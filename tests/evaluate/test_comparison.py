"""What a comparison says of given figures."""

from pathlib import Path

import torch
from torch import Tensor

from vaegan.evaluate.comparison import Comparison, Judged
from vaegan.evaluate.runner import Evaluation
from vaegan.runs import Run

from .controls import blur, judge, noisy
from .studies import configs, study_of


def comparison_of(*pairs: tuple[Evaluation, Evaluation]) -> Comparison:
    """A study of a reference and an "other" variant whose evaluations are given for each seed."""
    variants = configs(names=("vae", "vaegan3"))
    study = study_of(variants, seeds=tuple(range(len(pairs))))
    judged: dict[str, dict[int, Judged]] = {"vae": {}, "vaegan3": {}}
    for seed, pair in enumerate(pairs):
        for (name, config), evaluation in zip(variants.items(), pair, strict=True):
            seconds = {"vae": 2.0, "vaegan3": 5.0}[name]
            judged[name][seed] = Judged(Run(Path(name)), config, evaluation, seconds, 1e9, {"encoder": 3})
    return Comparison(study, judged, {}, None)


def test_findings_say_what_the_verdicts_say(photos: Tensor) -> None:
    soft, softer, crisp = (judge(photos, lambda images, s=s: blur(images, s)) for s in (1.0, 2.0, 0.5))
    noise = judge(photos, lambda images: noisy(blur(images, 1.0), 0.05))

    (finding, _), one = comparison_of((soft, crisp)).findings(), comparison_of((soft, crisp)).sentences()
    assert finding.sharper is True
    assert finding.headline == "Reconstructions of vaegan3 are sharper than those of vae"
    assert finding.reasons[0].startswith("closer in spectrum")
    assert "vaegan3 took 2.5 times the training time of vae." in one
    assert one[-1] == "One seed: every verdict is conditional on seed 0, and another seed may change it."

    finding, samples = comparison_of((soft, softer)).findings()
    assert finding.sharper is samples.sharper is False
    assert finding.headline == "Reconstructions of vaegan3 are not sharper than those of vae"
    assert comparison_of((soft, noise)).findings()[0].sharper is False

    finding, samples = comparison_of((soft, crisp), (soft, softer)).findings()
    assert finding.sharper is None
    assert finding.headline == "Reconstructions of vaegan3 are sharper than those of vae at 1 of 2 seeds"
    assert (finding.answer, samples.answer) == ("Sharper at 1 of 2 seeds", "Sharper at 0 of 2 seeds")
    assert [reason[:7] for reason in finding.reasons] == ["seed 0:", "seed 1:"]
    assert "conditional" in comparison_of((soft, crisp), (soft, softer)).condition()
    assert comparison_of(*[(soft, crisp)] * 5).condition() == "5 seeds."

    undecided = comparison_of((softer, crisp)).findings()[1]
    assert undecided.sharper is None
    assert undecided.headline == "Whether samples of vaegan3 are sharper than those of vae is undecided"


def test_the_better_value_is_marked(photos: Tensor) -> None:
    soft, crisp = (judge(photos, lambda images, s=s: blur(images, s), "psnr", "sharpness") for s in (1.0, 0.5))
    rows = {row.figure.name: row for row in comparison_of((soft, crisp)).rows()}
    assert rows["PSNR, dB ↑"].best == {"vaegan3"}
    assert rows["training time ↓"].best == {"vae"}
    assert rows["parameters"].best == set()
    tied = {row.figure.name: row for row in comparison_of((soft, soft)).rows()}
    assert tied["PSNR, dB ↑"].best == {"vae", "vaegan3"}
    assert torch.tensor(tied["PSNR, dB ↑"].figure.ideal).isinf()
