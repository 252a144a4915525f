"""The VQ-VAE (van den Oord et al. 2017): codes are grids of entries of a codebook."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vaegan.config.models import VQVAEConfig
from vaegan.errors import UserError
from vaegan.losses.quantisation import find_nearest, straight_through
from vaegan.networks import vqvae_grid
from vaegan.networks.initialise import initialise
from vaegan.progress import ProgressCallback, ignore_progress
from vaegan.randomness import draw_normal

from .autoencoder import Autoencoder
from .model import autocast
from .posterior import Posterior, make_deterministic


class VQVAEOutput(NamedTuple):
    """One training forward of N images; g is the side of the grid."""

    vectors: Tensor
    """What the encoder gives, shape (N, D, g, g); with `cosine` of length 1."""
    indices: Tensor
    """The entry that stands for each, int64, shape (N, g, g)."""
    entries: Tensor
    """These entries, shape (N, D, g, g); with a gradient to the codebook where the optimizer moves it."""
    reconstruction: Tensor
    """The decoded entries, with the gradient passed straight through to the vectors, shape (N, C, S, S) in [-1, 1]."""
    variance: Tensor
    """Of the training images' values, a scalar."""


class VQVAE(Autoencoder):
    """x => E(x), the nearest entry of each of its vectors => G(entries).

    With ``cosine`` vectors and entries are compared, and decoded, as directions: of length 1 (Yu et al. 2022, section
    3.2), so that the nearest entry is that of the smallest angle.

    On purpose other than in `vector-quantize-pytorch`: nothing changes inside ``forward``. A codebook that follows the
    vectors does so once for each optimizer step, by the sums of all processes (`trainers.vqvae`), and is the same for
    all micro-batches of a step. Entries are revived in the same way, those that the optimizer moves as well, with
    vectors of the whole step. With ``cosine`` they lose their length where they are used, not where they are kept.

    Args:
        config: The `model` section of a run's config.
        image_shape: (C, S, S) of the images.
        seed: Root of the initial weights.
    """

    config: VQVAEConfig
    pictures = ("reconstruction",)
    has_prior = False
    codebook: Tensor
    """K entries, shape (K, D)."""
    counts: Tensor
    """How many vectors of a step each stands for on average, shape (K,)."""
    sums: Tensor
    """Their sum, where the codebook follows by averages, shape (K, D)."""
    variance: Tensor
    """Of the training images' values in [-1, 1], over all channels."""

    def __init__(self, config: VQVAEConfig, image_shape: tuple[int, int, int], seed: int) -> None:
        super().__init__(config, image_shape)
        self.side = image_shape[1] // 4
        self.encoder = vqvae_grid.build_grid_encoder(config, image_shape[0])
        self.decoder = vqvae_grid.build_grid_decoder(config, image_shape[0])
        initialise(self.encoder, seed, "encoder")
        initialise(self.decoder, seed, "decoder")
        entries = draw_normal((config.codes, config.code_size), seed, "initialise", "codebook") / config.code_size**0.5
        if config.codebook == "gradient":
            self.codebook = nn.Parameter(entries)
        else:
            self.register_buffer("codebook", entries)
            self.register_buffer("sums", entries.clone())
        self.register_buffer("counts", torch.ones(config.codes))
        self.register_buffer("variance", torch.ones(()))

    def indices(self, images: Tensor) -> Tensor:
        """Images (N, C, S, S) in [-1, 1] => the entry of each place, int64 (N, g, g)."""
        return self._nearest(self._vectors(images))

    def embed(self, indices: Tensor) -> Tensor:
        """Entries by their numbers, int64 (N, g, g) => codes (N, D g g)."""
        return self._entries(indices).flatten(1)

    def _encode(self, images: Tensor, labels: Tensor | None) -> Posterior:
        """The entries of each image, as codes (N, D g g) with variance 0."""
        return make_deterministic(self.embed(self.indices(images)))

    def _decode(self, codes: Tensor, labels: Tensor | None) -> Tensor:
        vectors = codes.unflatten(1, (self.config.code_size, self.side, self.side))
        return torch.tanh(self.decoder(vectors).to(codes.dtype))

    def prior_codes(
        self,
        start: int,
        stop: int,
        seed: int,
        labels: Tensor | None = None,
        progress: ProgressCallback = ignore_progress,
    ) -> Tensor:
        """Refused: a VQ-VAE has no prior of its own.

        Raises:
            UserError: Always.
        """
        raise UserError(
            "model.family=vqvae: it has no prior of its own; train one over its codes with"
            " `vaegan train .../pixelcnn prior.autoencoder=RUN`, and sample from that run"
        )

    def forward(self, images: Tensor, autocast_dtype: torch.dtype | None = None) -> VQVAEOutput:
        """Encode, quantise and decode, for training.

        Args:
            images: Shape (N, C, S, S) in [-1, 1].
            arithmetic: As `autocast`; distances are taken in the type of the images.
        """
        with autocast(images, autocast_dtype):
            vectors = self._vectors(images)
        indices = self._nearest(vectors)
        entries = self._entries(indices)
        passed = straight_through(vectors, entries)
        with autocast(images, autocast_dtype):
            reconstruction = self._decode(passed.flatten(1), None).to(images.dtype)
        return VQVAEOutput(vectors, indices, entries, reconstruction, self.variance)

    def _vectors(self, images: Tensor) -> Tensor:
        vectors: Tensor = self.encoder(images).to(images.dtype)
        return F.normalize(vectors) if self.config.cosine else vectors

    def _nearest(self, vectors: Tensor) -> Tensor:
        rows = vectors.detach().movedim(1, -1)
        found = find_nearest(rows.reshape(-1, rows.shape[-1]), self._codebook.detach())
        return found.reshape(rows.shape[:-1])

    def _entries(self, indices: Tensor) -> Tensor:
        return F.embedding(indices, self._codebook).movedim(-1, 1)

    @property
    def _codebook(self) -> Tensor:
        return F.normalize(self.codebook) if self.config.cosine else self.codebook
