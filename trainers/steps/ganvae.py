"""The training step of a GAN with an encoder behind its generator: z -> G(z) -> E(G(z)) is to be z again."""

from collections.abc import Mapping

from torch import Tensor, nn

from vaegan.config.models import GANVAEConfig
from vaegan.config.schema import Config
from vaegan.losses.adversarial import generator_loss
from vaegan.losses.divergence import code_nll

from . import adversarial as discriminator_side
from .base import Backward, Batch, Networks, StepOutput, family_config, freeze


def get_noise_shapes(config: Config) -> Mapping[str, tuple[int, ...]]:
    """The code of one generated image for each real one, and what the discriminator's images change by."""
    model = family_config(config, GANVAEConfig)
    return {"prior": (model.latent_size,), **discriminator_side.get_noise_shapes(model.adversarial)}


def init_adaptive_state(config: Config) -> dict[str, Tensor]:
    """What the discriminator's side steers."""
    return discriminator_side.init_adaptive_state(family_config(config, GANVAEConfig).adversarial)


def step(config: Config, networks: Networks, batch: Batch, backward: Backward) -> StepOutput:
    """The discriminator tells real from generated images; the generator fools it, and the encoder finds its codes."""
    model, discriminator = family_config(config, GANVAEConfig), networks["discriminator"]
    game, codes = model.adversarial, batch.noise["prior"]
    out = networks["autoencoder"](codes, batch.autocast_dtype, batch.labels)

    loss, real, report = discriminator_side.compute_discriminator_loss(
        game, discriminator, batch, [out.generated.detach()]
    )
    backward(loss)

    with freeze(discriminator):
        shown = discriminator_side.augment_images(game, batch, out.generated)
        judgement = discriminator(shown, discriminator_side.get_autocast_dtype(game, batch), batch.labels)
        fooled = generator_loss(game.loss, (real.scores, judgement.scores))
        adversarial = (fooled + discriminator_side.auxiliary_nll(judgement, batch).mean(0)).mean()
        cycle = code_nll(codes, out.cycle.mean, out.cycle.log_variance).sum(1).mean()
        weight = game.weight * discriminator_side.get_ramp(game, batch.step)
        backward(weight * adversarial + model.cycle * cycle / batch.images[0].numel())

    scalars = {"loss/adversarial": adversarial.detach(), "loss/cycle": cycle.detach()}
    return StepOutput({**scalars, **report.scalars}, report.counts, sums=report.sums)


def after_update(
    config: Config, networks: dict[str, nn.Module], controls: Mapping[str, Tensor], totals: Mapping[str, Tensor]
) -> None:
    """Move what the discriminator's side steers; arguments as of `vaegan.after_update`."""
    discriminator_side.update_adaptive_state(
        family_config(config, GANVAEConfig).adversarial, config.train.batch_size, controls, totals
    )
