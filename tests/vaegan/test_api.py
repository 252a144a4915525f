"""What `import vaegan` offers, as a script or a notebook calls it."""

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

import vaegan
from vaegan.config.load import load_config
from vaegan.errors import UserError
from vaegan.storage.loading import load_model

from ..tiny import are_bit_identical, flatten, load_newest, tiny

PIXELS = np.rint(load_digits().images * (255 / 16)).astype(np.uint8)[:, None]
"""uint8 (1797, 1, 8, 8)."""


@pytest.fixture(scope="module")
def given_run(tmp_path_factory: pytest.TempPathFactory) -> vaegan.Run:
    """A conditional VAE of given images with labels."""
    output = tmp_path_factory.mktemp("runs") / "given"
    settings = {"model.labels": 10}
    return vaegan.train(tiny("vae"), settings, output=output, data=(PIXELS, load_digits().target), progress=False)


def test_importing_vaegan_imports_nothing_that_takes_time() -> None:
    code = "import sys, vaegan; print(dir(vaegan)); print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    names, modules = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    assert names == str(sorted(vaegan.__all__))
    assert not {"torch", "numpy", "pydantic", "yaml", "rich", "click", "PIL"} & set(modules.split())


def test_every_name_is_there_and_documented() -> None:
    for name in set(vaegan.__all__) - {"__version__"}:
        thing = getattr(vaegan, name)
        assert thing is getattr(vaegan.api, name)
        text, parameters = inspect.getdoc(thing) or "", inspect.signature(thing).parameters
        assert text
        if inspect.isfunction(thing):
            assert all(f"\n    {parameter}: " in text for parameter in parameters), f"{name}: an argument is missing"
    with pytest.raises(AttributeError, match=r"^module 'vaegan' has no attribute 'trian'$"):
        _ = vaegan.trian  # type: ignore[attr-defined]


def test_a_config_can_be_given_as_recipe_file_settings_or_config(tmp_path: Path) -> None:
    config = tiny("vae", "train.steps=2")
    file = tmp_path / "tiny.yaml"
    file.write_text(vaegan.config.dump_config(config))
    settings = {"train.steps": np.int64(2), "train.betas": [0.8, 0.9]}
    given = [config, file, str(file), config.model_dump(), config.model_dump(mode="json"), dict(config)]
    runs = [vaegan.train(each, settings, output=tmp_path / str(n), progress=False) for n, each in enumerate(given)]
    assert all(run.config == runs[0].config for run in runs)
    assert runs[0].config.train.betas == (0.8, 0.9)
    models = [load_model(run).state_dict() for run in runs]
    assert all(are_bit_identical(model, models[0]) for model in models)


def test_settings_in_python_are_those_of_the_command_line() -> None:
    words = ["train.steps=7", "model.adversarial.adaptive=[0.1, 2]", "track.tags=[a, b]", "train.clip_norm=null"]
    flat = {
        "train.steps": 7, "model.adversarial.adaptive": (0.1, 2), "track.tags": ["a", "b"], "train.clip_norm": None,
    }  # fmt: skip
    nested = {"train": {"steps": 7, "clip_norm": None}, "model": {"adversarial": {"adaptive": [0.1, 2]}},
              "track": {"tags": ["a", "b"]}}  # fmt: skip
    assert load_config("digits/vaegan3", words) == load_config("digits/vaegan3", flat)
    assert load_config("digits/vaegan3", words) == load_config("digits/vaegan3", nested)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train.step": 5}, "digits/vae: train.step: unknown key (given 5); did you mean train.steps?"),
        ({"train.steps": "5"}, 'digits/vae: train.steps: got "5"; allowed: integer'),
        ({"train.steps": object()}, "a setting is a number, text, true or false, None, a list or a mapping"),
        ({3: 4}, "3: not the name of a setting"),
        (["train.steps=5"], "settings: a list; give a mapping, such as {'train.steps': 500}"),
    ],
)
def test_a_wrong_setting_is_named(settings: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        vaegan.train("digits/vae", settings, output=tmp_path / "run")
    assert message in str(error.value) and not (tmp_path / "run").exists()


def test_a_config_without_a_name_needs_an_output() -> None:
    with pytest.raises(UserError, match=r"^output: missing; "):
        vaegan.train(tiny("vae"))


def test_given_digits_train_the_weights_of_the_embedded_ones(tmp_path: Path, given_run: vaegan.Run) -> None:
    """With no image held out, since which are is a property of an image of one's own."""
    settings, data = {"model.labels": 10, "data.validation": 0, "data.test": 0}, (PIXELS, load_digits().target)
    embedded = vaegan.train(tiny("vae"), settings, output=tmp_path / "embedded", progress=False)
    given = vaegan.train(tiny("vae"), settings, output=tmp_path / "given", data=data, progress=False)
    assert are_bit_identical(*(flatten(load_newest(run.path)) for run in (given, embedded)))
    data = given_run.config.data
    assert data.source == "given" and data.sha256 is not None and len(data.sha256) == 64


def test_a_run_of_given_images_resumes_on_these_alone(tmp_path: Path, given_run: vaegan.Run) -> None:
    settings, data = {"model.labels": 10, "train.checkpoint_every": 2}, (PIXELS, load_digits().target)
    stopped = vaegan.train(tiny("vae"), settings, output=tmp_path / "run", data=data, progress=False)
    for name in ("model/config.json", "checkpoints/step_00000005/state.json"):  # as if killed before the last one
        (stopped.path / name).unlink()
    assert not stopped.finished
    with pytest.raises(
        UserError, match=r"run: the images are not those .* labels changed: .*; give those, or go on with"
    ):
        vaegan.train(
            tiny("vae"), settings, output=stopped, data=(PIXELS, np.roll(data[1], 1)), resume=True, progress=False
        )
    resumed = vaegan.train(tiny("vae"), settings, output=stopped, data=data, resume=True, progress=False)
    assert are_bit_identical(flatten(load_newest(resumed.path)), flatten(load_newest(given_run.path)))
    from_file = vaegan.train(stopped.config_file, output=stopped, data=data, resume=True, progress=False)
    assert from_file == resumed


def test_a_run_of_given_images_is_evaluated_on_these_alone(given_run: vaegan.Run) -> None:
    data = PIXELS, load_digits().target
    result = vaegan.evaluate_run(given_run, metrics=["psnr"], samples=20, data=data, progress=False)
    assert list(result.metrics) == ["reconstruction/psnr"] and type(result.metrics) is dict
    assert result.protocol["reconstructions"] == 20 and given_run.metrics_file.is_file()
    assert "tensor" not in repr(result) and "psnr" in repr(result)
    for images, message in (
        (None, r"^data\.source: given: .*vaegan\.evaluate_run\(run, data=images\)"),
        (PIXELS, r"given: the images are not those .*: 1,797 labels changed: 0, 1, 2 .*; give those, or use these by"),
    ):
        with pytest.raises(UserError, match=message):
            vaegan.evaluate_run(given_run, data=images, progress=False)


def test_given_networks_are_tried_before_all_images_are_read(tmp_path: Path) -> None:
    read: list[int] = []

    class Counted:
        def __len__(self) -> int:
            return len(PIXELS)

        def __getitem__(self, index: int) -> Any:
            read.append(index)
            return PIXELS[index]

    networks = {"encoder": torch.nn.Flatten()}
    with pytest.raises(UserError, match=r"^networks: encoder: "):
        vaegan.train(tiny("ae"), output=tmp_path / "run", data=Counted(), networks=networks, progress=False)
    assert set(read) == {0} and not (tmp_path / "run").exists()


def test_a_classifier_can_be_given_as_a_run(given_run: vaegan.Run) -> None:
    with pytest.raises(UserError) as error:
        vaegan.evaluate_run(given_run, metrics=["frechet"], features=given_run, data=(PIXELS, load_digits().target))
    assert str(error.value).startswith(f"evaluate.features: {given_run.path}: ")


def test_a_run_of_named_images_takes_no_others(tmp_path: Path) -> None:
    run = vaegan.train(tiny("ae"), output=tmp_path / "run", progress=False)
    with pytest.raises(UserError, match=r"^data: the run's images are those of data\.source=digits; leave "):
        vaegan.evaluate_run(run, data=PIXELS, progress=False)


def test_data_sets_are_made_by_a_run_of_given_images(given_run: vaegan.Run, tmp_path: Path) -> None:
    given = PIXELS, load_digits().target
    Image.fromarray(PIXELS[0, 0]).save(tmp_path / "0.png")
    latents = vaegan.encode_dataset(given_run, given, output=tmp_path / "latents", flip=False, progress=False)
    first = next(number for number, name in enumerate(latents.names) if name == "5")
    model, image = vaegan.load(given_run), vaegan.images.to_float(torch.from_numpy(PIXELS[5:6]))
    expected = model.encode(image, load_digits().target[5]).mean
    torch.testing.assert_close(latents[first][0], expected[0].detach(), rtol=0, atol=1e-6)
    folder = vaegan.generate_dataset(given_run, 3, output=tmp_path / "g", density="gmm:2", data=given, progress=False)
    assert len(list(folder.rglob("*.png"))) == 3
    sizes = vaegan.compress(
        given_run, tmp_path / "0.png", output=tmp_path / "a.vg", label=0, data=given, progress=False
    )
    assert sizes.images == 1
    for call, match in (
        (
            lambda: vaegan.encode_dataset(given_run, output=tmp_path / "x", progress=False),
            "^data.source: given: .*by the argument data",
        ),
        (lambda: vaegan.generate_dataset(given_run, 3, output=tmp_path / "x", data=given), "^data: only a density"),
        (
            lambda: vaegan.encode_dataset(given_run, PIXELS, output=tmp_path / "x", progress=False),
            "use these by allow_other_data=True$",
        ),
    ):
        with pytest.raises(UserError, match=match):
            call()


def test_a_loaded_model_does_what_the_readme_says(given_run: vaegan.Run) -> None:
    model = vaegan.load(given_run)
    images = vaegan.images.to_float(torch.from_numpy(PIXELS[:6]))
    assert model.image_shape == (1, 8, 8)
    assert model.sample(4).shape == (4, 1, 8, 8) and not model.sample(4).requires_grad
    assert model(images, labels=3).reconstruction.shape == images.shape
    assert model.encode(images, 3).kl().shape == (6,)
    assert vaegan.show(images).size[0] > 0


def test_recipes_are_listed_with_what_they_train() -> None:
    recipes = vaegan.recipes()
    assert recipes["digits/vaegan3"].startswith("Three-way VAE-GAN on scikit-learn's handwritten digits")
    assert all(recipes.values()) and "quickstart" in recipes


def test_a_study_can_be_given_in_python(tmp_path: Path) -> None:
    for name in ("vae", "ae"):
        config = tiny(name, "evaluate.metrics=[psnr, sharpness]", "evaluate.samples=40")
        (tmp_path / f"{name}.yaml").write_text(vaegan.config.dump_config(config))
    variants = {name: {"recipe": str(tmp_path / f"{name}.yaml")} for name in ("vae", "ae")}
    study = vaegan.compare(
        {"title": "Two", "variants": variants, "seeds": [0, 1]}, {"train.steps": 3}, output=tmp_path / "study",
        progress=False,
    )  # fmt: skip
    table = study.to_dataframe()
    assert list(table.index) == [("vae", 0), ("vae", 1), ("ae", 0), ("ae", 1)]
    assert table.loc[("vae", 1), "reconstruction/psnr"] == study.runs["vae"][1].metrics["reconstruction/psnr"]
    assert study.runs["ae"][0].config.train.steps == 3
    assert study.report_file == tmp_path / "study/report.html" and study.report_file.is_file()
    assert len(repr(study)) < 300 and "<table>" in study._repr_html_()


def test_training_and_loading_leave_the_random_numbers_of_the_caller(tmp_path: Path) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    run = vaegan.train(tiny("vaegan3"), output=tmp_path / "run", progress=False)
    vaegan.load(run).sample(2)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_returned_run_is_found_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = vaegan.train(tiny("ae"), output="run", progress=False)
    monkeypatch.chdir("/")
    assert run.finished and vaegan.load(run).image_shape == (1, 8, 8)


def test_paths_may_start_at_home_and_must_not_be_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    run = vaegan.train(tiny("ae", "train.steps=1"), output="~/run", progress=False)
    assert run.path == tmp_path / "run" and not (tmp_path / "~").exists()
    assert vaegan.load("~/run").image_shape == (1, 8, 8)
    assert "reconstruction/psnr" in vaegan.evaluate_run("~/run", metrics=["psnr"], progress=False).metrics
    for call, name in (
        (lambda: vaegan.train(tiny("ae"), output=""), "output"), (lambda: vaegan.load(""), "path"),
        (lambda: vaegan.evaluate_run(""), "run"), (lambda: vaegan.plot_history(""), "run"),
        (lambda: vaegan.train(tiny("ae"), {"data": {"source": "folder", "root": ""}}, output="x"), "Config: data.root"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=f"^{name}: empty; name a folder or a file"):
            call()
    with pytest.raises(UserError, match=r"^output: ~nobody-here/run: this home folder is not known"):
        vaegan.train(tiny("ae"), output="~nobody-here/run")
