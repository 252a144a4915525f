"""Latents become the pictures that the model reconstructs, under the names of the images."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vaegan.errors import Failure, UserError
from vaegan.images import to_float, to_uint8
from vaegan.latents.decoding import decode_to_folder
from vaegan.latents.description import LatentDescription, read_latent_description
from vaegan.latents.pictures import name_pictures
from vaegan.storage.loading import load
from vaegan.storage.run_folder import Run

from .conftest import Encode, open_inputs


def decode(run: Run, folder: Path, output: Path) -> list[Path]:
    """Decode a folder of latents, and return the picture of each row."""
    description = read_latent_description(folder)
    decode_to_folder(load(run.path), folder, description, output)
    lines = [json.loads(line) for line in (folder / "index.jsonl").read_text().splitlines()]
    return [output / f"{Path(line['name']).with_suffix('')}.png" for line in lines]


@pytest.mark.parametrize("family", ["kl", "by_class", "vqvae"])
def test_decoded_latents_are_reconstructions(
    family: str, encode: Encode, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    run: Run = request.getfixturevalue(family)
    folder, description = encode(run, flip=False)
    pictures = decode(run, folder, tmp_path / "pictures")
    model, images = load(run.path), open_inputs(run).images
    for number in range(description.shards):
        for batch in description.get_batches(number):
            positions = torch.arange(batch.start, batch.stop)
            labels = images.get_labels(positions, model.classes)
            with torch.no_grad():
                expected = to_uint8(model.reconstruct(to_float(images[positions]), labels))
            for row in batch:
                assert np.array_equal(np.asarray(Image.open(pictures[row])), expected[row - batch.start, 0])
    assert len({picture.read_bytes() for picture in pictures}) > 50


def test_a_resumed_decoding_keeps_whole_pictures(by_class: Run, encode: Encode, tmp_path: Path) -> None:
    folder, _ = encode(by_class)
    pictures = decode(by_class, folder, tmp_path / "pictures")
    before = [picture.read_bytes() for picture in pictures]
    inodes = [picture.stat().st_ino for picture in pictures]
    pictures[3].unlink()
    pictures[40].write_bytes(before[40][:-8])
    pictures[60].write_bytes(b"")
    assert decode(by_class, folder, tmp_path / "pictures") == pictures
    assert [picture.read_bytes() for picture in pictures] == before
    changed = {row for row, picture in enumerate(pictures) if picture.stat().st_ino != inodes[row]}
    assert {40, 60} <= changed <= {3, 40, 60}  # a number may be given again


def test_pictures_have_the_names_of_their_images() -> None:
    assert list(map(name_pictures(["a/x.jpg", "a/y.v2.png", "b/x.jpg", "7"]).__getitem__, range(4))) == [
        "a/x.png", "a/y.v2.png", "b/x.png", "7.png",
    ]  # fmt: skip
    assert list(map(name_pictures(["a/x.jpg", "a/x.png"]).__getitem__, range(2))) == ["a/x.jpg.png", "a/x.png.png"]
    folders = ["a/x.jpg", "a/x.png/b/y.jpg", "a/z.png/y.jpg"]  # one is where a picture would be
    assert list(map(name_pictures(folders).__getitem__, range(3))) == [f"{name}.png" for name in folders]
    assert name_pictures(folders[1:])[0] == "a/x.png/b/y.png"


def write_name(folder: Path, name: object) -> None:
    lines = (folder / "index.jsonl").read_text().splitlines()
    lines[5] = json.dumps({**json.loads(lines[5]), "name": name})
    (folder / "index.jsonl").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("name", ["../x.png", "/x.png", "a//x.png", "a/../../x.png", "", "a\0b", 7, None])
def test_no_name_leads_out_of_the_folder(name: object, by_class: Run, encode: Encode, tmp_path: Path) -> None:
    folder, _ = encode(by_class, flip=False)
    write_name(folder, name)
    with pytest.raises(UserError, match=r"index.jsonl: damaged \(.*\); encode the images again"):
        decode(by_class, folder, tmp_path / "pictures")
    assert not (tmp_path / "pictures").exists()


def test_other_contents_are_refused(by_class: Run, encode: Encode, tmp_path: Path) -> None:
    folder, _ = encode(by_class)
    (output := tmp_path / "pictures").mkdir()
    (output / "mine.png").write_bytes(b"mine")
    with pytest.raises(UserError, match=r"holds other files, such as mine.png; name an empty or a new folder"):
        decode(by_class, folder, output)
    assert (output / "mine.png").read_bytes() == b"mine"
    (output / "mine.png").unlink()
    decode(by_class, folder, output)
    other, _ = encode(by_class, "other", seed=1)
    with pytest.raises(UserError, match=r"holds pictures of other latents; name another folder"):
        decode(by_class, other, output)
    file = other / "latents_rank00_shard001.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(Failure, match=r"shard001.safetensors: damaged"):
        decode(by_class, other, tmp_path / "again")
    file.unlink()
    with pytest.raises(
        UserError, match=r"1 of its 4 shards are missing; the `vaegan encode` that has begun it goes on"
    ):
        decode(by_class, other, tmp_path / "again")


def test_a_damaged_description_is_one_line(by_class: Run, encode: Encode, tmp_path: Path) -> None:
    folder, description = encode(by_class)
    assert isinstance(description, LatentDescription) and read_latent_description(folder) == description
    for text in ("{", "[]", json.dumps({**json.loads((folder / "latents.json").read_text()), "rows": 0})):
        (folder / "latents.json").write_text(text)
        with pytest.raises(UserError, match=r"latents.json: damaged \(.*\); remove the folder, and encode") as error:
            read_latent_description(folder)
        assert "\n" not in str(error.value) and len(str(error.value)) < len(str(folder)) + 200
    with pytest.raises(UserError, match=r"no folder of latents \(it has no latents.json\)"):
        read_latent_description(tmp_path / "nothing")
    (tmp_path / "file").write_text("a")
    with pytest.raises(UserError, match=r"file: no folder of latents"):
        read_latent_description(tmp_path / "file")
