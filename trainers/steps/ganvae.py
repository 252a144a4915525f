"""The training step of a GAN with an encoder behind its generator: z -> G(z) -> E(G(z)) is to be z again."""

from vaegan.config.models import GANVAEFamilyConfig
from vaegan.losses.adversarial import generator_loss
from vaegan.losses.elbo import code_nll

from .adversarial import AdversarialStep, auxiliary_nll
from .base import Backward, Networks, StepInput, StepOutput, Term, freeze, log_terms, sum_terms


class GANVAEStep(AdversarialStep[GANVAEFamilyConfig]):
    """Minimise the adversarial term of generated images, and -log q(z | G(z)) of their codes."""

    code_noise = ("prior",)

    def accumulate_gradients(self, networks: Networks, batch: StepInput, backward: Backward) -> StepOutput:
        """Generate images and encode them; backpropagate the discriminator's loss, then the autoencoder's."""
        config, discriminator, codes = self.model_config, networks["discriminator"], batch.noise["prior"]
        out = networks["autoencoder"](prior_noise=codes, autocast_dtype=batch.autocast_dtype, labels=batch.labels)

        fakes = [out.generated.detach()]
        loss, real, step_output = self.compute_discriminator_loss(discriminator, batch, fakes)
        backward(loss)

        with freeze(discriminator):
            inputs = self.augment_images(batch, out.generated)
            output = discriminator(inputs, batch.autocast_dtype, batch.labels)
            adversarial = generator_loss(config.adversarial.loss, (real.scores, output.scores))
            adversarial = (adversarial + auxiliary_nll(output, batch).mean(0)).mean()
            cycle_nll = code_nll(codes, out.cycle.mean, out.cycle.log_variance).sum(1).mean()
            terms = {
                "adversarial": Term(adversarial, self.get_adversarial_weight(batch.step)),
                "cycle": Term(cycle_nll, config.cycle, batch.images[0].numel()),
            }
            backward(sum_terms(terms))

        scalars = {**log_terms(terms), **step_output.scalars}
        return StepOutput(scalars, step_output.counts, sums=step_output.sums)
