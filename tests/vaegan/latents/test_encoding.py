"""A folder of latents holds what the encoder makes of each image, whatever happened on the way."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load
from torch import Tensor

import vaegan
from vaegan.errors import Failure, UserError
from vaegan.images import to_float
from vaegan.io import load_metadata, load_tensors, save_tensors
from vaegan.randomness import draw_normal
from vaegan.storage import loading
from vaegan.storage.diffusers_folder import export_to_diffusers
from vaegan.storage.run_folder import Run

from .conftest import Encode, open_inputs


def read_all(folder: Path, name: str) -> Tensor:
    """Read all rows of a tensor as trainers of latent diffusion do: every .safetensors file, in the order of names."""
    return torch.cat([load_tensors(file)[name] for file in sorted(folder.glob("*.safetensors"))])


def read_pixels(run: Run, split: str = "validation") -> Tensor:
    images = open_inputs(run, split).images
    return to_float(images[torch.arange(len(images))])


def test_latents_are_those_of_diffusers(kl: Run, encode: Encode, tmp_path: Path) -> None:
    diffusers = pytest.importorskip("diffusers")
    folder, description = encode(kl)
    export_to_diffusers(kl.path, tmp_path / "tokenizer")
    opened = diffusers.AutoencoderKL.from_pretrained(tmp_path / "tokenizer", local_files_only=True)
    pixels = read_pixels(kl)
    assert description.shape == (4, 4, 4) and description.shards == 4 and len(pixels) == description.rows > 150
    with torch.no_grad():
        for name, images in (("latents", pixels), ("latents_flip", pixels.flip(3))):
            expected = opened.encode(images).latent_dist.mean
            torch.testing.assert_close(read_all(folder, name), expected, rtol=0, atol=1e-6)
    assert (read_all(folder, "latents") - read_all(folder, "latents_flip")).abs().max() > 0.01
    scale = description.code_scale
    assert (
        scale is not None and 1 / scale.std == opened.config.scaling_factor and scale.mean == opened.config.shift_factor
    )


def test_the_folder_is_what_trainers_of_latent_diffusion_read(kl: Run, encode: Encode) -> None:
    folder, _ = encode(kl)
    inputs = open_inputs(kl)
    files = sorted(folder.glob("*.safetensors"))
    assert [file.name for file in files] == [f"latents_rank00_shard00{number}.safetensors" for number in range(4)]
    rest = {"latents.json", "index.jsonl", "latents_stats.pt"}
    assert {path.name for path in folder.iterdir()} == rest | {file.name for file in files}
    lines = [json.loads(line) for line in (folder / "index.jsonl").read_text().splitlines()]
    row = 0
    for file in files:
        with safe_open(file, framework="pt") as shard:
            labels, count = shard.get_slice("labels"), shard.get_slice("latents").get_shape()[0]
            assert shard.metadata()["total_size"] == str(count) and shard.metadata()["first_row"] == str(row)
            assert labels.get_dtype() == "I64" and labels.get_shape() == [count]
            for place in range(count):
                label = int(labels[place : place + 1])
                assert label == inputs.images.labels[row]
                name = str(int(inputs.images.indices[row]))
                assert lines[row] == {"row": row, "file": file.name, "name": name, "label": str(label)}
                row += 1
    assert row == len(lines) == len(inputs.images)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_statistics_are_those_of_all_rows(kl: Run, encode: Encode, dtype: str) -> None:
    folder, _ = encode(kl, dtype=dtype)
    latents = read_all(folder, "latents")
    assert latents.dtype == getattr(torch, dtype)
    statistics = torch.load(folder / "latents_stats.pt", weights_only=True)
    for name, expected in (("mean", latents.double().mean((0, 2, 3))), ("std", latents.double().std((0, 2, 3)))):
        assert statistics[name].shape == (1, 4, 1, 1)
        assert torch.equal(statistics[name].flatten(), expected.float())


def test_samples_are_a_function_of_seed_and_row(kl: Run, encode: Encode) -> None:
    folder, description = encode(kl, seed=3)
    with torch.no_grad():
        posterior = loading.load(kl.path).encode(read_pixels(kl))
    noise = torch.stack([draw_normal((64,), 3, "latents", row, 0) for row in range(description.rows)])
    expected = posterior.sample(noise).view(-1, 4, 4, 4)
    torch.testing.assert_close(read_all(folder, "latents"), expected, rtol=0, atol=1e-5)
    other, _ = encode(kl, "other", seed=3, shard_rows=33, batch_size=10)
    torch.testing.assert_close(read_all(other, "latents"), expected, rtol=0, atol=1e-5)
    changed, _ = encode(kl, "changed", seed=4)
    assert (read_all(changed, "latents") - expected).abs().max() > 0.1


def test_vectors_of_a_conditional_model_take_the_classes(by_class: Run, encode: Encode) -> None:
    folder, description = encode(by_class, flip=False)
    inputs = open_inputs(by_class)
    with torch.no_grad():
        expected = loading.load(by_class.path).encode(read_pixels(by_class), inputs.images.labels).mean
    torch.testing.assert_close(read_all(folder, "latents"), expected, rtol=0, atol=1e-6)
    assert description.names == ("latents",) and description.shape == (4,)
    statistics = torch.load(folder / "latents_stats.pt", weights_only=True)
    torch.testing.assert_close(statistics["std"], expected.std(0, keepdim=True), rtol=1e-5, atol=1e-6)


def test_a_vqvae_gives_indices(vqvae: Run, encode: Encode) -> None:
    folder, description = encode(vqvae)
    with torch.no_grad():
        expected = loading.load(vqvae.path).encode_indices(read_pixels(vqvae))
    indices = read_all(folder, "indices")
    assert indices.dtype == torch.int32 and torch.equal(indices.long(), expected)
    assert description.shape == (2, 2) and indices.unique().numel() > 1
    assert not torch.equal(read_all(folder, "indices_flip"), indices)
    assert not (folder / "latents_stats.pt").exists()


def remove(file: Path) -> None:
    file.unlink()


def cut_short(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def change_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("damage", [remove, cut_short, change_a_bit])
def test_what_is_missing_or_torn_is_written_anew(kl: Run, encode: Encode, damage: Callable[[Path], None]) -> None:
    folder, description = encode(kl)
    files = sorted(folder.glob("*.safetensors"))
    before = {file: (file.stat().st_ino, load(file.read_bytes())) for file in files}
    damage(files[1])
    (folder / "latents_stats.pt").unlink()
    names = (folder / "index.jsonl").read_text()
    damage(folder / "index.jsonl")
    encode(kl)
    assert (folder / "index.jsonl").read_text() == names
    for file in files:
        inode, tensors = before[file]
        assert file.stat().st_ino == inode or file == files[1]  # a number may be given again
        again = load_tensors(file)
        assert all(torch.equal(again[name], tensors[name]) for name in (*description.names, "labels"))
    statistics = torch.load(folder / "latents_stats.pt", weights_only=True)
    assert torch.equal(statistics["mean"].flatten(), read_all(folder, "latents").double().mean((0, 2, 3)).float())


def test_other_contents_of_the_folder_are_refused(kl: Run, encode: Encode, tmp_path: Path) -> None:
    folder, _ = encode(kl)
    with pytest.raises(UserError, match=r'another encoding \(dtype: "float32" there, "float16" here\); name another'):
        encode(kl, dtype="float16")
    with pytest.raises(UserError, match=r"another encoding .shard_rows: 50 there, 60 here"):
        encode(kl, shard_rows=60)
    file = folder / "latents_rank00_shard002.safetensors"
    texts = load_metadata(file)
    save_tensors(load_tensors(file), file, {**texts, "encoding": "of another one"})
    with pytest.raises(UserError, match=r"shard002.safetensors: not a shard of this encoding"):
        encode(kl)
    file.unlink()
    (folder / "latents_rank01_shard000.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match=r"holds other files, such as latents_rank01_shard000.safetensors"):
        encode(kl)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"holds other files, such as notes.txt; name an empty or a new folder"):
        encode(kl, "full")


def test_codes_that_no_type_holds_are_an_error(kl: Run, encode: Encode, monkeypatch: pytest.MonkeyPatch) -> None:
    from vaegan.models import Posterior
    from vaegan.models.continuous import ContinuousAutoencoder

    usual = ContinuousAutoencoder.encode
    monkeypatch.setattr(
        ContinuousAutoencoder, "encode", lambda *words: Posterior(usual(*words).mean * 1e9, usual(*words).log_variance)
    )
    with pytest.raises(Failure, match=r"the code of \d+ is not finite in float16; choose another --dtype"):
        encode(kl, dtype="float16")
    encode(kl, "wide", dtype="bfloat16")


def test_python_encodes_what_the_command_line_does(by_class: Run, encode: Encode, tmp_path: Path) -> None:
    folder, description = encode(by_class, batch_size=by_class.config.evaluate.batch_size)
    dataset = vaegan.encode_dataset(
        by_class, output=tmp_path / "python", split="validation", shard_rows=50, progress=False
    )
    assert dataset.description == description
    assert torch.equal(read_all(dataset.folder, "latents"), read_all(folder, "latents"))
    for settings, message in (
        ({"seed": 3}, "seed: posterior means have no noise; give sample as well"),
        ({"shard_rows": 0}, "shard_rows 0: give a whole number of 1 or more"),
        ({"shard_rows": 2.5}, "shard_rows 2.5: give a whole number of 1 or more"),
        ({"dtype": torch.float16}, "dtype torch.float16: allowed: float32, float16, bfloat16"),
        ({"data": "nowhere"}, "nowhere: no such folder"),
        ({"output": folder.parent}, "output .*: holds other files, such as latents"),
    ):
        with pytest.raises(UserError, match=message):
            vaegan.encode_dataset(by_class, **{"output": tmp_path / "x", "progress": False, **settings})
