"""What a discriminator that scores pairs of images cannot say of a single one."""

from pathlib import Path

from vaegan.config import dump_config

from ..tiny import tiny


def test_scores_of_single_images_are_refused_by_name(vaegan, get_error, work: Path) -> None:
    words = ("model.discriminator.packing=2", "evaluate.metrics=[psnr, confusion, anomaly]", "evaluate.samples=30")
    (work / "pairs.yaml").write_text(dump_config(tiny("vaegan3", *words)))
    assert vaegan("train", "pairs.yaml", "--output", "pairs")[0] == 0
    problem = "the discriminator of pairs scores pairs of images (model.discriminator.packing)"
    error = get_error("generate", "pairs", "-n", "2", "-o", "made", "--reject", "realness=0.5")
    assert f"--reject realness: {problem}; use distance" in error
    error = get_error(
        "anomaly", "pairs", "pairs/samples", "--score", "realness", "--false-alarms", "0.5", "-o", "a.png"
    )
    assert f"score realness: {problem}; use pixels" in error
    code, out, err = vaegan("evaluate", "pairs")
    assert code == 0 and "left out are confusion: the discriminator scores pairs of images" in err
    assert "reconstruction/psnr" in out and "confusion" not in out and "realness" not in out
