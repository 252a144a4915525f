"""A finished model in a study: evaluated as it is, beside the variants that are trained."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from vaegan.cli.console import Console
from vaegan.config import dump_config, load_study
from vaegan.data import open_data
from vaegan.errors import UserError
from vaegan.evaluate.run_list import list_runs
from vaegan.evaluate.study import compare
from vaegan.io import load_tensors
from vaegan.storage.diffusers_folder import export_to_diffusers
from vaegan.storage.loading import load
from vaegan.storage.run_folder import Run
from vaegan.trainers import train

from ..tiny import tiny, tiny_diffusers
from .studies import SETTINGS, train_one

WEIGHTS = "diffusion_pytorch_model.safetensors"
SHARED = {"evaluate": {"metrics": ["psnr", "sharpness", "elbo"], "samples": 20}, "train": {"steps": 2}}
"""Settings of the study; a finished model takes no step, whatever they are."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a folder of diffusers, the run that it is of, the run of a VAE-GAN, and the recipe of a VAE."""
    pytest.importorskip("diffusers")
    folder = tmp_path_factory.mktemp("made")
    for name, config in {
        "kl": tiny_diffusers("vae", "AutoencoderKL", "seed=9", "train.steps=2"),
        "gan": tiny("vaegan3", "model.learned_scale=true", "train.steps=3", "train.learning_rate=0.05"),
    }.items():
        train(config, folder / name, open_data(config.data))
    settings = export_to_diffusers(folder / "kl", folder / "published")
    assert settings["scaling_factor"] != 1
    later = settings | {"of_another_version": 1}  # a key that this version of diffusers does not know
    (folder / "published" / "config.json").write_text(json.dumps(later))
    (folder / "vae.yaml").write_text(dump_config(tiny("vae", *SETTINGS)))
    return folder


def run(made: Path, output: Path, variants: dict[str, Any], **settings: Any) -> Any:
    """Run a study of two seeds whose file lies beside the models."""
    study = {"title": "T", "variants": variants, "seeds": [5, 6], "shared": SHARED, **settings}
    (made / "study.yaml").write_text(json.dumps(study))
    loaded = load_study(made / "study.yaml")
    return compare(loaded.study, loaded.configs, output, train_one, Console())


def test_it_is_evaluated_beside_what_is_trained_and_compared_as_unmatched(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    variants = {"vae": {"recipe": "vae.yaml"}, "published": {"model": "published"}, "gan": {"model": "gan"}}
    comparison = run(made, tmp_path / "study", variants)
    assert "left out" not in capsys.readouterr().err, "there is no cost, and no curve, that could be missing"
    assert comparison.images_seen == {"vae": 2 * 8, "published": 0, "gan": 0}
    assert len([sentence for sentence in comparison.unmatched if "it was not trained here" in sentence]) == 2
    sentences = comparison.list_sentences()
    assert "published took no training here." in sentences and len(comparison.verdicts) > 0
    for name, run_name in (("published", "kl"), ("gan", "gan")):
        evaluated = comparison.runs[name][6]
        assert evaluated.cost == {} and "seconds" not in comparison.get_spreads(name)
        weights, own = (load(path).state_dict() for path in (evaluated.run.path, made / run_name))
        for key, value in own.items():
            exact = key != "scale.logarithm"  # that of the scale which a config gives
            assert torch.allclose(value, weights[key], rtol=0 if exact else 1e-6, atol=0)
    assert comparison.configs["gan"].model.scale == pytest.approx(load(made / "gan").trained_config.scale) != 0.2
    page = (tmp_path / "study" / "report.html").read_text()
    assert "16</b> images seen by each that was trained here" in page and "no training here" in page
    assert ", apart from published and gan" in page
    again = run(made, tmp_path / "study", variants)
    assert again.runs["published"][5].evaluation.metrics == comparison.runs["published"][5].evaluation.metrics


def test_a_damaged_one_is_found_before_anything_is_trained(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "published", made / "torn")
    (made / "torn" / WEIGHTS).write_bytes((made / "torn" / WEIGHTS).read_bytes()[:500])
    with pytest.raises(UserError, match=r"train.init: .*torn: "):
        run(made, tmp_path / "study", {"vae": {"recipe": "vae.yaml"}, "torn": {"model": "torn"}})
    assert not Run(tmp_path / "study" / "vae" / "seed_5").exists


def test_it_may_be_what_others_are_compared_with(made: Path, tmp_path: Path) -> None:
    variants = {"published": {"model": str(made / "published")}, "vae": {"recipe": "vae.yaml"}}
    comparison = run(made, tmp_path / "study", variants, seeds=[5], matched=["wall_clock"])
    assert comparison.images_seen == {"published": 0, "vae": 2 * 8}, "the time is that of the first that is trained"
    assert comparison.unmatched == ["vae is not matched with published: it was trained here"]
    assert "vae took a training, and published none here." in comparison.list_sentences()
    assert not (tmp_path / "study" / "wall_clock" / "published").exists()


def test_finished_models_are_listed_with_all_runs_that_can_begin(made: Path, tmp_path: Path) -> None:
    (made / "flow.yaml").write_text(dump_config(tiny("flow", "train.steps=2")))
    variants = {"vae": {"recipe": "vae.yaml"}, "published": {"model": "published"}, "gan": {"model": "gan"}}
    study = {"title": "T", "variants": variants | {"flow": {"recipe": "flow.yaml", "prior": "vae"}}, "seeds": [5, 6]}
    (made / "study.yaml").write_text(json.dumps(study | {"shared": SHARED}))
    loaded = load_study(made / "study.yaml")

    def list_names() -> tuple[set[str], int]:
        found = list_runs(loaded.study, loaded.configs, tmp_path, Console())
        for folder, config in found.runs.items():
            if config.train.steps == 0:
                train(config, folder, open_data(config.data))
        return {f"{folder.parent.name}{folder.name[-1]}" for folder in found.runs}, found.later

    assert list_names() == ({"published5", "published6", "gan5", "gan6", "vae5", "vae6"}, 2)
    assert list_names() == ({"vae5", "vae6"}, 2), "the priors follow when all others are trained"


@pytest.mark.parametrize("source", ["published", "kl"])
def test_a_training_of_no_steps_makes_a_run_of_its_weights(source: str, made: Path, tmp_path: Path) -> None:
    config = tiny_diffusers("vae", "AutoencoderKL", "seed=3", f"train.init={made / source}", "train.steps=0")
    trained = train(config, tmp_path / "run", open_data(config.data))
    assert trained.finished and trained.exported_step == 0 and not list(trained.checkpoints.glob("*"))
    export_to_diffusers(trained.path, tmp_path / "out")
    exported, original = (load_tensors(folder / WEIGHTS) for folder in (tmp_path / "out", made / "published"))
    assert exported.keys() == original.keys()
    assert all(torch.equal(exported[name], value) for name, value in original.items())
    images = torch.randint(256, (3, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(load(trained.path).reconstruct(images), load(made / "kl").reconstruct(images))
    resumed = train(config, tmp_path / "run", open_data(config.data), resume=True)
    assert Run(resumed.path).finished


@pytest.mark.parametrize(
    ("variant", "message"),
    [({}, "variants.x.recipe: missing; a variant has either a recipe or a model"),
     ({"model": "published", "recipe": "vae.yaml"}, "variants.x.recipe: given beside model"),
     ({"model": "none"}, "no such folder; name a run, or a folder of diffusers"),
     ({"model": "hf://none"}, "allowed: hf://owner/name"),
     ({"model": "other"}, "UNet2DModel; allowed: AutoencoderKL"),
     ({"model": "published", "set": {"model": {"width": 8}}}, "model.width: unknown key"),
     ({"model": "published", "set": {"train": {"steps": 3}}}, "set.train: a finished model is not trained"),
     ({"model": "published", "prior": "vae"}, "variants.x.prior: a finished model trains none")],
)  # fmt: skip
def test_what_is_no_finished_model_gets_a_line(variant: dict[str, Any], message: str, made: Path) -> None:
    (made / "other").mkdir(exist_ok=True)
    (made / "other" / "config.json").write_text('{"_class_name": "UNet2DModel"}')
    study = {"title": "T", "variants": {"vae": {"recipe": "vae.yaml"}, "x": variant}}
    (made / "study.yaml").write_text(json.dumps(study))
    with pytest.raises(UserError) as error:
        load_study(made / "study.yaml")
    assert message in str(error.value) and "\n" not in str(error.value)


def test_no_steps_need_weights_to_start_from() -> None:
    with pytest.raises(UserError, match=r"train\.steps: 0 trains nothing; give 1 or more, or"):
        tiny("vae", "train.steps=0")
