"""The VAE-GAN's training step, two-way (after Larsen et al. 2016) and three-way.

Both networks' gradients are taken at the same parameters, so that the step is a function of the batch alone,
however it is divided.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from vaegan.config.models import VAEGANAdversarialConfig, VAEGANConfig
from vaegan.config.schema import Config
from vaegan.errors import Mistake
from vaegan.losses.adversarial import feature_distance, generator_loss
from vaegan.losses.divergence import code_nll
from vaegan.models.autoencoder import repeated
from vaegan.models.vaegan import VAEGANOutput
from vaegan.networks import Judgement
from vaegan.perceptual import distance, kept_network
from vaegan.processes import together

from . import adversary, vae
from .step import Backward, Batch, Networks, Report, family_config, frozen
from .vae import negative_elbo

TINY = 1e-6
"""Keeps a ratio of gradients finite (Esser et al. 2021, eq. 7)."""


def noise(config: Config) -> Mapping[str, tuple[int, ...]]:
    """The VAE's, the code of one generated image for each real one, and what the discriminator's images change by."""
    model = family_config(config, VAEGANConfig)
    return {**vae.noise(config), "prior": (model.latent_size,), **adversary.noise(model.adversarial)}


def ready(config: Config) -> None:
    """See that there are the weights of the perceptual term's network, if there is one.

    Raises:
        Mistake: There are not.
    """
    model = family_config(config, VAEGANConfig)
    if not model.perceptual or model.perceptual_network == "random":
        return
    try:
        together(lambda: kept_network(model.perceptual_network, torch.device("cpu")))
    except Mistake as mistake:
        key = "model.perceptual_network"
        raise Mistake(f"{key}: {mistake}; or give {key}=random", mistake.everywhere) from None


def controls(config: Config) -> dict[str, Tensor]:
    """What the discriminator's side steers, and the adaptive factor of the adversarial term's weight."""
    game = family_config(config, VAEGANConfig).adversarial
    adaptive = {} if game.adaptive is None else {"adaptive": torch.ones((), dtype=torch.float64)}
    return adversary.controls(game) | adaptive


def step(config: Config, networks: Networks, batch: Batch, backward: Backward) -> Report:
    """One forward of the autoencoder; the discriminator's gradient, then the autoencoder's."""
    model = family_config(config, VAEGANConfig)
    game, autoencoder, discriminator = model.adversarial, networks["autoencoder"], networks["discriminator"]
    noise = batch.noise["posterior"], batch.noise["prior"]
    out = autoencoder(batch.images, *noise, batch.arithmetic, batch.labels)

    fakes = out.reconstruction.detach(), out.generated.detach()
    loss, real, report = adversary.judged(game, discriminator, batch, fakes)
    backward(loss)

    with frozen(discriminator):
        elbo, scalars = negative_elbo(model, batch, out)
        adversarial, similarity = opinion(game, discriminator, batch, out, real)
        reconstruction = elbo + game.similarity * similarity
        if model.perceptual:
            network = kept_network(model.perceptual_network, batch.images.device)
            perceptual = distance(network, batch.images, out.reconstruction).mean()
            reconstruction = reconstruction + model.perceptual * perceptual
            scalars["loss/perceptual"] = perceptual.detach()
        sums = pulls(game, autoencoder, {"reconstruction": reconstruction, "adversarial": adversarial})
        weight = game.weight * adversary.share(game, batch.step) * batch.controls.get("adaptive", 1.0)
        scalars |= {"loss/adversarial": adversarial.detach(), "loss/similarity": similarity.detach()}
        total = reconstruction + weight * adversarial
        if out.cycle is not None:
            cycle = code_nll(batch.noise["prior"], out.cycle.mean, out.cycle.log_variance).sum(1).mean()
            total = total + model.cycle * cycle / batch.images[0].numel()
            scalars["loss/cycle"] = cycle.detach()
        backward(total)

    scalars |= {"weight/adversarial": torch.as_tensor(weight)} if game.adaptive is not None else {}
    sums = {key: pull * len(batch.images) for key, pull in sums.items()}
    return Report({**scalars, **report.scalars}, report.counts, out.codes.detach(), {**report.sums, **sums})


def opinion(
    game: VAEGANAdversarialConfig, discriminator: nn.Module, batch: Batch, out: VAEGANOutput, real: Judgement
) -> tuple[Tensor, Tensor]:
    """How the frozen discriminator sees the fakes, with a graph to whoever made them.

    Args:
        game: How it is played.
        discriminator: Frozen.
        batch: The real images.
        out: The fakes.
        real: What was said of the real images.

    Returns:
        The adversarial term and the learned similarity, scalars.
    """
    shown = [out.reconstruction, out.generated] + ([out.judged] if out.judged is not out.reconstruction else [])
    images = adversary.augmented(game, batch, torch.cat(shown))
    judgement = discriminator(images, adversary.arithmetic(game, batch), repeated(batch.labels, len(shown)))
    reconstructed, generated, *shielded = judgement.scores.split(len(batch.images))
    adversarial = generator_loss(game.loss, (real.scores, *(shielded or [reconstructed]), generated))
    adversarial = adversarial + adversary.class_surprise(judgement, batch)[-2:].mean(0)  # of what was judged
    similarity = feature_distance(real.features, judgement.features[: len(batch.images)])
    return adversarial.mean(), similarity.mean()


def pulls(game: VAEGANAdversarialConfig, autoencoder: nn.Module, terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The gradient of each term at the weight of the decoder's last layer, float64; none where no weight adapts."""
    if game.adaptive is None:
        return {}
    *_, last = (own for name, own in autoencoder.named_parameters() if ".out." in name and name.endswith("weight"))
    return {name: torch.autograd.grad(term, last, retain_graph=True)[0].double() for name, term in terms.items()}


def follow(
    config: Config, networks: dict[str, nn.Module], controls: Mapping[str, Tensor], totals: Mapping[str, Tensor]
) -> None:
    """Move what the discriminator's side steers, and the adaptive factor: the ratio of the two terms' `pulls`.

    Args:
        config: The run.
        networks: As built.
        controls: Moved in place.
        totals: What the step's reports summed up to, over all images of the step.
    """
    game, images = family_config(config, VAEGANConfig).adversarial, config.train.batch_size
    adversary.follow(game, images, controls, totals)
    if game.adaptive is not None:
        reconstruction, adversarial = (totals[name].norm() / images for name in ("reconstruction", "adversarial"))
        controls["adaptive"].copy_((reconstruction / (adversarial + TINY)).clamp(*game.adaptive))
