"""The classifier's training step: the cross-entropy."""

import torch.nn.functional as F

from vaegan.config.classifier import ClassifierConfig
from vaegan.data import Data

from .base import Backward, Networks, StepInput, StepOutput, Term, TrainingStep, log_terms, sum_terms


class ClassifierStep(TrainingStep[ClassifierConfig]):
    """Minimise -log p(label | x)."""

    model_name = "classifier"

    def check_data(self, data: Data) -> None:
        """Check that the images have labels of as many classes as the config says.

        Raises:
            UserError: The images have no labels, or another number of classes.
        """
        data.train.require_labels("model.classes", self.model_config.classes)

    def accumulate_gradients(self, networks: Networks, batch: StepInput, backward: Backward) -> StepOutput:
        """Classify the images."""
        assert batch.labels is not None
        logits = networks["classifier"](batch.images, batch.autocast_dtype)

        terms = {"cross_entropy": Term(F.cross_entropy(logits, batch.labels))}
        backward(sum_terms(terms))
        correct = (logits.argmax(1) == batch.labels).to(logits.dtype)
        return StepOutput({**log_terms(terms), "accuracy": correct.mean()})
