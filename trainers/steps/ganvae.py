"""The training step of a GAN with an encoder behind its generator: z -> G(z) -> E(G(z)) is to be z again."""

from collections.abc import Mapping

from torch import Tensor

from vaegan.config.models import GANVAEConfig
from vaegan.config.schema import Config
from vaegan.losses.adversarial import generator_loss
from vaegan.losses.elbo import code_nll

from .adversarial import AdversarialTraining, auxiliary_nll
from .base import Backward, Batch, Networks, StepOutput, Term, TrainingStep, freeze, log_terms, sum_terms


class GANVAEStep(TrainingStep[GANVAEConfig]):
    """Minimise the adversarial term of generated images, and -log q(z | G(z)) of their codes."""

    def __init__(self, config: Config, model_config: GANVAEConfig) -> None:
        super().__init__(config, model_config)
        self.adversarial = AdversarialTraining(model_config.adversarial, config.train.batch_size)

    def get_noise_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the prior's codes, one for each real image, and of the augmentation's noise."""
        return {"prior": (self.model_config.latent_size,), **self.adversarial.get_noise_shapes()}

    def init_adaptive_state(self) -> dict[str, Tensor]:
        """Return the discriminator's adaptive state."""
        return self.adversarial.init_adaptive_state()

    def accumulate_gradients(self, networks: Networks, batch: Batch, backward: Backward) -> StepOutput:
        """Generate images and encode them; backpropagate the discriminator's loss, then the autoencoder's."""
        config, discriminator, codes = self.model_config, networks["discriminator"], batch.noise["prior"]
        out = networks["autoencoder"](codes, batch.autocast_dtype, batch.labels)

        fakes = [out.generated.detach()]
        loss, real, discriminator_output = self.adversarial.compute_discriminator_loss(discriminator, batch, fakes)
        backward(loss)

        with freeze(discriminator):
            inputs = self.adversarial.augment_images(batch, out.generated)
            output = discriminator(inputs, self.adversarial.get_autocast_dtype(batch), batch.labels)
            adversarial = generator_loss(config.adversarial.loss, (real.scores, output.scores))
            adversarial = (adversarial + auxiliary_nll(output, batch).mean(0)).mean()
            cycle_nll = code_nll(codes, out.cycle.mean, out.cycle.log_variance).sum(1).mean()
            terms = {
                "adversarial": Term(adversarial, config.adversarial.weight * self.adversarial.get_ramp(batch.step)),
                "cycle": Term(cycle_nll, config.cycle, batch.images[0].numel()),
            }
            backward(sum_terms(terms))

        scalars = {**log_terms(terms), **discriminator_output.scalars}
        return StepOutput(scalars, discriminator_output.counts, sums=discriminator_output.sums)

    def after_update(
        self, networks: Networks, adaptive_state: Mapping[str, Tensor], totals: Mapping[str, Tensor]
    ) -> None:
        """Adapt the discriminator's state.

        Args:
            networks: The networks as built.
            adaptive_state: Changed in place.
            totals: Sums over all images of the step.
        """
        self.adversarial.update_adaptive_state(adaptive_state, totals)
