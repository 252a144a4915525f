"""Trained models that come back bit for bit, and damaged ones that are refused with one line."""

import json
import math
import os
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import vaegan
from vaegan.data import Data
from vaegan.errors import UserError
from vaegan.models import Autoencoder, Classifier
from vaegan.networks.given import add_networks
from vaegan.storage.loading import load_class_names, load_classifier, load_decoding, load_discriminator
from vaegan.storage.run_folder import Run, read_description
from vaegan.trainers import train
from vaegan.trainers.log.recorder import Recorder
from vaegan.trainers.state import State

from ...own_networks import build_own_networks
from ...tiny import (
    BUILDS,
    CONDITIONAL_OPTIONS,
    OWN_OPTIONS,
    are_bit_identical,
    get_network_names,
    get_network_overrides,
    load_newest,
    tiny,
)


@pytest.fixture(scope="module")
def classifier_run(tmp_path_factory, data: Data) -> Path:
    return train(tiny("classifier"), tmp_path_factory.mktemp("runs") / "classifier", data).path


@pytest.mark.parametrize(("name", "network"), BUILDS[:-1])
def test_a_loaded_model_is_the_trained_average_bit_for_bit(name, network, tmp_path, data, monkeypatch) -> None:
    conditional = CONDITIONAL_OPTIONS.get(name, ()) if network in ("conv", "gated") else ()
    config = tiny(name, *get_network_overrides(name, network), "train.steps=3", *conditional)
    averages: list[Autoencoder] = []
    finish = Recorder.finish

    def keep(self: Recorder, state: State) -> None:
        averages.append(state.averages["average"])
        finish(self, state)

    monkeypatch.setattr(Recorder, "finish", keep)
    train(config, tmp_path / "run", data)
    (trained,) = averages
    loaded = vaegan.load(tmp_path / "run")
    assert not loaded.training and not any(each.requires_grad for each in loaded.parameters())
    assert are_bit_identical(trained.state_dict(), loaded.state_dict())
    weights = load_newest(tmp_path / "run").tensors[get_network_names(name)[0]]
    assert not are_bit_identical(dict(weights), loaded.state_dict())  # the average, not the last weights
    images = torch.rand(9, 1, 8, 8) * 2 - 1
    labels = torch.arange(9) if conditional else None
    assert torch.equal(trained.reconstruct(images, labels), loaded.reconstruct(images, labels))
    assert torch.equal(trained.encode(images, labels).log_variance, loaded.encode(images, labels).log_variance)
    assert (
        load_class_names(tmp_path / "run")
        == load_class_names(tmp_path / "run/model")
        == (data.classes if conditional else ())
    )
    if loaded.has_prior:
        assert torch.equal(trained.sample(9, seed=3), loaded.sample(9, seed=3))


def test_a_learned_scale_is_trained_averaged_and_loaded(tmp_path, data) -> None:
    config = tiny("vaegan3", "model.learned_scale=true", "train.ema_decay=0.5", "train.learning_rate=0.1")
    run = train(config, tmp_path / "run", data)
    checkpoint, loaded = load_newest(run.path), vaegan.load(run.path)
    own, average = (checkpoint.tensors[name]["scale.logarithm"] for name in ("autoencoder", "average"))
    assert len({own.item(), average.item(), math.log(0.5)}) == 3
    assert loaded.config == config.model and loaded.config.scale == 0.5  # where it started from
    assert loaded.trained_config == config.model.model_copy(update={"scale": average.exp().item()})
    logged = [json.loads(line)["scale"] for line in run.history_file.read_text().splitlines()]
    assert logged[0] == pytest.approx(0.5) and len(set(logged)) == len(logged)


def test_a_loaded_classifier_is_the_trained_average_bit_for_bit(tmp_path, data, monkeypatch) -> None:
    averages: list[Classifier] = []
    finish = Recorder.finish

    def keep_average(recorder: Recorder, state: State) -> None:
        averages.append(state.averages["average"])
        finish(recorder, state)

    monkeypatch.setattr(Recorder, "finish", keep_average)
    train(tiny("classifier"), tmp_path / "run", data)
    (trained,) = averages
    for path in (tmp_path / "run", tmp_path / "run" / "model"):
        loaded = load_classifier(path)
        assert not loaded.training and not any(each.requires_grad for each in loaded.parameters())
        assert are_bit_identical(trained.state_dict(), loaded.state_dict())
    assert not are_bit_identical(dict(load_newest(tmp_path / "run").tensors["classifier"]), loaded.state_dict())
    images = torch.rand(9, 1, 8, 8) * 2 - 1
    assert torch.equal(trained.features(images), loaded.features(images))
    assert torch.equal(trained(images), loaded(images))


def test_each_loader_refuses_the_others_runs(finished: Path, classifier_run: Path) -> None:
    check_refused(classifier_run, f"{classifier_run}: the run of a Classifier, no Autoencoder; ")
    words = f"{finished}: the run of a VAE, no Classifier; ", "`vaegan train-features`"
    check_refused(finished, *words, load=load_classifier)
    check_refused(classifier_run.parent, "not a run folder", load=load_classifier)


@pytest.mark.parametrize(
    ("model", "reason"),
    [({"classes": 11}, "not the weights of the model"), ({"width": 16}, "not the weights of the model"),
     ({"depth": 2}, "not the weights of the model"), ({"width": 4096, "depth": 16}, "not the weights of the model"),
     ({"classes": 1}, "damaged"), ({"classes": None}, "damaged"), ({"classes": "ten"}, "damaged"),
     ({"latent_size": 4}, "damaged"), ({"family": "vae"}, "damaged"), ({"family": "clasifier"}, "damaged")],
)  # fmt: skip
def test_a_damaged_description_of_a_classifier_is_refused(classifier_run: Path, tmp_path: Path, model, reason) -> None:
    os.system(f"cp -r {classifier_run / 'model'} {tmp_path / 'model'}")
    file = tmp_path / "model" / "config.json"
    description = json.loads(file.read_text())
    file.write_text(json.dumps({**description, "model": {**description["model"], **model}}))
    check_refused(tmp_path / "model", "config.json", reason, load=load_classifier)


def test_a_float64_run_loads_as_float64(tmp_path: Path, data: Data) -> None:
    train(tiny("vae", "train.dtype=float64", "train.steps=1"), tmp_path / "run", data)
    assert vaegan.load(tmp_path / "run").sample(2).dtype == torch.float64


def test_names_that_are_not_those_of_a_models_classes_are_damage(run: Run) -> None:
    file = run.model_folder / "config.json"
    description = json.loads(file.read_text())
    for labels, names in ((None, ["a", "b"]), (3, ["a", "b"]), (2, "ab")):
        description |= {"model": description["model"] | {"labels": labels}, "classes": names}
        file.write_text(json.dumps(description))
        check_refused(run.path, "damaged", "classes")


def check_refused(path: Path, *words: str, load: Callable[[Path], object] = vaegan.load) -> None:
    """Check that a loader raises a UserError of one line with these words."""
    with pytest.raises(UserError) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


@pytest.fixture(scope="module")
def own_run(tmp_path_factory, data: Data) -> tuple[Run, State]:
    """A run of given modules, and its state at the end."""
    states: list[State] = []
    finish = Recorder.finish
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Recorder, "finish", lambda self, state: states.append(state) or finish(self, state))
        folder = tmp_path_factory.mktemp("runs") / "own"
        run = train(tiny("vaegan3", *OWN_OPTIONS), folder, data, networks=build_own_networks(10))
    return run, *states


def test_given_modules_get_the_trained_average_bit_for_bit(own_run: tuple[Run, State]) -> None:
    run, state = own_run
    networks, images, labels = build_own_networks(10, seed=1), torch.rand(9, 1, 8, 8) * 2 - 1, torch.arange(9)
    heads = {name: networks[name].head.weight.clone() for name in ("encoder", "discriminator")}
    for path in (run.path, run.model_folder):
        loaded = vaegan.load(path, networks=networks)
        assert are_bit_identical(state.averages["average"].state_dict(), loaded.state_dict())
        assert not loaded.training and not any(each.requires_grad for each in loaded.parameters())
        assert torch.equal(state.averages["average"].reconstruct(images, labels), loaded.reconstruct(images, labels))
        assert torch.equal(state.averages["average"].sample(9, seed=3), loaded.sample(9, seed=3))
    discriminator = load_discriminator(run, print, networks)
    assert are_bit_identical(state.networks["discriminator"].state_dict(), discriminator.state_dict())
    scores = state.networks["discriminator"](images, None, labels).scores
    assert torch.equal(scores, discriminator(images, None, labels).scores)
    assert all(torch.equal(networks[name].head.weight, weight) for name, weight in heads.items())  # the caller's own


def test_a_run_of_given_modules_needs_modules_of_the_same_classes_and_layers(own_run: tuple[Run, State]) -> None:
    run, networks = own_run[0], build_own_networks(10)
    all_of_them = 'OwnEncoder(...), "decoder": OwnDecoder(...), "discriminator": OwnDiscriminator(...)})'
    for wrong in (None, {"encoder": networks["encoder"]}, {**networks, "decoder": torch.nn.Sequential()}):
        words = 'was trained with given modules; give them in Python, as in vaegan.load(run, networks={"encoder": '
        check_refused(run.path, words, all_of_them, load=partial(vaegan.load, networks=wrong))
    words = "networks: encoder: other layers than that of ", "embedding.weight: torch.float32 of shape (10, 8), not "
    check_refused(run.path, *words, load=partial(vaegan.load, networks=build_own_networks(9)))
    for wrong in (None, {"discriminator": networks["encoder"]}):
        check_refused(run.path, all_of_them, load=lambda path, wrong=wrong: load_discriminator(Run(path), print, wrong))


def test_an_exported_model_is_not_that_of_a_config_with_other_modules(own_run: tuple[Run, State]) -> None:
    run, others = own_run[0], build_own_networks(10, seed=1)
    description = read_description(run.model_folder)
    assert description.belongs_to(run.config)
    same_model = {**build_own_networks(10), "discriminator": others["discriminator"]}
    assert description.belongs_to(add_networks(run.config, same_model))
    assert not description.belongs_to(add_networks(run.config, others))
    assert not description.belongs_to(run.config.model_copy(update={"networks": None}))


def test_a_run_without_given_modules_takes_none(finished: Path) -> None:
    load = partial(vaegan.load, networks=build_own_networks())
    check_refused(finished, "was trained with that of its config; leave it out", load=load)


def test_loading_what_is_no_run_is_refused(run: Run, tmp_path: Path) -> None:
    check_refused(tmp_path / "nothing", "nothing", "not a run folder", "give the output of")
    check_refused(tmp_path, "not a run folder")


@pytest.mark.parametrize("contents", [b"", b"\x00" * 40, b"\xff" * 8 + b"{}", b"{", None, "torn"])
def test_damaged_weights_are_refused(run: Run, contents: bytes | str | None) -> None:
    file = run.model_folder / "model.safetensors"
    whole = file.read_bytes()
    file.unlink()
    if contents is not None:
        file.write_bytes(whole[:-9] if isinstance(contents, str) else contents)
    assert run.exported_step is None and not run.finished
    check_refused(run.path, "model.safetensors", "damaged", "resume=True")


def test_another_models_weights_are_refused(run: Run) -> None:
    file, description = run.model_folder / "model.safetensors", run.model_folder / "config.json"
    before = sha256(file.read_bytes()).hexdigest()
    for weights in ({}, {"encoder.head.weight": torch.zeros(2, 2)}):
        save_file(weights, file)
        now = sha256(file.read_bytes()).hexdigest()
        description.write_text(description.read_text().replace(before, now))
        before = now
        check_refused(run.path, "model.safetensors", "not the weights of the model")


def test_an_exported_model_can_be_carried_away(run: Run, tmp_path: Path) -> None:
    expected = vaegan.load(run.path).sample(2)
    run.model_folder.rename(tmp_path / "elsewhere")
    assert torch.equal(vaegan.load(tmp_path / "elsewhere").sample(2), expected)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"step": null}', '{"step": "many"}', "\0"])
def test_a_damaged_description_is_refused(run: Run, text: str) -> None:
    (run.model_folder / "config.json").write_text(text)
    check_refused(run.path, "config.json", "damaged")


def test_a_run_without_a_model_says_how_to_get_one(run: Run) -> None:
    os.system(f"rm -r {run.model_folder}")
    check_refused(run.path, "no model yet", "resume=True")


def test_the_version_of_decoding_is_the_runs_and_1_where_none_is_recorded(run: Run, data: Data) -> None:
    assert load_decoding(run.path) == load_decoding(run.model_folder) == (2, "crop")
    file = run.model_folder / "config.json"
    description = json.loads(file.read_text())
    del description["data_version"]
    file.write_text(json.dumps(description))
    assert load_decoding(run.path) == load_decoding(run.model_folder) == (1, "crop")
    old = train(tiny("vae", "data.version=1"), run.path.with_name("old"), data)
    assert load_decoding(old.path) == (1, "crop")
    stretched = train(tiny("vae", "data.fit=stretch"), run.path.with_name("stretched"), data)
    assert load_decoding(stretched.path) == (2, "stretch")
