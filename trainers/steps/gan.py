"""The part of a training step that every family with a discriminator has: the trained classifier inside it."""

from typing import TypeVar

from vaegan.config.models import GANConfig
from vaegan.config.schema import Config
from vaegan.data import Data
from vaegan.distributed import run_on_all_ranks
from vaegan.errors import UserError
from vaegan.models import Classifier
from vaegan.storage.loading import load_classifier
from vaegan.storage.run_folder import Run, read_description

from ..recorded_digest import record_digest
from .base import Networks, TrainingStep, check_image_shape

GANSection = TypeVar("GANSection", bound=GANConfig)


class GANStep(TrainingStep[GANSection]):
    """Base of the steps of every family with a discriminator, which may hold a trained classifier frozen."""

    def check_inputs(self) -> None:
        """Check that the run of the classifier exists and fits, if the discriminator of a new run has one.

        Raises:
            UserError: `train.discriminator_features` is no finished run of the classifier of `model.discriminator`.
        """
        train = self.config.train
        if train.discriminator_features is not None and train.discriminator_features_sha256 is None:
            run_on_all_ranks(lambda: load_classifier_of_discriminator(self.config))

    def record_inputs(self, config: Config) -> Config:
        """Return the config of a run before its first step with the SHA-256 of the classifier's weights.

        Raises:
            UserError: They cannot be read, or are not those that the config records.
        """
        path = config.train.discriminator_features
        if path is None:
            return config
        digest = run_on_all_ranks(lambda: read_description(Run(path).model_folder).sha256)
        return record_digest(config, "discriminator_features", digest)

    def init_from_data(self, networks: Networks, data: Data) -> None:
        """Load the weights of the classifier into the discriminator, if it has one."""
        if self.config.train.discriminator_features is not None:
            classifier = run_on_all_ranks(lambda: load_classifier_of_discriminator(self.config))
            networks["discriminator"].get_submodule("classifier").load_state_dict(classifier.trunk.state_dict())


def load_classifier_of_discriminator(config: Config) -> Classifier:
    """Load the classifier of the run `train.discriminator_features`.

    Raises:
        UserError: The run does not exist or is not finished, is of images of another size, or of another classifier
            than `model.discriminator.classifier`.
    """
    path, key = config.train.discriminator_features, "train.discriminator_features"
    assert path is not None and isinstance(config.model, GANConfig)
    run = Run(path)
    try:
        classifier = load_classifier(path)
    except UserError as error:
        raise UserError(f"{key}: {error}") from None
    if not run.finished:
        raise UserError(f"{key}: {path}: is not finished; finish it with `vaegan train-features ... --resume`")
    check_image_shape(key, path, classifier, config)
    if classifier.config != config.model.discriminator.classifier:
        raise UserError(f"{key}: {path}: another classifier than model.discriminator.classifier says")
    return classifier
