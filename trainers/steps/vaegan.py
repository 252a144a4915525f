"""The VAE-GAN's training step, two-way (after Larsen et al. 2016) and three-way.

Both networks' gradients are taken at the same parameters, so that the step is a function of the batch alone,
however it is divided.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from vaegan.config.models import VAEGANAdversarialConfig, VAEGANConfig
from vaegan.config.schema import Config
from vaegan.distributed import run_on_all_ranks
from vaegan.errors import UserError
from vaegan.losses.adversarial import feature_distance, generator_loss
from vaegan.losses.divergence import code_nll
from vaegan.losses.perceptual import get_training_lpips_network, lpips_distance
from vaegan.models.autoencoder import repeat_labels
from vaegan.models.vaegan import VAEGANOutput
from vaegan.networks.discriminator import DiscriminatorOutput

from . import adversarial as discriminator_side
from . import vae
from .base import Backward, Batch, Networks, StepOutput, family_config, freeze
from .vae import negative_elbo

MIN_GRADIENT_NORM = 1e-6
"""Keeps a ratio of gradients finite (Esser et al. 2021, eq. 7)."""


def get_noise_shapes(config: Config) -> Mapping[str, tuple[int, ...]]:
    """The VAE's, the code of one generated image for each real one, and what the discriminator's images change by."""
    model = family_config(config, VAEGANConfig)
    return {
        **vae.get_noise_shapes(config),
        "prior": (model.latent_size,),
        **discriminator_side.get_noise_shapes(model.adversarial),
    }


def check_inputs(config: Config) -> None:
    """See that there are the weights of the perceptual term's network, if there is one.

    Raises:
        UserError: There are not.
    """
    model = family_config(config, VAEGANConfig)
    if not model.perceptual or model.perceptual_network == "random":
        return
    try:
        run_on_all_ranks(lambda: get_training_lpips_network(model.perceptual_network, torch.device("cpu")))
    except UserError as mistake:
        key = "model.perceptual_network"
        raise UserError(f"{key}: {mistake}; or give {key}=random", mistake.on_all_ranks) from None


def init_adaptive_state(config: Config) -> dict[str, Tensor]:
    """What the discriminator's side steers, and the adaptive factor of the adversarial term's weight."""
    game = family_config(config, VAEGANConfig).adversarial
    adaptive = {} if game.adaptive is None else {"adaptive": torch.ones((), dtype=torch.float64)}
    return discriminator_side.init_adaptive_state(game) | adaptive


def step(config: Config, networks: Networks, batch: Batch, backward: Backward) -> StepOutput:
    """One forward of the autoencoder; the discriminator's gradient, then the autoencoder's."""
    model = family_config(config, VAEGANConfig)
    game, autoencoder, discriminator = model.adversarial, networks["autoencoder"], networks["discriminator"]
    noise = batch.noise["posterior"], batch.noise["prior"]
    out = autoencoder(batch.images, *noise, batch.autocast_dtype, batch.labels)

    fakes = out.reconstruction.detach(), out.generated.detach()
    loss, real, report = discriminator_side.compute_discriminator_loss(game, discriminator, batch, fakes)
    backward(loss)

    with freeze(discriminator):
        elbo, scalars = negative_elbo(model, batch, out)
        adversarial, similarity = compute_generator_terms(game, discriminator, batch, out, real)
        reconstruction = elbo + game.similarity * similarity
        if model.perceptual:
            network = get_training_lpips_network(model.perceptual_network, batch.images.device)
            perceptual = lpips_distance(network, batch.images, out.reconstruction).mean()
            reconstruction = reconstruction + model.perceptual * perceptual
            scalars["loss/perceptual"] = perceptual.detach()
        sums = compute_last_layer_gradients(
            game, autoencoder, {"reconstruction": reconstruction, "adversarial": adversarial}
        )
        weight = game.weight * discriminator_side.get_ramp(game, batch.step) * batch.controls.get("adaptive", 1.0)
        scalars |= {"loss/adversarial": adversarial.detach(), "loss/similarity": similarity.detach()}
        total = reconstruction + weight * adversarial
        if out.cycle is not None:
            cycle = code_nll(batch.noise["prior"], out.cycle.mean, out.cycle.log_variance).sum(1).mean()
            total = total + model.cycle * cycle / batch.images[0].numel()
            scalars["loss/cycle"] = cycle.detach()
        backward(total)

    scalars |= {"weight/adversarial": torch.as_tensor(weight)} if game.adaptive is not None else {}
    sums = {key: pull * len(batch.images) for key, pull in sums.items()}
    return StepOutput({**scalars, **report.scalars}, report.counts, out.codes.detach(), {**report.sums, **sums})


def compute_generator_terms(
    game: VAEGANAdversarialConfig, discriminator: nn.Module, batch: Batch, out: VAEGANOutput, real: DiscriminatorOutput
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
    images = discriminator_side.augment_images(game, batch, torch.cat(shown))
    judgement = discriminator(
        images, discriminator_side.get_autocast_dtype(game, batch), repeat_labels(batch.labels, len(shown))
    )
    reconstructed, generated, *shielded = judgement.scores.split(len(batch.images))
    adversarial = generator_loss(game.loss, (real.scores, *(shielded or [reconstructed]), generated))
    adversarial = adversarial + discriminator_side.auxiliary_nll(judgement, batch)[-2:].mean(0)  # of what was judged
    similarity = feature_distance(real.features, judgement.features[: len(batch.images)])
    return adversarial.mean(), similarity.mean()


def compute_last_layer_gradients(
    game: VAEGANAdversarialConfig, autoencoder: nn.Module, terms: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The gradient of each term at the weight of the decoder's last layer, float64; none where no weight adapts."""
    if game.adaptive is None:
        return {}
    *_, last = (own for name, own in autoencoder.named_parameters() if ".out." in name and name.endswith("weight"))
    return {name: torch.autograd.grad(term, last, retain_graph=True)[0].double() for name, term in terms.items()}


def after_update(
    config: Config, networks: dict[str, nn.Module], controls: Mapping[str, Tensor], totals: Mapping[str, Tensor]
) -> None:
    """Move what the discriminator's side steers, and the adaptive factor: the ratio of the two terms' `compute_last_layer_gradients`.

    Args:
        config: The run.
        networks: As built.
        controls: Moved in place.
        totals: What the step's reports summed up to, over all images of the step.
    """
    game, images = family_config(config, VAEGANConfig).adversarial, config.train.batch_size
    discriminator_side.update_adaptive_state(game, images, controls, totals)
    if game.adaptive is not None:
        reconstruction, adversarial = (totals[name].norm() / images for name in ("reconstruction", "adversarial"))
        controls["adaptive"].copy_((reconstruction / (adversarial + MIN_GRADIENT_NORM)).clamp(*game.adaptive))
