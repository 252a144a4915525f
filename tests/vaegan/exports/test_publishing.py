"""A model goes to the Hub and comes back, with nothing of the run that is not to leave; the server is a stand-in."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch
from safetensors.torch import save

import vaegan as package
from vaegan.config.schema import Config
from vaegan.data import open_data
from vaegan.errors import Failure, UserError
from vaegan.exports.publishing import parse_repository
from vaegan.storage.hub import HubName, fetch_model, parse_hub_name
from vaegan.storage.loading import load
from vaegan.trainers import train

from ...hub import Hub, Repository
from ...tiny import tiny, tiny_diffusers

MakeRun = Callable[[Config], Path]
Command = Callable[..., tuple[int, str, str]]


def test_a_pushed_model_is_the_model(hub: Hub, vaegan: Command, tmp_path: Path) -> None:
    config = tiny("vaegan3", "train.steps=2")
    run = train(config, tmp_path / "secret-place" / "run", open_data(config.data)).path
    code, said, notes = vaegan("push", run, "owner/name", "--private", "--tag", "v1", "--license", "mit")
    assert code == 0, notes
    repository = hub.repositories["owner/name"]
    oid = repository.refs["main"]
    assert repository.private and repository.refs["v1"] == oid and f"commit {oid}" in said
    files = repository.commits[oid]
    assert sorted(files) == [".gitattributes", "README.md", "config.json", "model.safetensors"]
    assert files["model.safetensors"] == (run / "model" / "model.safetensors").read_bytes()
    text = (files["README.md"] + files["config.json"]).decode()
    assert "secret-place" not in text and str(tmp_path) not in text and "license: mit" in text
    (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert 'vaegan.load("hf://owner/name@v1")' in block
    names: dict[str, torch.Tensor] = {}
    exec(block, names)
    ours = load(run)
    assert torch.equal(names["images"], ours.sample(4))
    assert torch.equal(names["reconstruction"], ours.reconstruct(names["images"]))
    assert not hub.list_requests("GET", "README") and not hub.list_requests("GET", ".gitattributes")


@pytest.mark.parametrize("name", ["ae", "vae", pytest.param("pixelcnn", marks=pytest.mark.long)])
def test_the_cards_python_loads_every_kind_of_model(name: str, hub: Hub, make_run: MakeRun, vaegan: Command) -> None:
    labels = [] if name == "ae" else ["model.labels=10"]
    run = make_run(tiny(name, *labels))
    assert vaegan("push", run, "owner/name")[0] == 0
    text = hub.repositories["owner/name"].commits[hub.repositories["owner/name"].refs["main"]]["README.md"].decode()
    (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, torch.Tensor] = {}
    exec(block, names)
    assert names["reconstruction"].shape == (4, 1, 8, 8)


def test_names_of_classes_are_no_paths(hub: Hub, make_run: MakeRun, vaegan: Command) -> None:
    run, classes = make_run(tiny("vae", "model.labels=10")), [f"/m/{number}" for number in range(9)] + ["/g/3"]
    file = run / "model" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"classes": classes}))
    assert vaegan("push", run, "owner/name")[0] == 0
    repository = hub.repositories["owner/name"]
    assert json.loads(repository.commits[repository.refs["main"]]["config.json"])["classes"] == classes


def test_commands_use_a_model_on_the_hub(
    hub: Hub, make_run: MakeRun, vaegan: Command, get_error: Callable[..., str], tmp_path: Path
) -> None:
    run, out = make_run(tiny("vae")), tmp_path / "out"
    assert vaegan("push", run, "owner/name", "--revision", "trial")[0] == 0
    for place, file in ((run, "here.npz"), ("hf://owner/name@trial", "there.npz")):
        assert vaegan("sample", place, "-n", 3, "-o", tmp_path / file)[0] == 0
    assert (tmp_path / "here.npz").read_bytes() == (tmp_path / "there.npz").read_bytes()
    assert vaegan("sample", "hf://owner/name@trial", "-n", 2, "-o", tmp_path / "a.png")[0] == 0
    assert vaegan("reconstruct", "hf://owner/name@trial", tmp_path / "a.png", "-o", tmp_path / "b.png")[0] == 0
    for place, folder in ((run, "made-here"), ("hf://owner/name@trial", "made-there")):
        assert vaegan("generate", place, "-n", 3, "-o", tmp_path / folder)[0] == 0
    for name in ("000000.png", "000001.png", "000002.png"):
        assert (tmp_path / "made-here" / name).read_bytes() == (tmp_path / "made-there" / name).read_bytes()
    assert vaegan("export", "hf://owner/name@trial", "--format", "safetensors", "-o", out)[0] == 0
    assert (out / "encoder.safetensors").is_file() and "\n# name\n" in (out / "README.md").read_text()
    package.export_run("hf://owner/name@trial", output=tmp_path / "python", format="safetensors")
    assert (tmp_path / "python/README.md").read_bytes() == (out / "README.md").read_bytes()
    # What needs the images or the discriminator says so.
    problem = "--density gmm: fitted to the images that the model was trained on, and here is the model alone"
    assert get_error("sample", "hf://owner/name@trial", "--density", "gmm").startswith(problem)
    for words in (("--density", "gmm"), ("--reject", "realness=0.5")):
        message = get_error("generate", "hf://owner/name@trial", "-n", 2, "-o", tmp_path / "none", *words)
        assert message.startswith(f"{words[0]} {words[1]}: needs the training images or the discriminator")
    for words in (
        ("anomaly", "hf://owner/name@trial", out),
        ("evaluate", "hf://owner/name"),
        ("push", "hf://a/b", "c/d"),
    ):
        assert "a model on the Hub has no training images, no discriminator and no evaluation" in get_error(*words)
    with pytest.raises(UserError, match=r"^run: hf://owner/name: a model on the Hub has no training images"):
        package.evaluate_run("hf://owner/name")


def test_a_training_starts_from_a_model_on_the_hub(
    hub: Hub, make_run: MakeRun, vaegan: Command, tmp_path: Path
) -> None:
    run = make_run(tiny("vae"))
    assert vaegan("push", run, "owner/name", "--tag", "v1")[0] == 0
    config = tiny("vae", "train.init=hf://owner/name@v1", "train.steps=0", "seed=9")
    started = train(config, tmp_path / "started", open_data(config.data))
    ours, theirs = load(run).state_dict(), load(started.path).state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.long
def test_a_description_that_leaves_names_no_folder(hub: Hub, tmp_path: Path, vaegan: Command) -> None:
    pytest.importorskip("diffusers")
    config = tiny_diffusers("vae", "AutoencoderKL", "train.steps=1", "model.diffusers._name_or_path=/home/annabel/kl")
    run = train(config, tmp_path / "run", open_data(config.data)).path
    assert vaegan("push", run, "owner/name")[0] == 0
    repository = hub.repositories["owner/name"]
    files = repository.commits[repository.refs["main"]]
    assert all(b"annabel" not in contents for contents in files.values())
    assert torch.equal(package.load("hf://owner/name").sample(2), load(run).sample(2))


@pytest.mark.long
def test_the_address_of_another_hub_is_taken(hub: Hub, make_run: MakeRun, tmp_path: Path) -> None:
    """HF_ENDPOINT and its like as a user sets them, in processes of their own."""
    root, cache = str(Path(package.__file__).parents[1]), str(tmp_path / "other")
    settings = {"HF_ENDPOINT": hub.address, "HF_HUB_DISABLE_XET": "1", "HF_HOME": cache, "PYTHONPATH": root}
    run, file = make_run(tiny("vae")), tmp_path / "a.png"
    for words in (("push", run, "owner/name"), ("sample", "hf://owner/name", "-n", "4", "-o", file)):
        command = [sys.executable, "-m", "vaegan", *map(str, words)]
        done = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True)
        assert done.returncode == 0 and "Traceback" not in done.stderr and "%|" not in done.stderr, done.stderr
    assert file.is_file() and hub.list_requests("GET", "/resolve/")


def test_a_dry_run_sends_nothing(hub: Hub, make_run: MakeRun, vaegan: Command) -> None:
    code, said, _ = vaegan("push", make_run(tiny("vae")), "owner/name", "--dry-run")
    assert code == 0 and not hub.requests and "owner/name: nothing was sent" in said
    assert re.findall(r"^(\S+): [\d,]+ bytes$", said, re.MULTILINE) == ["README.md", "config.json", "model.safetensors"]


def test_a_public_repository_is_not_written_to_where_a_private_one_is_meant(
    hub: Hub, make_run: MakeRun, get_error: Callable[..., str]
) -> None:
    hub.repositories["owner/name"] = Repository()
    hub.repositories["owner/name"].commit("main", {})
    error = get_error("push", make_run(tiny("vae")), "owner/name", "--private")
    assert error.startswith("--private: owner/name exists, and is public; make it private on the Hub")
    assert not hub.list_requests("POST", "/commit/") and not hub.list_requests("PUT", "")


def test_whom_the_hub_does_not_know_is_told_so(
    hub: Hub, make_run: MakeRun, get_error: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_of_another")
    error = get_error("push", make_run(tiny("vae")), "owner/name", code=1)
    assert error == "owner/name: the Hub does not let you; `hf auth login` or HF_TOKEN says who you are"
    hub.repositories["owner/secret"] = Repository(private=True)
    with pytest.raises(Failure, match=r"^hf://owner/secret: the Hub has no such model, or not for you"):
        fetch_model("hf://owner/secret")
    with pytest.raises(Failure, match=r"^hf://owner/none: the Hub has no such model, or not for you"):
        package.load("hf://owner/none")


def test_python_pushes_as_the_command_does(hub: Hub, make_run: MakeRun) -> None:
    run = make_run(tiny("vae"))
    place = package.push_run(run, "owner/name", private=True, revision="trial", tag="v1")
    repository = hub.repositories["owner/name"]
    assert place == f"hf://owner/name@{repository.refs['trial']}" and repository.refs["v1"] == repository.refs["trial"]
    assert "config.json" not in repository.commits[repository.refs["main"]]
    assert torch.equal(package.load(place).sample(2), load(run).sample(2))
    repository.private = False
    with pytest.raises(UserError, match=r"^private: owner/name exists, and is public; .* or leave private out$"):
        package.push_run(run, "owner/name", private=True)


def test_a_revision_pins_the_model(hub: Hub, make_run: MakeRun, vaegan: Command, get_error: Callable[..., str]) -> None:
    for seed, tag in ((1, "v1"), (2, "v2")):
        assert vaegan("push", make_run(tiny("vae", f"seed={seed}")), "owner/name", "--tag", tag)[0] == 0
    images = {place: package.load(f"hf://owner/name{place}").sample(2) for place in ("", "@v1", "@v2")}
    assert torch.equal(images[""], images["@v2"]) and not torch.equal(images["@v1"], images["@v2"])
    before = dict(hub.repositories["owner/name"].refs)
    error = get_error("push", make_run(tiny("vae", "seed=3")), "owner/name", "--tag", "v1")
    assert error == "--tag v1: owner/name has this tag already; choose another, or delete it on the Hub"
    assert hub.repositories["owner/name"].refs == before
    oid = before["v1"]
    assert torch.equal(package.load(f"hf://owner/name@{oid}").sample(2), images["@v1"])
    with pytest.raises(Failure, match=r"hf://owner/name@v3: the Hub has no such revision of it"):
        package.load("hf://owner/name@v3")


def test_without_the_hub_the_cache_serves(
    hub: Hub, make_run: MakeRun, vaegan: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert vaegan("push", make_run(tiny("vae")), "owner/name")[0] == 0
    images = package.load("hf://owner/name").sample(2)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    before = len(hub.requests)
    assert torch.equal(package.load("hf://owner/name").sample(2), images) and len(hub.requests) == before
    with pytest.raises(
        Failure, match=r"^hf://owner/other: cannot be fetched from the Hub, which cannot be reached, and"
    ):
        package.load("hf://owner/other")


@pytest.mark.parametrize("fault", ["larger", "other digest", "no weights", "no model", "of diffusers", "changed later"])
def test_what_is_not_the_described_model_is_refused(fault: str, hub: Hub, make_run: MakeRun, vaegan: Command) -> None:
    assert vaegan("push", make_run(tiny("vae")), "owner/name")[0] == 0
    repository = hub.repositories["owner/name"]
    files = repository.commits[repository.refs["main"]]
    described = json.loads(files["config.json"])
    match fault:
        case "larger":
            contents = files["model.safetensors"] + bytes(2**25)
            words = "is not the file that config.json describes; it is not"
            files["config.json"] = json.dumps(described | {"sha256": sha256(contents).hexdigest()}).encode()
            files["model.safetensors"] = contents
        case "other digest":
            files["model.safetensors"], words = save({"a": torch.zeros(2)}), r"is not the file .*; it is not fetched"
        case "no weights":
            del files["model.safetensors"]
            words = "has no model.safetensors"
        case "no model":
            del files["config.json"]
            words = r"holds no model of this package \(no config\.json\)"
        case "of diffusers":
            files["config.json"] = b'{"_class_name": "AutoencoderKL"}'
            words = r"a model of diffusers, and no run; train\.init"
        case "changed later":
            folder = fetch_model("hf://owner/name")
            file = (folder / "model.safetensors").resolve()
            file.write_bytes(file.read_bytes()[:-1] + b"x")
            words = r"model\.safetensors is not the file that config\.json describes; push it anew"
    with pytest.raises(UserError, match=rf"^hf://owner/name: .*{words}"):
        package.load("hf://owner/name")
    fetched = [path for path in hub.list_requests("GET", "/resolve/") if path.endswith(".safetensors")]
    assert bool(fetched) == (fault == "changed later")


def test_names_are_those_of_the_hub() -> None:
    assert parse_hub_name("hf://a/b") == HubName("a/b")
    assert parse_hub_name("hf://a/b/c/d@v1.0") == HubName("a/b", "c/d", "v1.0")
    names = {"hf://a/b": "b", "hf://a/b@refs/pr/1": "b", "hf://a/b/c/d@v1.0": "d"}
    assert {place: parse_hub_name(place).name for place in names} == names
    for wrong in ("hf://a", "hf://a/../b", "hf://a/b@", "hf://a/b@../c", "hf:///a/b", "hf://a/b?c"):
        with pytest.raises(UserError, match=r"no name on the Hub; allowed: hf://owner/name"):
            parse_hub_name(wrong)
    assert parse_repository("a/b") == parse_repository("hf://a/b") == HubName("a/b")
    for wrong in ("a", "a/b/c", "a/b@v1"):
        with pytest.raises(UserError, match="no repository of the Hub; give owner/name"):
            parse_repository(wrong)
