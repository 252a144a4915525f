"""What is wrong with one variant of a study is found before the first run is trained."""

from pathlib import Path

import pytest

import vaegan
from vaegan.config import Config, dump_config
from vaegan.errors import UserError

from ...tiny import tiny, train_once

QUEUE = ("model.discriminator.instance_layers=[1]", "model.adversarial.instance=0.1")
PROJECTED = "model.discriminator.projected_layers=[1,2]"
AVERAGES = (
    "train.second_ema_half_life=100", "train.ema_half_life=10", "train.evaluate_every=2",
    "train.ema_metric=sample/fd", "evaluate.metrics=[psnr]", "data.validation=0.2",
)  # fmt: skip


def compare(folder: Path, config: Config, **settings: object) -> None:
    """Compare a VAE with a variant of this config."""
    metrics, validation = list(config.evaluate.metrics), config.data.validation
    vae = tiny("vae", f"data.validation={validation}", f"evaluate.metrics={metrics}")
    variants = {"vae": vae, "other": config}
    for name, variant in variants.items():
        (folder / f"{name}.yaml").write_text(dump_config(variant))
    recipes = {name: {"recipe": str(folder / f"{name}.yaml")} for name in variants}
    study = {"title": "Tiny", "variants": recipes, "seeds": [0], **settings}
    vaegan.compare(study, output=folder / "study", progress=False)


def test_a_queue_that_is_too_long_for_the_images(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^model\.adversarial\.instance_queue: 4,096 of "):
        compare(tmp_path, tiny("vaegan3", *QUEUE, "evaluate.metrics=[psnr]"))
    assert not list((tmp_path / "study").rglob("config.yaml"))


def test_a_metric_that_cannot_choose_between_two_averages(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^train\.ema_metric: sample/fd: not among those that evaluate\.metrics names"):
        compare(tmp_path, tiny("vae", *AVERAGES))
    assert not list((tmp_path / "study").rglob("config.yaml"))


def test_the_metrics_use_the_classifier_of_a_discriminator(tmp_path: Path) -> None:
    classifier = vaegan.Run(train_once("classifier")).config
    (tmp_path / "features.yaml").write_text(dump_config(classifier))
    with pytest.raises(UserError) as caught:
        compare(
            tmp_path, tiny("vaegan3", PROJECTED, "evaluate.metrics=[frechet]"), features=str(tmp_path / "features.yaml")
        )
    message = "is what the discriminator was trained on (train.discriminator_features), and would flatter the model"
    network = tmp_path / "study/features/features"
    assert str(caught.value) == f"features: {network}: {message}; name another classifier"
    assert [file.parent for file in (tmp_path / "study").rglob("config.yaml")] == [network]


def test_studies_runs_and_ablations_do_not_share_a_folder(tmp_path: Path) -> None:
    file = tmp_path / "vae.yaml"
    file.write_text(dump_config(tiny("vae", "evaluate.metrics=[psnr]", "data.validation=0.2")))
    ablation = {
        "title": "Tiny", "base": {"recipe": str(file)}, "changes": {"slow": {"train": {"learning_rate": 1e-9}}},
        "metric": "reconstruction/psnr", "screen": {"steps": 2}, "confirm": {"steps": 3},
    }  # fmt: skip
    study = {"title": "Tiny", "variants": {"a": {"recipe": str(file)}, "b": {"recipe": str(file)}}, "seeds": [0]}
    for name, content, refuse in (
        ("config.yaml", "a run", lambda folder: vaegan.compare(study, output=folder)),
        ("config.yaml", "a run", lambda folder: vaegan.ablate(ablation, output=folder)),
        ("ablation.json", "an ablation", lambda folder: vaegan.compare(study, output=folder)),
        ("comparison.json", "a study", lambda folder: vaegan.ablate(ablation, output=folder)),
    ):
        folder = tmp_path / f"{content} {len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        (folder / name).touch()
        with pytest.raises(UserError) as caught:
            refuse(folder)
        assert str(caught.value) == f"output {folder}: holds {content} ({name}); name another folder"
        assert [each.name for each in folder.iterdir()] == [name]
