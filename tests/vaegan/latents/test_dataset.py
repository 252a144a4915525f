"""The data set gives the rows of the shards in order, as they are or normalised, in any process."""

import pickle
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

import vaegan
from vaegan.errors import UserError
from vaegan.io import load_tensors
from vaegan.storage.run_folder import Run

from .conftest import Encode, open_inputs


def test_items_are_the_rows_of_the_shards(kl: Run, encode: Encode) -> None:
    folder, description = encode(kl)
    shards = [load_tensors(file) for file in sorted(folder.glob("*.safetensors"))]
    for flip, name in ((False, "latents"), (True, "latents_flip")):
        dataset = vaegan.LatentDataset(folder, flip=flip)
        assert len(dataset) == description.rows
        latents, labels = (torch.cat([shard[key] for shard in shards]) for key in (name, "labels"))
        items = [dataset[row] for row in range(len(dataset))]
        assert torch.equal(torch.stack([latent for latent, _ in items]), latents)
        assert [label for _, label in items] == labels.tolist()
        assert torch.equal(dataset[-1][0], latents[-1])
        with pytest.raises(IndexError):
            dataset[len(dataset)]
    assert dataset.names == [str(number) for number in open_inputs(kl).images.indices.tolist()]
    assert dataset.classes == tuple("0123456789")


def test_normalised_channels_have_mean_0_and_deviation_1(kl: Run, encode: Encode) -> None:
    folder, _ = encode(kl, dtype="float16")
    dataset = vaegan.LatentDataset(folder, normalise=True)
    latents = torch.stack([dataset[row][0] for row in range(len(dataset))])
    assert latents.dtype == torch.float32
    torch.testing.assert_close(latents.mean((0, 2, 3)), torch.zeros(4), rtol=0, atol=1e-5)
    torch.testing.assert_close(latents.std((0, 2, 3)), torch.ones(4), rtol=0, atol=1e-5)
    statistics = torch.load(folder / "latents_stats.pt", weights_only=True)
    statistics["std"][0, 2] = 0  # as of a channel that never changes
    torch.save(statistics, folder / "latents_stats.pt")
    first = vaegan.LatentDataset(folder, normalise=True)[0][0]
    plain = vaegan.LatentDataset(folder)[0][0].float()
    assert torch.equal(first[2], plain[2] - statistics["mean"][0, 2])


def test_a_copy_in_another_process_opens_the_files_itself(by_class: Run, encode: Encode) -> None:
    folder, _ = encode(by_class)
    dataset = vaegan.LatentDataset(folder)
    expected = [dataset[row] for row in range(len(dataset))]
    names = dataset.names
    content = pickle.dumps(dataset)
    assert len(content) < 5000
    copy = pickle.loads(content)
    assert torch.equal(copy[70][0], expected[70][0]) and copy.names == names
    loader = DataLoader(dataset, batch_size=64, num_workers=1)
    latents, labels = (torch.cat(parts) for parts in zip(*loader, strict=True))
    assert torch.equal(latents, torch.stack([latent for latent, _ in expected]))
    assert labels.tolist() == [label for _, label in expected]


def test_what_cannot_be_given_is_one_line(by_class: Run, vqvae: Run, encode: Encode, tmp_path: Path) -> None:
    folder, _ = encode(by_class, flip=False)
    with pytest.raises(UserError, match=r"flip: .* holds no mirrored images; encode"):
        vaegan.LatentDataset(folder, flip=True)
    indices, _ = encode(vqvae, "indices")
    assert vaegan.LatentDataset(indices, flip=True)[0][0].shape == (2, 2)
    with pytest.raises(UserError, match=r"normalise: .* holds indices, which have no mean"):
        vaegan.LatentDataset(indices, normalise=True)
    (folder / "latents_stats.pt").write_bytes(b"no tensors")
    with pytest.raises(UserError, match=r"latents_stats.pt: damaged; the `vaegan encode`"):
        vaegan.LatentDataset(folder, normalise=True)
    dataset = vaegan.LatentDataset(folder)
    file = folder / "latents_rank00_shard001.safetensors"
    (indices / file.name).replace(file)
    dataset[0]
    with pytest.raises(UserError, match=r"shard001.safetensors: not a shard of this encoding"):
        dataset[60]
    file.write_bytes(b"short")
    with pytest.raises(UserError, match=r"shard001.safetensors: damaged"):
        vaegan.LatentDataset(folder)[60]
    with pytest.raises(UserError, match=r"no folder of latents"):
        vaegan.LatentDataset(tmp_path)
