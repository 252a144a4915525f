"""The training step of Larsen et al. 2016, algorithm 1, to the letter; all terms are sums over an image, in nats.

The discriminator maximises L_GAN = log D(x) + log(1 - D(x')) + log(1 - D(G(z_p))), the decoder minimises
gamma L_llike + L_GAN and the encoder L_prior + L_llike. (The algorithm's lines, in which the discriminator descends
L_GAN and the decoder gamma L_llike - L_GAN, call the discriminator's loss so, which is -L_GAN of eq. 8.) An auxiliary
classifier joins L_GAN as it is: the discriminator's loss has -log p(y | .) of the three kinds of images, the decoder's
that of the two fakes.
"""

from collections.abc import Mapping

import torch

from vaegan.config.models import LarsenConfig
from vaegan.config.schema import Config
from vaegan.losses.adversarial import GENERATED, RECONSTRUCTED, classification_loss, count_predictions, feature_distance
from vaegan.models.autoencoder import repeat_labels

from ..log.scalars import CONFUSION_KEY
from .adversarial import auxiliary_nll
from .base import Backward, Batch, Networks, StepOutput, family_config, freeze
from .vae import weighted_divergence


def get_noise_shapes(config: Config) -> Mapping[str, tuple[int, ...]]:
    """What draws a code from each image's posterior, and the code of one generated image for each real one."""
    size = (family_config(config, LarsenConfig).latent_size,)
    return {"posterior": size, "prior": size}


def step(config: Config, networks: Networks, batch: Batch, backward: Backward) -> StepOutput:
    """One forward of the autoencoder; the discriminator's gradient, then those of decoder and encoder at once."""
    model, discriminator = family_config(config, LarsenConfig), networks["discriminator"]
    count = len(batch.images)
    out = networks["autoencoder"](
        batch.images, batch.noise["posterior"], batch.noise["prior"], batch.autocast_dtype, batch.labels
    )

    kinds = batch.images, out.reconstruction.detach(), out.generated.detach()
    judgement = discriminator(torch.cat(kinds), batch.autocast_dtype, repeat_labels(batch.labels, 3))
    scores, real = judgement.scores.split(count), judgement.features[:count].detach()
    loss = torch.stack([classification_loss(each, origin) for origin, each in enumerate(scores)]).sum(0).mean()
    surprise = auxiliary_nll(judgement, batch)
    backward(loss + surprise.sum(0).mean())

    with freeze(discriminator):
        kinds = out.reconstruction, out.judged, out.generated
        judgement = discriminator(torch.cat(kinds), batch.autocast_dtype, repeat_labels(batch.labels, 3))
        _, judged, generated = judgement.scores.split(count)
        likelihood = feature_distance(real, judgement.features[:count]).mean() * real[0].numel()
        fooled = -(classification_loss(judged, RECONSTRUCTED) + classification_loss(generated, GENERATED)).mean()
        fooled = fooled + auxiliary_nll(judgement, batch)[1:].sum(0).mean()
        divergence, kl = weighted_divergence(model, batch, out.posterior)
        backward(divergence.mean() + model.gamma * likelihood + fooled)

    scalars = {"loss/kl": kl, "loss/similarity": likelihood, "loss/adversarial": fooled, "loss/discriminator": loss}
    scalars |= {"loss/auxiliary": surprise.sum(0).mean()} if judgement.classes is not None else {}
    scalars["reconstruction/mse"] = (batch.images - out.reconstruction).square().mean()
    counts = torch.stack([count_predictions(each) for each in scores])
    return StepOutput(
        {key: each.detach() for key, each in scalars.items()}, {CONFUSION_KEY: counts}, out.codes.detach()
    )
