"""The training step of Larsen et al. 2016, algorithm 1, exactly; all terms are sums over an image, in nats.

The discriminator maximises L_GAN = log D(x) + log(1 - D(x')) + log(1 - D(G(z_p))), the decoder minimises
gamma L_llike + L_GAN and the encoder L_prior + L_llike. (In the algorithm's lines the discriminator descends L_GAN and
the decoder gamma L_llike - L_GAN: there L_GAN names the discriminator's loss, which is -L_GAN of eq. 8.) An auxiliary
classifier joins L_GAN: the discriminator's loss has -log p(y | .) of the images of all origins, the decoder's that of
the two fakes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from vaegan.config.models import LarsenFamilyConfig
from vaegan.losses.adversarial import GENERATED, RECONSTRUCTED, cross_entropy_loss, feature_distance
from vaegan.models.autoencoder import repeat_labels

from .adversarial import auxiliary_nll, count_confusion, log_scales
from .base import Backward, Networks, StepInput, StepOutput, Term, freeze, log_terms, sum_terms
from .gan import GANStep
from .vae import get_kl_term


class LarsenStep(GANStep[LarsenFamilyConfig]):
    """Minimise L_prior + gamma L_llike + L_GAN of the autoencoder, whose forward routes the gradients, and -L_GAN."""

    code_noise = ("posterior", "prior")

    def accumulate_gradients(self, networks: Networks, batch: StepInput, backward: Backward) -> StepOutput:
        """Run the autoencoder once; backpropagate the discriminator's loss, then decoder's and encoder's at once."""
        config, discriminator, count = self.model_config, networks["discriminator"], len(batch.images)
        noise = batch.noise["posterior"], batch.noise["prior"]
        out = networks["autoencoder"](batch.images, *noise, batch.autocast_dtype, batch.labels)
        labels = repeat_labels(batch.labels, 3)

        images = torch.cat([batch.images, out.reconstruction.detach(), out.generated.detach()])
        output = discriminator(images, batch.autocast_dtype, labels)
        scores, real_features = output.scores.split(count), output.features[:count].detach()
        discriminator_terms = {"discriminator": Term(compute_gan_loss(scores).mean())}
        if output.class_logits is not None:
            discriminator_terms["auxiliary"] = Term(auxiliary_nll(output, batch).sum(0).mean())
        backward(sum_terms(discriminator_terms))

        with freeze(discriminator):
            images = torch.cat([out.reconstruction, out.adversarial_reconstruction, out.generated])
            output = discriminator(images, batch.autocast_dtype, labels)
            _, reconstructed, generated = output.scores.split(count)
            similarity = feature_distance(real_features, output.features[:count]).mean() * real_features[0].numel()
            losses = cross_entropy_loss(reconstructed, RECONSTRUCTED) + cross_entropy_loss(generated, GENERATED)
            adversarial = -losses.mean() + auxiliary_nll(output, batch)[1:].sum(0).mean()
            terms = {
                "kl": get_kl_term(config, batch.step, out.posterior).mean(),
                "similarity": Term(similarity, config.gamma),
                "adversarial": Term(adversarial),
            }
            backward(sum_terms(terms))

        scalars = {**log_terms(terms), **log_terms(discriminator_terms)}
        scalars |= log_scales(config.discriminator, scores, compute_gan_loss)
        scalars["reconstruction/mse"] = (batch.images - out.reconstruction.detach()).square().mean()
        return StepOutput(scalars, count_confusion(config.discriminator, scores), out.codes.detach())


def compute_gan_loss(scores: Sequence[Tensor]) -> Tensor:
    """Compute -L_GAN of Larsen et al. 2016, eq. 8, shape (N,), from the scores of real images and of both fakes."""
    return torch.stack([cross_entropy_loss(logits, origin) for origin, logits in enumerate(scores)]).sum(0)
