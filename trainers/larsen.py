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
from vaegan.losses.adversarial import (
    GENERATED,
    RECONSTRUCTED,
    classification_loss,
    feature_distance,
    predicted_counts,
)
from vaegan.models.autoencoder import repeated

from .adversary import class_surprise
from .figures import CONFUSION
from .step import Backward, Batch, Networks, Report, family_config, frozen
from .vae import weighted_divergence


def noise(config: Config) -> Mapping[str, tuple[int, ...]]:
    """What draws a code from each image's posterior, and the code of one generated image for each real one."""
    size = (family_config(config, LarsenConfig).latent_size,)
    return {"posterior": size, "prior": size}


def step(config: Config, networks: Networks, batch: Batch, backward: Backward) -> Report:
    """One forward of the autoencoder; the discriminator's gradient, then those of decoder and encoder at once."""
    model, discriminator = family_config(config, LarsenConfig), networks["discriminator"]
    count = len(batch.images)
    out = networks["autoencoder"](
        batch.images, batch.noise["posterior"], batch.noise["prior"], batch.arithmetic, batch.labels
    )

    kinds = batch.images, out.reconstruction.detach(), out.generated.detach()
    judgement = discriminator(torch.cat(kinds), batch.arithmetic, repeated(batch.labels, 3))
    scores, real = judgement.scores.split(count), judgement.features[:count].detach()
    loss = torch.stack([classification_loss(each, origin) for origin, each in enumerate(scores)]).sum(0).mean()
    surprise = class_surprise(judgement, batch)
    backward(loss + surprise.sum(0).mean())

    with frozen(discriminator):
        kinds = out.reconstruction, out.judged, out.generated
        judgement = discriminator(torch.cat(kinds), batch.arithmetic, repeated(batch.labels, 3))
        _, judged, generated = judgement.scores.split(count)
        likelihood = feature_distance(real, judgement.features[:count]).mean() * real[0].numel()
        fooled = -(classification_loss(judged, RECONSTRUCTED) + classification_loss(generated, GENERATED)).mean()
        fooled = fooled + class_surprise(judgement, batch)[1:].sum(0).mean()
        divergence, kl = weighted_divergence(model, batch, out.posterior)
        backward(divergence.mean() + model.gamma * likelihood + fooled)

    scalars = {"loss/kl": kl, "loss/similarity": likelihood, "loss/adversarial": fooled, "loss/discriminator": loss}
    scalars |= {"loss/auxiliary": surprise.sum(0).mean()} if judgement.classes is not None else {}
    scalars["reconstruction/mse"] = (batch.images - out.reconstruction).square().mean()
    counts = torch.stack([predicted_counts(each) for each in scores])
    return Report({key: each.detach() for key, each in scalars.items()}, {CONFUSION: counts}, out.codes.detach())
