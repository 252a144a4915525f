"""The VQ-VAE's training step, and how its codebook follows (van den Oord et al. 2017)."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from vaegan.config.models import VQVAEConfig
from vaegan.config.schema import Config
from vaegan.data import Data
from vaegan.distributed import broadcast_from_main
from vaegan.images import to_float
from vaegan.losses.quantisation import commitment_distance, compute_centres, tally
from vaegan.models import build_model
from vaegan.models.vqvae import VQVAE
from vaegan.randomness import derive_seed, make_generator

from ..log.scalars import CODEBOOK_KEY
from .base import Backward, Batch, Networks, StepOutput, family_config

KMEANS_VECTORS_PER_ENTRY = 32
"""Vectors that the first codebook's centres are found from, for each entry."""
MAX_VARIANCE_IMAGES = 4096
"""That the variance is measured of, at most."""


def build(config: Config) -> dict[str, nn.Module]:
    """The autoencoder alone."""
    return {"autoencoder": build_model(config.model, config.data.image_shape, config.seed)}


@torch.no_grad()
def init_from_data(config: Config, networks: Networks, data: Data) -> None:
    """Measure the variance of the training images, and put the first codebook among the untrained encoder's vectors."""
    model, network = family_config(config, VQVAEConfig), networks["autoencoder"]
    assert isinstance(network, VQVAE)

    def measured() -> tuple[float, Tensor | None]:
        from sklearn.cluster import KMeans  # which takes a second to import

        images = data.train[data.train.select_evenly(MAX_VARIANCE_IMAGES)]
        variance = to_float(images, torch.float64).var(correction=0).item()
        if not model.kmeans:
            return variance, None
        wanted = -(-KMEANS_VECTORS_PER_ENTRY * model.codes // network.side**2)
        shown = to_float(data.train[data.train.select_evenly(wanted)]).to(network.codebook)
        rows = network(shown).vectors.movedim(1, -1).flatten(0, -2).double().cpu()
        means = KMeans(min(model.codes, len(rows)), n_init=1, random_state=derive_seed(config.seed, "kmeans") % 2**32)
        found = torch.from_numpy(means.fit(rows.numpy()).cluster_centers_)
        return variance, found[torch.arange(model.codes) % len(found)]

    variance, first = broadcast_from_main(measured)
    network.variance.fill_(max(variance, 1e-12))
    if first is not None:
        network.codebook.copy_(first)
        if model.codebook == "ema":
            network.sums.copy_(first * network.counts[:, None].cpu())


def step(config: Config, networks: Networks, batch: Batch, backward: Backward) -> StepOutput:
    """|x - x'|^2 / variance + beta |z - sg(e)|^2, and |sg(z) - e|^2 where the optimizer moves the codebook (eq. 3)."""
    model = family_config(config, VQVAEConfig)
    out = networks["autoencoder"](batch.images, batch.autocast_dtype)
    error = (batch.images - out.reconstruction).square().flatten(1).mean(1)
    commitment = commitment_distance(out.vectors, out.entries)
    loss = error / out.variance + model.commitment * commitment
    if model.codebook == "gradient":
        loss = loss + commitment_distance(out.entries, out.vectors)
    backward(loss.mean())

    vectors = out.vectors.detach()
    counts, sums = tally(vectors.movedim(1, -1).flatten(0, -2), out.indices.flatten(), model.codes)
    totals = {"counts": counts}
    if model.codebook == "ema":
        totals["sums"] = sums
    if model.revive_below:
        totals["candidates"] = select_revival_candidates(config, batch, vectors)
    mse = error.detach().mean()
    scalars = {"loss/reconstruction": mse, "loss/commitment": commitment.detach().mean(), "reconstruction/mse": mse}
    return StepOutput(scalars, {CODEBOOK_KEY: counts}, sums=totals)


def select_revival_candidates(config: Config, batch: Batch, vectors: Tensor) -> Tensor:
    """A vector of the global batch for each entry that may need one, where it is of this micro-batch's images; else 0.

    Args:
        config: The run.
        batch: This micro-batch.
        vectors: Of its images, shape (N, D, g, g).

    Returns:
        float64, shape (K, D); summed over the step's micro-batches and processes, it has every row.
    """
    entries = family_config(config, VQVAEConfig).codes
    draw = make_generator(config.seed, "revival", batch.step)
    images = torch.randint(config.train.batch_size, (entries,), generator=draw)
    places = torch.randint(vectors[0, 0].numel(), (entries,), generator=draw)
    own = images - batch.start
    here = (own >= 0) & (own < len(vectors))
    rows = torch.zeros(entries, vectors.shape[1], dtype=torch.float64, device=vectors.device)
    rows[here.to(vectors.device)] = vectors.flatten(2)[own[here], :, places[here]].double()
    return rows


def after_update(
    config: Config, networks: dict[str, nn.Module], controls: Mapping[str, Tensor], totals: Mapping[str, Tensor]
) -> None:
    """Move a codebook of averages towards the step's vectors (appendix A.1), and idle entries to one of them.

    Args:
        config: The run.
        networks: As built.
        controls: None.
        totals: What the steps' reports summed up to, over all images of the step.
    """
    model, network = family_config(config, VQVAEConfig), networks["autoencoder"]
    assert isinstance(network, VQVAE)
    counts = network.counts.double().lerp(totals["counts"], 1 - model.codebook_decay)
    dead = counts < model.revive_below
    counts = torch.where(dead, 1.0, counts)
    revived = totals.get("candidates", network.codebook)
    if model.codebook == "ema":
        sums = network.sums.double().lerp(totals["sums"], 1 - model.codebook_decay)
        sums = torch.where(dead[:, None], revived, sums)
        network.sums.copy_(sums)
        network.codebook.copy_(compute_centres(counts, sums))
    else:
        network.codebook.copy_(torch.where(dead[:, None], revived, network.codebook))
    network.counts.copy_(counts)
