"""The VAE-GAN's training step, two-way (after Larsen et al. 2016) and three-way.

The gradients of both networks are taken at the same parameters, so that the step is a function of the batch alone,
however it is divided.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from vaegan.config.models import VAEGANFamilyConfig
from vaegan.data import Data
from vaegan.losses.adversarial import feature_distance, generator_loss
from vaegan.losses.elbo import code_nll
from vaegan.models.autoencoder import repeat_labels
from vaegan.models.vaegan import VAEGANOutput
from vaegan.networks.discriminator import DiscriminatorOutput

from .adversarial import AdversarialStep, auxiliary_nll
from .base import Backward, Networks, StepInput, StepOutput, Term, freeze, log_terms, sum_terms
from .instance import check_queue, compute_instance_term, init_queues, place_in_batch, update_queues
from .perceptual import check_perceptual_network, get_perceptual_terms
from .vae import get_negative_elbo_terms, log_negative_elbo

ADAPTIVE_WEIGHT_EPSILON = 1e-6
"""Summand of the denominator of the adaptive weight (Esser et al. 2021, eq. 7)."""


class VAEGANStep(AdversarialStep[VAEGANFamilyConfig]):
    """Minimise -ELBO + similarity + adversarial term of the autoencoder, and the adversarial loss of the discriminator.

    All of the autoencoder's terms are means over images and pixel values.
    """

    code_noise = ("posterior", "prior")

    def get_noise_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the noise; there is none for the prior if the discriminator sees no generated images."""
        unused = {"prior"} if self.model_config.discriminator.classes == "reconstructed" else set[str]()
        return {name: shape for name, shape in super().get_noise_shapes().items() if name not in unused}

    def check_inputs(self) -> None:
        """Check that the weights of the perceptual term's network and of the discriminator's classifier exist.

        Raises:
            UserError: They are missing, damaged or of another network.
        """
        super().check_inputs()
        check_perceptual_network(self.model_config)

    def check_data(self, data: Data) -> None:
        """Check that the family can learn from the images, and that few of them meet themselves in the queues.

        Raises:
            UserError: It cannot, or the queues hold too large a share of the images.
        """
        super().check_data(data)
        if self.model_config.discriminator.instance_layers:
            check_queue(self.model_config.adversarial.instance_queue, len(data.train))

    def init_adaptive_state(self) -> dict[str, Tensor]:
        """Return the discriminator's adaptive state, the factor of the adversarial term's weight, and the queues."""
        is_adaptive = self.model_config.adversarial.adaptive is not None
        adaptive = {"adaptive": torch.ones((), dtype=torch.float64)} if is_adaptive else {}
        return super().init_adaptive_state() | adaptive | init_queues(self.model_config)

    def accumulate_gradients(self, networks: Networks, batch: StepInput, backward: Backward) -> StepOutput:
        """Run the autoencoder once; backpropagate the discriminator's loss, then the autoencoder's."""
        config, autoencoder, discriminator = self.model_config, networks["autoencoder"], networks["discriminator"]
        noise = batch.noise["posterior"], batch.noise.get("prior")
        out = autoencoder(batch.images, *noise, batch.autocast_dtype, batch.labels)

        fakes = [fake.detach() for fake in (out.reconstruction, out.generated) if fake is not None]
        loss, real, step_output = self.compute_discriminator_loss(discriminator, batch, fakes)
        backward(loss)

        pixels = batch.images[0].numel()
        with freeze(discriminator):
            elbo_terms = get_negative_elbo_terms(config, batch, out)
            negative_elbo = sum_terms(elbo_terms).mean()
            adversarial, similarity, instance = self.compute_generator_terms(discriminator, batch, out, real)
            terms = {
                "negative_elbo": Term(negative_elbo, divisor=pixels, logged=False),
                "similarity": Term(similarity, config.adversarial.similarity),
            }
            if instance is not None:
                terms["instance"] = Term(instance, config.adversarial.instance)
            terms |= get_perceptual_terms(config, batch.images, out.reconstruction)
            gradients = self.compute_last_layer_gradients(autoencoder, sum_terms(terms), adversarial)
            weight = self.get_adversarial_weight(batch.step) * batch.adaptive_state.get("adaptive", 1.0)
            terms["adversarial"] = Term(adversarial, weight)
            if out.cycle is not None:
                cycle_nll = code_nll(batch.noise["prior"], out.cycle.mean, out.cycle.log_variance).sum(1).mean()
                terms["cycle"] = Term(cycle_nll, config.cycle, pixels)
            backward(sum_terms(terms))

        scalars = {**log_negative_elbo(elbo_terms, batch, out), **log_terms(terms), **step_output.scalars}
        if config.adversarial.adaptive is not None:
            scalars["weight/adversarial"] = torch.as_tensor(weight)
        sums = {f"gradient/{name}": gradient * len(batch.images) for name, gradient in gradients.items()}
        sums |= place_in_batch(config, batch, real.pooled, self.config.train.batch_size)
        return StepOutput(scalars, step_output.counts, out.codes.detach(), {**step_output.sums, **sums})

    def compute_generator_terms(
        self, discriminator: nn.Module, batch: StepInput, out: VAEGANOutput, real: DiscriminatorOutput
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Compute adversarial term, learned similarity and instance term, scalars with a graph to the autoencoder.

        Args:
            discriminator: The frozen discriminator, called once with all fakes.
            batch: The real images.
            out: The autoencoder's output.
            real: Detached scores and features of the real images.

        Returns:
            The terms; None for the instance term if there is none.
        """
        fakes = [out.adversarial_reconstruction, *([] if out.generated is None else [out.generated])]
        is_shared = out.adversarial_reconstruction is out.reconstruction
        images = fakes if is_shared else [out.reconstruction, *fakes]
        inputs = self.augment_images(batch, torch.cat(images))
        labels = repeat_labels(batch.labels, len(images))
        output = discriminator(inputs, batch.autocast_dtype, labels)
        scores = real.scores, *output.scores.split(len(batch.images))[-len(fakes) :]
        nll = auxiliary_nll(output, batch)[-len(fakes) :].mean(0)
        adversarial = generator_loss(self.loss_config.loss, scores) + nll
        similarity = feature_distance(real.features, output.features[: len(batch.images)])
        instance = None
        if real.pooled:
            pooled = [means[: len(batch.images)] for means in output.pooled]
            instance = compute_instance_term(self.model_config, batch, pooled, real.pooled)
        return adversarial.mean(), similarity.mean(), instance

    def compute_last_layer_gradients(
        self, autoencoder: nn.Module, reconstruction: Tensor, adversarial: Tensor
    ) -> dict[str, Tensor]:
        """Return the gradient of each loss at the decoder's last layer, float64, by loss; {} without `adaptive`."""
        if self.model_config.adversarial.adaptive is None:
            return {}
        model: Any = getattr(autoencoder, "module", autoencoder)  # as built: nothing but a parameter is read of it
        weight = model.decoder.get_last_layer()
        losses = {"reconstruction": reconstruction, "adversarial": adversarial}
        return {name: torch.autograd.grad(loss, weight, retain_graph=True)[0].double() for name, loss in losses.items()}

    def after_update(
        self, networks: Networks, adaptive_state: Mapping[str, Tensor], totals: Mapping[str, Tensor]
    ) -> None:
        """Adapt the discriminator's state, the queues, and the factor: the ratio of the last layer's gradient norms.

        Args:
            networks: The networks as built.
            adaptive_state: Changed in place.
            totals: Sums over all images of the step.
        """
        super().after_update(networks, adaptive_state, totals)
        update_queues(adaptive_state, totals)
        if self.model_config.adversarial.adaptive is not None:
            batch_size = self.config.train.batch_size
            reconstruction, adversarial = (
                totals[f"gradient/{name}"].norm() / batch_size for name in ("reconstruction", "adversarial")
            )
            factor = reconstruction / (adversarial + ADAPTIVE_WEIGHT_EPSILON)
            adaptive_state["adaptive"].copy_(factor.clamp(*self.model_config.adversarial.adaptive))
