"""The training step of a GAN with an encoder behind its generator: z -> G(z) -> E(G(z)) is to be z again."""

from collections.abc import Mapping

from torch import Tensor, nn

from vaegan.config.models import GANVAEConfig
from vaegan.config.schema import Config
from vaegan.losses.adversarial import generator_loss
from vaegan.losses.divergence import code_nll

from . import adversary
from .step import Backward, Batch, Networks, Report, family_config, frozen


def noise(config: Config) -> Mapping[str, tuple[int, ...]]:
    """The code of one generated image for each real one, and what the discriminator's images change by."""
    model = family_config(config, GANVAEConfig)
    return {"prior": (model.latent_size,), **adversary.noise(model.adversarial)}


def controls(config: Config) -> dict[str, Tensor]:
    """What the discriminator's side steers."""
    return adversary.controls(family_config(config, GANVAEConfig).adversarial)


def step(config: Config, networks: Networks, batch: Batch, backward: Backward) -> Report:
    """The discriminator tells real from generated images; the generator fools it, and the encoder finds its codes."""
    model, discriminator = family_config(config, GANVAEConfig), networks["discriminator"]
    game, codes = model.adversarial, batch.noise["prior"]
    out = networks["autoencoder"](codes, batch.arithmetic, batch.labels)

    loss, real, report = adversary.judged(game, discriminator, batch, [out.generated.detach()])
    backward(loss)

    with frozen(discriminator):
        shown = adversary.augmented(game, batch, out.generated)
        judgement = discriminator(shown, adversary.arithmetic(game, batch), batch.labels)
        fooled = generator_loss(game.loss, (real.scores, judgement.scores))
        adversarial = (fooled + adversary.class_surprise(judgement, batch).mean(0)).mean()
        cycle = code_nll(codes, out.cycle.mean, out.cycle.log_variance).sum(1).mean()
        weight = game.weight * adversary.share(game, batch.step)
        backward(weight * adversarial + model.cycle * cycle / batch.images[0].numel())

    scalars = {"loss/adversarial": adversarial.detach(), "loss/cycle": cycle.detach()}
    return Report({**scalars, **report.scalars}, report.counts, sums=report.sums)


def follow(
    config: Config, networks: dict[str, nn.Module], controls: Mapping[str, Tensor], totals: Mapping[str, Tensor]
) -> None:
    """Move what the discriminator's side steers; arguments as of `vaegan.follow`."""
    adversary.follow(family_config(config, GANVAEConfig).adversarial, config.train.batch_size, controls, totals)
