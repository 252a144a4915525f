"""The VQ-VAE's training step, and how its codebook follows the encoder (van den Oord et al. 2017)."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from vaegan.config.codebooks import VQVAEConfig
from vaegan.data import Data
from vaegan.devices import copy_to_device
from vaegan.distributed import broadcast_from_main
from vaegan.images import to_float
from vaegan.losses.quantisation import compute_centroids, sum_assigned_vectors, vq_distance
from vaegan.models.vqvae import VQVAE
from vaegan.randomness import derive_seed, make_generator

from .base import CODEBOOK_KEY, Backward, Networks, StepInput, StepOutput, Term, TrainingStep, log_terms, sum_terms

KMEANS_VECTORS_PER_ENTRY = 32
"""Encoder vectors per codebook entry that k-means is run on."""
MAX_VARIANCE_IMAGES = 4096
"""Images that the variance of the data is measured on, at most."""


class VQVAEStep(TrainingStep[VQVAEConfig]):
    """Minimise |x - x'|^2 / variance + beta |z - sg(e)|^2, and |sg(z) - e|^2 with a codebook by gradient (eq. 3)."""

    @torch.no_grad()
    def init_from_data(self, networks: Networks, data: Data) -> None:
        """Measure the variance of the training images, and set the codebook to k-means centres of encoder vectors."""
        config, network = self.model_config, networks["autoencoder"]
        assert isinstance(network, VQVAE)

        def measure() -> tuple[float, Tensor | None]:
            from sklearn.cluster import KMeans  # which takes a second to import

            images = data.train[data.train.select_evenly(MAX_VARIANCE_IMAGES)]
            variance = to_float(images, torch.float64).var(correction=0).item()
            if not config.kmeans:
                return variance, None
            count = -(-KMEANS_VECTORS_PER_ENTRY * config.codes // network.side**2)
            images = to_float(data.train[data.train.select_evenly(count)]).to(network.codebook)
            vectors = network.forward(images).vectors.movedim(1, -1).flatten(0, -2).double().cpu()
            random_state = derive_seed(self.config.seed, "kmeans") % 2**32
            kmeans = KMeans(min(config.codes, len(vectors)), n_init=1, random_state=random_state)
            centres = torch.from_numpy(kmeans.fit(vectors.numpy()).cluster_centers_)
            return variance, centres[torch.arange(config.codes) % len(centres)]

        variance, centres = broadcast_from_main(measure)
        network.variance.fill_(max(variance, 1e-12))
        if centres is not None:
            network.codebook.copy_(centres)
            if config.codebook == "ema":
                network.sums.copy_(centres * network.counts[:, None].cpu())

    def accumulate_gradients(self, networks: Networks, batch: StepInput, backward: Backward) -> StepOutput:
        """Encode, quantise and decode the images."""
        config = self.model_config
        out = networks["autoencoder"](batch.images, batch.autocast_dtype)
        mse = F.mse_loss(out.reconstruction, batch.images, reduction="none").flatten(1).mean(1)

        terms = {
            "reconstruction": Term(mse, divisor=out.variance),
            "commitment": Term(vq_distance(out.vectors, out.entries), config.commitment),
        }
        if config.codebook == "gradient":
            terms["codebook"] = Term(vq_distance(out.entries, out.vectors), logged=False)
        backward(sum_terms(terms).mean())

        vectors = out.vectors.detach()
        counts, sums = sum_assigned_vectors(vectors.movedim(1, -1).flatten(0, -2), out.indices.flatten(), config.codes)
        totals = {"counts": counts}
        if config.codebook == "ema":
            totals["sums"] = sums
        if config.revive_below:
            totals["candidates"] = self.select_revival_candidates(batch, vectors)
        scalars = {**log_terms(terms), "reconstruction/mse": mse.detach().mean()}
        return StepOutput(scalars, {CODEBOOK_KEY: counts}, sums=totals)

    def select_revival_candidates(self, batch: StepInput, vectors: Tensor) -> Tensor:
        """Select a random vector of the global batch for each entry; rows of other micro-batches are 0.

        Args:
            batch: This micro-batch.
            vectors: Encoder vectors of its images, shape (N, D, g, g).

        Returns:
            float64, shape (K, D); summed over the step's micro-batches and ranks, it has every row.
        """
        entries = self.model_config.codes
        generator = make_generator(self.config.seed, "revival", batch.step)
        images = torch.randint(self.config.train.batch_size, (entries,), generator=generator)
        positions = torch.randint(vectors[0, 0].numel(), (entries,), generator=generator)
        indices, positions = copy_to_device(torch.stack([images - batch.start, positions]), vectors.device)
        inside = (indices >= 0) & (indices < len(vectors))
        rows = vectors.movedim(1, -1).flatten(1, 2)[indices.clamp(0, len(vectors) - 1), positions].double()
        return torch.where(inside[:, None], rows, 0.0)

    def get_followers(self, networks: Networks) -> list[Tensor]:
        """Return the buffers of the networks, and the codebook also where the optimizer trains it."""
        network = networks["autoencoder"]
        assert isinstance(network, VQVAE)
        trained = [network.codebook] if self.model_config.codebook == "gradient" else []
        return [*super().get_followers(networks), *trained]

    def after_update(
        self, networks: Networks, adaptive_state: Mapping[str, Tensor], totals: Mapping[str, Tensor]
    ) -> None:
        """Move an EMA codebook towards the step's vectors (appendix A.1), and put idle entries on one of them.

        Args:
            networks: The networks as built.
            adaptive_state: Empty.
            totals: Sums over all images of the step.
        """
        config, network = self.model_config, networks["autoencoder"]
        assert isinstance(network, VQVAE)
        counts = network.counts.double().lerp(totals["counts"], 1 - config.codebook_decay)
        dead = counts < config.revive_below
        counts = torch.where(dead, 1.0, counts)
        revived = totals.get("candidates", network.codebook)
        if config.codebook == "ema":
            sums = network.sums.double().lerp(totals["sums"], 1 - config.codebook_decay)
            sums = torch.where(dead[:, None], revived, sums)
            network.sums.copy_(sums)
            network.codebook.copy_(compute_centroids(counts, sums))
        else:
            network.codebook.copy_(torch.where(dead[:, None], revived, network.codebook))
        network.counts.copy_(counts)
