"""The training step of each family, one file a family."""

from collections.abc import Mapping
from typing import Any

from vaegan.config.schema import Config
from vaegan.networks.check_given import check_names
from vaegan.networks.given import GivenNetworks

from .ae import AEStep
from .base import TrainingStep
from .classifier import ClassifierStep
from .flow import FlowStep
from .ganvae import GANVAEStep
from .larsen import LarsenStep
from .pixelcnn import PixelCNNStep
from .vae import VAEStep
from .vaegan import VAEGANStep
from .vqvae import VQVAEStep

STEP_CLASSES: Mapping[str, type[TrainingStep[Any]]] = {
    "ae": AEStep,
    "vae": VAEStep,
    "vqvae": VQVAEStep,
    "pixelcnn": PixelCNNStep,
    "flow": FlowStep,
    "vaegan": VAEGANStep,
    "larsen": LarsenStep,
    "ganvae": GANVAEStep,
    "classifier": ClassifierStep,
}
"""Step of each `model.family`."""


def build_step(config: Config, networks: GivenNetworks | None = None) -> TrainingStep[Any]:
    """Build the training step of a run.

    Args:
        config: The run.
        networks: The modules that `config.networks` describes; None: none were given.

    Raises:
        UserError: `networks` are not those that `config.networks` names, or the family does not take them.
    """
    check_names(config, networks or {})
    return STEP_CLASSES[config.model.family](config, config.model, networks)
