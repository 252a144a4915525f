"""The images that a word names: a folder, a file of arrays, a config, a recipe, a run or a set."""

from pathlib import Path

import pytest

from vaegan.config.load import dump_config
from vaegan.config.load_data import is_run, load_data_config
from vaegan.errors import UserError
from vaegan.storage.run_folder import Run

from ...tiny import tiny


def test_each_kind_of_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = tiny("ae")
    Path("tiny.yaml").write_text(dump_config(config))
    Run(Path("run")).write_config(config)
    Path("pictures").mkdir()
    Path("photos").mkdir()
    Path("set").mkdir()
    for name in ("saved", "tables", "beside", "shards", "packed"):
        Path(name, "data").mkdir(parents=True)
    files = "saved/state.json tables/data/0.parquet beside/data/0.parquet beside/a.jpg rows.parquet rows.arrow"
    files += " shards/data/0.tar packed/0.tar packed/a.jpg one.tar"
    for name in ("faces.npy", "faces.npz", "faces.safetensors", "set/images.npy", *files.split()):
        Path(name).touch()
    assert load_data_config("tiny.yaml") == load_data_config("run") == config.data
    assert load_data_config("quickstart").source == "shapes"
    assert load_data_config("ablations/digits").validation == 0.25
    sources = {
        "folder": "pictures photos beside packed", "webdataset": "shards one.tar",
        "arrays": "faces.npy faces.npz faces.safetensors set",
        "huggingface": "saved tables rows.parquet rows.arrow",
    }  # fmt: skip
    for name, source in {name: source for source, names in sources.items() for name in names.split()}.items():
        found = load_data_config(name)
        assert (found.source, found.root, found.image_shape) == (source, tmp_path / name, (3, 64, 64))
    assert load_data_config("digits").image_shape == (1, 8, 8)
    assert load_data_config("folder64/ae", ["data.root=pictures"]).root == tmp_path / "pictures"
    assert load_data_config("pictures", ["data.image_size=16", "data.test=0.5"]).test == 0.5
    assert [is_run(name) for name in ("run", "pictures", "digits")] == [True, False, False]


def test_a_run_without_a_version_keeps_that_of_its_time(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    run.write_config(tiny("ae"))
    text = run.config_file.read_text()
    assert "\n  version: 2\n" in text and load_data_config(str(run.path)).version == 2
    run.config_file.write_text(text.replace("\n  version: 2\n", "\n"))
    assert load_data_config(str(run.path)).version == 1


@pytest.mark.parametrize(
    ("source", "overrides", "message"),
    [
        ("", [], "SOURCE: empty; name a folder"),
        ("~nobody-here/images", [], "SOURCE: ~nobody-here/images: this home folder is not known"),
        ("nowhere", [], "nowhere: neither a folder, a file, a recipe nor a set of images; the sets are digits"),
        ("digitz", [], "did you mean digits?"),
        ("given", [], "given: neither a folder"),
        ("digits", ["train.steps=3"], "train: no setting of the images; give data.key=value"),
        ("digits", ["data.image_size=7"], "digits: data.image_size: got 7"),
        ("digits", ["data.channel=1"], "did you mean data.channels?"),
        ("digits", ["data=5"], "digits: data: got 5"),
        ("digits", ["data.source=mnist"], "data.source: other images than those of digits; name one of them alone"),
        (".", ["data.root=pictures"], "data.root: other images than those of .; name one of them alone"),
        (".", ["data.hub=owner/name"], "data.hub: other images than those of .; name one of them alone"),
        ("missing.yaml", [], "missing.yaml: neither a file nor a shipped recipe"),
    ],
)
def test_anything_else_is_one_line(source: str, overrides: list[str], message: str) -> None:
    with pytest.raises(UserError) as error:
        load_data_config(source, overrides)
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("override", ["data.root=elsewhere", "data.strict=true", "train.steps=3"])
def test_a_run_keeps_its_settings(tmp_path: Path, override: str) -> None:
    run = Run(tmp_path / "run")
    run.write_config(tiny("ae"))
    with pytest.raises(UserError) as error:
        load_data_config(str(run.path), [override])
    message = str(error.value)
    assert message.startswith(f"{override.partition('=')[0]}: a run keeps the settings that it was trained with; leave")
    assert "run" in message and "\n" not in message


def test_a_run_whose_config_has_no_images_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("model: {family: ae}\n")
    with pytest.raises(UserError, match=r"config\.yaml: data: missing"):
        load_data_config(str(tmp_path))
