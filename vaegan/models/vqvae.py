"""The VQ-VAE (van den Oord et al. 2017): codes are grids of entries of a codebook."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vaegan.config.codebooks import VQVAEConfig
from vaegan.losses.quantisation import find_nearest, straight_through
from vaegan.networks import vqvae_grid
from vaegan.networks.initialise import initialise
from vaegan.randomness import draw_normal

from .autoencoder import Autoencoder
from .posterior import Posterior, make_deterministic


class VQVAEOutput(NamedTuple):
    """Output of a training forward of N images; g is the side of the grid."""

    vectors: Tensor
    """Vectors z of the encoder, shape (N, D, g, g); with `cosine` of length 1."""
    indices: Tensor
    """Index of the nearest entry of each vector, int64, shape (N, g, g)."""
    entries: Tensor
    """Nearest entry e of each vector, shape (N, D, g, g), with a gradient to a codebook that the optimizer trains."""
    reconstruction: Tensor
    """Decoded entries, whose gradient passes straight through to the vectors, shape (N, C, S, S) in [-1, 1]."""
    variance: Tensor
    """Variance of the training images' values in [-1, 1], a scalar."""


class VQVAE(Autoencoder):
    """z = E(x), the nearest codebook entry e_k of each vector of z, k = argmin_j |z - e_j| (eq. 1), x' = G(e).

    With ``cosine`` vectors and entries are normalised to length 1 where they are compared and decoded (Yu et al. 2022,
    section 3.2), so that the nearest entry is that of the smallest angle.

    Unlike in `vector-quantize-pytorch` nothing changes inside ``forward``. A codebook of moving averages is updated
    once per optimizer step, from the sums of all processes (`vaegan.trainers.steps.vqvae`), and is the same for all
    micro-batches of a step. Unused entries are revived at the same time, also those that the optimizer trains, with
    vectors of the complete step. With ``cosine`` entries are normalised where they are used, not where they are stored.

    Build it by `VQVAE(image_shape=(3, 32, 32), codes=256)`; the settings are those of `VQVAEConfig`.

    Args:
        config: The `model` section of a run's config; None: the settings alone.
        image_shape: (C, S, S) of the images, S a multiple of 4.
        seed: Root of the initial weights.
        settings: Settings of `VQVAEConfig` by name, which replace those of `config`.

    Raises:
        UserError: `image_shape` is missing or is no such shape, or a setting is wrong.
    """

    config: VQVAEConfig
    config_class = VQVAEConfig
    grid_names = ("reconstruction",)
    has_prior = False
    no_prior_message = (
        "model.family=vqvae: it has no prior of its own; train one over its codes with"
        " `vaegan train .../pixelcnn prior.autoencoder=RUN`, and sample from that run"
    )
    codebook: Tensor
    """Entries, shape (K, D)."""
    counts: Tensor
    """Average number of vectors per step whose nearest entry each is, shape (K,)."""
    sums: Tensor
    """Average sum of these vectors, shape (K, D); absent if the optimizer trains the codebook."""
    variance: Tensor
    """Variance of the training images' values in [-1, 1], over all channels, a scalar."""

    def __init__(
        self,
        config: VQVAEConfig | None = None,
        image_shape: Sequence[int] | None = None,
        seed: int = 0,
        **settings: Any,
    ) -> None:
        super().__init__(config, image_shape, **settings)
        config, (channels, size, _) = self.config, self.image_shape
        self.side = size // 4
        self.code_shape = config.code_size, self.side, self.side
        self.encoder = initialise(vqvae_grid.build_grid_encoder(config, channels), seed, "encoder")
        self.decoder = initialise(vqvae_grid.build_grid_decoder(config, channels), seed, "decoder")
        entries = draw_normal((config.codes, config.code_size), seed, "initialise", "codebook") / config.code_size**0.5
        if config.codebook == "gradient":
            self.codebook = nn.Parameter(entries)
        else:
            self.register_buffer("codebook", entries)
            self.register_buffer("sums", entries.clone())
        self.register_buffer("counts", torch.ones(config.codes))
        self.register_buffer("variance", torch.ones(()))

    def encode_indices(self, images: Tensor) -> Tensor:
        """Return the indices of the entries that images (N, C, S, S) in [-1, 1] are encoded to, int64, (N, g, g)."""
        return self._find_nearest(self._encode_vectors(images))

    def embed(self, indices: Tensor) -> Tensor:
        """Return the entries of ``indices``, int64 (N, g, g), as codes of shape (N, D g g)."""
        return self._look_up(indices).flatten(1)

    def _encode(self, images: Tensor, labels: Tensor | None) -> Posterior:
        """Return the entries of each image as codes of shape (N, D g g), with variance 0."""
        return make_deterministic(self.embed(self.encode_indices(images)))

    def _decode(self, codes: Tensor, labels: Tensor | None) -> Tensor:
        return torch.tanh(self.decoder(codes.unflatten(1, self.code_shape)).to(codes.dtype))

    def forward(self, images: Tensor, autocast_dtype: torch.dtype | None = None) -> VQVAEOutput:
        """Encode, quantise and decode images.

        Args:
            images: Shape (N, C, S, S) in [-1, 1], or uint8 pixels.
            autocast_dtype: Autocast type (bfloat16) of encoder and decoder; None: no autocast. Distances are computed
                in the type of the images.
        """
        images = self.prepare_images(images, check_values=not self.training)
        with self.autocast(images, autocast_dtype):
            vectors = self._encode_vectors(images)
        indices = self._find_nearest(vectors)
        entries = self._look_up(indices)
        quantised = straight_through(vectors, entries)
        with self.autocast(images, autocast_dtype):
            reconstruction = self._decode(quantised.flatten(1), None).to(images.dtype)
        return VQVAEOutput(vectors, indices, entries, reconstruction, self.variance)

    def _encode_vectors(self, images: Tensor) -> Tensor:
        vectors: Tensor = self.encoder(images).to(images.dtype)
        return F.normalize(vectors) if self.config.cosine else vectors

    def _find_nearest(self, vectors: Tensor) -> Tensor:
        rows = vectors.detach().movedim(1, -1)
        indices = find_nearest(rows.reshape(-1, rows.shape[-1]), self._codebook.detach())
        return indices.reshape(rows.shape[:-1])

    def _look_up(self, indices: Tensor) -> Tensor:
        return F.embedding(indices, self._codebook).movedim(-1, 1)

    @property
    def _codebook(self) -> Tensor:
        return F.normalize(self.codebook) if self.config.cosine else self.codebook
