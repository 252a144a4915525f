"""Published weights of the networks that metrics and the LPIPS loss use: their paths, hashes and reading."""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import torch
from torch import Tensor, nn

from vaegan.errors import Failure, UserError
from vaegan.io import hash_file
from vaegan.text import to_one_line


@dataclass(frozen=True)
class WeightFile:
    """A published state dict, in the folder where torch keeps such files."""

    use: str
    """Metrics and settings that need it."""
    url: str
    """Address, which ends with the file's name."""
    size: int
    """Size in bytes."""
    sha256: str
    """SHA-256 of the file, hexadecimal."""

    @property
    def path(self) -> Path:
        """Path of the file, under `TORCH_HOME`, or under ~/.cache/torch if that is not set."""
        return Path(torch.hub.get_dir()) / "checkpoints" / self.url.rpartition("/")[2]

    @property
    def exists(self) -> bool:
        """True if there is a file."""
        return self.path.is_file()

    @property
    def damaged(self) -> bool:
        """True if the existing file does not match its hash."""
        return hash_file(self.path) != self.sha256

    def read(self) -> dict[str, Tensor]:
        """Read the tensors by name, on the CPU; the hash is checked first, and nothing in the file can run code.

        Raises:
            UserError: The file does not exist, does not match its hash, or holds no state dict.
        """
        if not self.exists:
            raise UserError(f"{self.path}: there is no such file; `vaegan weights --fetch` brings it from {self.url}")
        if self.damaged:
            raise UserError(
                f"{self.path}: damaged or another file (its SHA-256 is not {self.sha256}); remove it, and"
                " `vaegan weights --fetch` brings it again"
            )
        try:
            return load_weights(self.path)
        except Exception:  # a file of anything else raises nearly anything
            raise UserError(f"{self.path}: not a file of weights; `vaegan weights --fetch` brings it anew") from None

    def fetch(self) -> None:
        """Download the file, with a progress bar on standard error; replace a damaged one.

        Raises:
            Failure: The download failed, or the file does not match its hash.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(self.url, str(self.path), hash_prefix=self.sha256)
        except (OSError, RuntimeError) as error:
            raise Failure(f"{self.url}: could not be fetched ({to_one_line(error)}); put it at {self.path}") from error


TORCHVISION_URL = "https://download.pytorch.org/models/"
TORCH_FIDELITY_URL = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"

WEIGHT_FILES = {
    "alex": WeightFile(
        use="lpips",
        url=f"{TORCHVISION_URL}alexnet-owt-7be5be79.pth",
        size=244_408_911,
        sha256="7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
    ),
    "vgg": WeightFile(
        use="lpips_vgg, model.perceptual",
        url=f"{TORCHVISION_URL}vgg16-397923af.pth",
        size=553_433_881,
        sha256="397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
    ),
    "squeeze": WeightFile(
        use="lpips_squeeze, model.perceptual",
        url=f"{TORCHVISION_URL}squeezenet1_1-b8a52dc0.pth",
        size=4_958_839,
        sha256="b8a52dc049b60e4b6ab68ad0df457362afab8b6304b2febdc1650a5dab4d7e7b",
    ),
    "inception": WeightFile(
        use="frechet, kid, prdc, memorisation",
        url=f"{TORCH_FIDELITY_URL}weights-inception-2015-12-05-6726825d.pth",
        size=95_628_359,
        sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    ),
}
"""Weight files by the name of the network."""


def load_weights(path: Path) -> dict[str, Tensor]:
    """Read a file of PyTorch weights, by name and on the CPU; nothing in it can run code."""
    tensors: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return tensors


def hash_weights(network: nn.Module) -> str:
    """Compute the first 8 hexadecimal digits of the SHA-256 of all weights."""
    checksum = sha256()
    for tensor in network.state_dict().values():
        checksum.update(tensor.cpu().contiguous().numpy().tobytes())
    return checksum.hexdigest()[:8]
