"""The classifier's training step: the cross entropy."""

import torch.nn.functional as F
from torch import nn

from vaegan.config.models import ClassifierConfig
from vaegan.config.schema import Config
from vaegan.data import Data
from vaegan.models import build_model

from .base import Backward, Batch, Networks, StepOutput, family_config


def build(config: Config) -> dict[str, nn.Module]:
    """The classifier alone."""
    return {"classifier": build_model(config.model, config.data.image_shape, config.seed)}


def check_data(config: Config, data: Data) -> None:
    """See that the images have labels, of as many classes as the config says."""
    data.train.require_labels("model.classes", family_config(config, ClassifierConfig).classes)


def step(config: Config, networks: Networks, batch: Batch, backward: Backward) -> StepOutput:
    """-log p(label | x)."""
    assert batch.labels is not None
    logits = networks["classifier"](batch.images, batch.autocast_dtype)
    surprise = F.cross_entropy(logits, batch.labels)
    backward(surprise)
    right = (logits.argmax(1) == batch.labels).to(logits.dtype)
    return StepOutput({"loss/cross_entropy": surprise.detach(), "accuracy": right.mean()})
