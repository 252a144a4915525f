"""Files of trained weights that metrics use: where they lie, whether they are what they should be, what is in them."""

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
    """The metrics that it is for."""
    url: str
    """Where it is published, under its own name."""
    size: int
    """Bytes."""
    sha256: str
    """Hexadecimal."""

    @property
    def path(self) -> Path:
        """Where it has to lie: under `TORCH_HOME`, or else under ~/.cache/torch."""
        return Path(torch.hub.get_dir()) / "checkpoints" / self.url.rpartition("/")[2]

    @property
    def there(self) -> bool:
        """Whether there is a file."""
        return self.path.is_file()

    @property
    def damaged(self) -> bool:
        """Whether the file that is there is another one."""
        return hash_file(self.path) != self.sha256

    def read(self) -> dict[str, Tensor]:
        """The tensors by name; the file is verified before it is opened, and nothing in it can run code.

        Raises:
            UserError: It is damaged, or not there.
        """
        if not self.there:
            raise UserError(f"{self.path}: there is no such file; `vaegan weights --fetch` brings it from {self.url}")
        if self.damaged:
            raise UserError(
                f"{self.path}: damaged or another file (its SHA-256 is not {self.sha256}); remove it, and"
                " `vaegan weights --fetch` brings it again"
            )
        try:
            return load_weights(self.path)
        except Exception:  # what is no file of weights raises nearly anything
            raise UserError(f"{self.path}: not a file of weights; `vaegan weights --fetch` brings it anew") from None

    def fetch(self) -> None:
        """Bring it, with a progress bar on the standard error stream; what is damaged is replaced.

        Raises:
            Failure: It could not be fetched, or what came is another file.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(self.url, str(self.path), hash_prefix=self.sha256)
        except (OSError, RuntimeError) as error:
            raise Failure(f"{self.url}: could not be fetched ({to_one_line(error)}); put it at {self.path}") from error


TORCHVISION = "https://download.pytorch.org/models/"
FIDELITY = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"

WEIGHT_FILES = {
    "alex": WeightFile(
        use="lpips",
        url=f"{TORCHVISION}alexnet-owt-7be5be79.pth",
        size=244_408_911,
        sha256="7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
    ),
    "vgg": WeightFile(
        use="lpips_vgg, model.perceptual",
        url=f"{TORCHVISION}vgg16-397923af.pth",
        size=553_433_881,
        sha256="397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
    ),
    "squeeze": WeightFile(
        use="lpips_squeeze, model.perceptual",
        url=f"{TORCHVISION}squeezenet1_1-b8a52dc0.pth",
        size=4_958_839,
        sha256="b8a52dc049b60e4b6ab68ad0df457362afab8b6304b2febdc1650a5dab4d7e7b",
    ),
    "inception": WeightFile(
        use="frechet, kid, prdc",
        url=f"{FIDELITY}weights-inception-2015-12-05-6726825d.pth",
        size=95_628_359,
        sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    ),
}
"""By the name of the network."""


def load_weights(path: Path) -> dict[str, Tensor]:
    """What a file of weights holds, on the CPU; nothing in it can run code."""
    found: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return found


def hash_weights(network: nn.Module) -> str:
    """First 8 hexadecimal digits of the SHA-256 of all weights."""
    state = sha256()
    for tensor in network.state_dict().values():
        state.update(tensor.cpu().contiguous().numpy().tobytes())
    return state.hexdigest()[:8]
