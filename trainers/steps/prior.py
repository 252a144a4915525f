"""The part of a training step that every prior over the codes of a frozen autoencoder has: its autoencoder."""

from torch import nn

from vaegan.config.codebooks import TrainedPriorConfig
from vaegan.config.schema import Config
from vaegan.data import Data
from vaegan.distributed import run_on_all_ranks
from vaegan.errors import UserError
from vaegan.models import Autoencoder
from vaegan.storage.loading import load
from vaegan.storage.run_folder import Run

from .base import ModelSection, Networks, TrainingStep, check_image_shape


class PriorStep(TrainingStep[ModelSection]):
    """Base of the steps of a prior, whose model holds its autoencoder frozen."""

    model_name = "prior"

    def check_inputs(self) -> None:
        """Check that the run of the autoencoder exists and fits.

        Raises:
            UserError: `prior.autoencoder` is no finished run of the autoencoder `model.autoencoder`, is of images of
                another size, or held out other fractions of the same images.
        """
        run_on_all_ranks(lambda: load_autoencoder(self.config))

    def init_from_data(self, networks: Networks, data: Data) -> None:
        """Load the weights of the autoencoder into the model."""
        weights = run_on_all_ranks(lambda: load_autoencoder(self.config)).state_dict()
        self.get_autoencoder(networks).load_state_dict(weights)

    def get_autoencoder(self, networks: Networks) -> nn.Module:
        """Return the frozen autoencoder in the model of the networks as built."""
        return networks[self.model_name].get_submodule("autoencoder")


def load_autoencoder(config: Config) -> Autoencoder:
    """Load the autoencoder of the run `prior.autoencoder`.

    Raises:
        UserError: The run does not exist or is not finished, is of another family, of images of another size, of
            another autoencoder than `model.autoencoder`, or held out other fractions of the same images.
    """
    assert config.prior is not None and isinstance(config.model, TrainedPriorConfig)
    path, name = config.prior.autoencoder, config.model.autoencoder_name
    run = Run(path)
    try:
        model, trained = load(path), run.config
    except UserError as error:
        raise UserError(f"prior.autoencoder: {error}") from None
    if (family := trained.model.family) not in config.model.autoencoder_families:
        families = " | ".join(config.model.autoencoder_families)
        raise UserError(f"prior.autoencoder: {path}: the run of family {family}; allowed: {families}")
    if not run.finished:
        steps = f"{run.exported_step or 0:,} of {trained.train.steps:,} steps"
        raise UserError(f"prior.autoencoder: {path}: has {steps}; finish it with `vaegan train ... --resume`")
    check_image_shape("prior.autoencoder", path, model, config)
    data, other = config.data, trained.data
    if (data.source, data.root, data.count, data.sha256) == (other.source, other.root, other.count, other.sha256):
        for key in ("version", "validation", "test"):
            if (value := getattr(data, key)) != (other_value := getattr(other, key)):
                problem = f"was trained with data.{key}={other_value:g}, not {value:g}, and may have seen"
                raise UserError(f"prior.autoencoder: {path}: {problem} what is held out here; give both the same")
    if model.config != getattr(config.model, "autoencoder", None):
        raise UserError(f"prior.autoencoder: {path}: another {name} than model.autoencoder says")
    return model
