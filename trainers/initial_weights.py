"""The initial weights that `train.init` names, read once at the start of a run."""

from typing import Any

import torch

from vaegan.config.schema import Config
from vaegan.distributed import run_on_all_ranks, run_on_main
from vaegan.models.continuous import ContinuousAutoencoder
from vaegan.paths import HUB_PREFIX
from vaegan.progress import Reporter
from vaegan.storage.initial_weights import InitialWeights, fetch_folder, read_initial_weights

from .recorded_digest import record_digest
from .steps.base import TrainingStep


def read_initial_weights_of_run(
    config: Config, training_step: TrainingStep[Any], reporter: Reporter
) -> tuple[Config, InitialWeights | None]:
    """Read the weights that `train.init` names, and record their SHA-256; all processes do this together.

    Args:
        config: The run, which is at its first step.
        training_step: The step of its family.
        reporter: Takes a note of what was taken.

    Returns:
        The config with the SHA-256 of the files, and the weights; None: they are drawn.

    Raises:
        UserError: They are not the weights of encoder and decoder of the run, or not those that the config records.
        Failure: The Hub cannot be reached.
    """
    source = config.train.init
    if source is None:
        for part in config.train.freeze:
            reporter.note(f"train.freeze: the {part} is frozen with random weights; train.init gives it trained ones")
        return config, None

    def read() -> InitialWeights:
        with torch.device("meta"):
            model = training_step.build_networks()[training_step.model_name]
        assert isinstance(model, ContinuousAutoencoder)
        return read_initial_weights(source, model)

    if source.startswith(HUB_PREFIX):
        run_on_main(lambda: fetch_folder(source))  # the others find it in the cache
    weights = run_on_all_ranks(read)
    config = record_digest(config, "init", weights.sha256)
    reporter.note(weights.describe())
    return config, weights
