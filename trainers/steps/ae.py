"""The autoencoder's training step: the mean squared error, of a denoising one from images with noise."""

from vaegan.config.models import AEFamilyConfig

from .base import Backward, Networks, StepInput, StepOutput, Term, TrainingStep, log_terms, sum_terms


class AEStep(TrainingStep[AEFamilyConfig]):
    """Minimise mean (x - x')^2, where x' is decoded from x, or from x with noise (Vincent et al. 2008, eq. 5)."""

    def get_noise_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of the noise that a denoising autoencoder's images get."""
        return {"denoising": self.config.data.image_shape} if self.model_config.denoising else {}

    def accumulate_gradients(self, networks: Networks, batch: StepInput, backward: Backward) -> StepOutput:
        """Reconstruct the images, from noisy ones if the autoencoder is a denoising one."""
        inputs = batch.images
        if self.model_config.denoising:
            inputs = inputs + self.model_config.denoising * batch.noise["denoising"]
        out = networks["autoencoder"](inputs, batch.autocast_dtype)
        mse = (batch.images - out.reconstruction).square().mean()

        terms = {"reconstruction": Term(mse)}
        backward(sum_terms(terms))
        return StepOutput({**log_terms(terms), "reconstruction/mse": mse.detach()})
