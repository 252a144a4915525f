"""The training step of a PixelCNN over the codes of a VQ-VAE: maximum likelihood."""

import torch.nn.functional as F

from vaegan.config.models import PixelCNNConfig
from vaegan.config.schema import Config
from vaegan.data import Data
from vaegan.distributed import run_on_all_ranks
from vaegan.errors import UserError
from vaegan.models.pixelcnn import PixelCNN
from vaegan.models.vqvae import VQVAE
from vaegan.storage.loading import load
from vaegan.storage.run_folder import Run

from .base import Backward, Networks, StepInput, StepOutput, Term, TrainingStep, log_terms, sum_terms


class PixelCNNStep(TrainingStep[PixelCNNConfig]):
    """Minimise -log p(codes), or -log p(codes | class), per position."""

    model_name = "prior"

    def check_inputs(self) -> None:
        """Check that the run of the VQ-VAE exists and fits.

        Raises:
            UserError: `prior.autoencoder` is no run of the VQ-VAE `model.autoencoder`, is of images of another size, or
                held out other fractions of the same images.
        """
        run_on_all_ranks(lambda: load_autoencoder(self.config))

    def init_from_data(self, networks: Networks, data: Data) -> None:
        """Load the weights of the VQ-VAE into the model."""
        network = networks[self.model_name]
        assert isinstance(network, PixelCNN)
        network.autoencoder.load_state_dict(run_on_all_ranks(lambda: load_autoencoder(self.config)).state_dict())

    def accumulate_gradients(self, networks: Networks, batch: StepInput, backward: Backward) -> StepOutput:
        """Encode the images and predict their codes."""
        out = networks[self.model_name](batch.images, batch.autocast_dtype, batch.labels)
        nll = F.cross_entropy(out.logits, out.indices, reduction="none").flatten(1).mean(1)

        terms = {"prior": Term(nll.mean())}
        backward(sum_terms(terms))
        return StepOutput(log_terms(terms))


def load_autoencoder(config: Config) -> VQVAE:
    """Load the VQ-VAE of the run `prior.autoencoder`.

    Raises:
        UserError: The run does not exist, is of another family, of images of another size, of another VQ-VAE than
            `model.autoencoder`, or held out other fractions of the same images.
    """
    assert config.prior is not None
    path = config.prior.autoencoder
    try:
        model = load(path)
    except UserError as error:
        raise UserError(f"prior.autoencoder: {error}") from None
    if not isinstance(model, VQVAE):
        raise UserError(f"prior.autoencoder: {path}: the run of a {type(model).__name__}, no VQVAE")
    if model.image_shape != config.data.image_shape:
        sizes = ["x".join(map(str, shape)) for shape in (model.image_shape, config.data.image_shape)]
        raise UserError(f"prior.autoencoder: {path}: is for images of {sizes[0]}, not {sizes[1]}")
    data, other = config.data, Run(path).config.data
    if (data.source, data.root, data.count, data.sha256) == (other.source, other.root, other.count, other.sha256):
        for key in ("version", "validation", "test"):
            if (value := getattr(data, key)) != (other_value := getattr(other, key)):
                problem = f"was trained with data.{key}={other_value:g}, not {value:g}, and may have seen"
                raise UserError(f"prior.autoencoder: {path}: {problem} what is held out here; give both the same")
    if model.config != getattr(config.model, "autoencoder", None):
        raise UserError(f"prior.autoencoder: {path}: another VQ-VAE than model.autoencoder says")
    return model
