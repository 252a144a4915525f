"""Reuse of the result that lies in a run's folder, if it was computed from the same model, images and settings."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import vaegan
from vaegan.config.schema import EvaluateConfig
from vaegan.data import Data
from vaegan.distributed import broadcast_from_main, run_on_main
from vaegan.errors import UserError
from vaegan.io import hash_file
from vaegan.pretrained import WEIGHT_FILES
from vaegan.storage.run_folder import WEIGHTS_FILE, Run
from vaegan.text import get_reason

from .metrics.build import get_feature_network
from .metrics.feature_extractors import INCEPTION
from .one_pass import get_device
from .protocol import get_versions
from .result import EvaluationResult, read_result, write_result


def load_or_evaluate(
    run: Run, describe: Callable[[], dict[str, Any]], evaluate: Callable[[], EvaluationResult], again: bool = False
) -> EvaluationResult:
    """Return the result that lies in a folder, or else a new one, which is then written there.

    All processes do this together.

    Args:
        run: Folder of the result.
        describe: Returns the origin: everything that the result is a function of.
        evaluate: Computes the result.
        again: Whether to compute it whatever lies in the folder.
    """

    def look_up() -> tuple[dict[str, Any], EvaluationResult | None]:
        origin = describe()
        return origin, None if again else load_cached_result(run, origin)

    origin, cached = broadcast_from_main(look_up)
    if cached is not None:
        return cached
    result = evaluate()
    result.protocol["origin"] = origin

    def write() -> None:
        run.path.mkdir(parents=True, exist_ok=True)
        write_result(result, run)

    run_on_main(write)
    return result


def load_cached_result(run: Run, origin: Mapping[str, Any]) -> EvaluationResult | None:
    """Return the result that lies in a run's folder; None: there is none, or it is of another origin."""
    try:
        result = read_result(run)
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    return result if result.protocol.get("origin") == origin else None


def describe_origin(config: EvaluateConfig, data: Data, weights: str | None) -> dict[str, Any]:
    """Return everything that the result of a model is a function of.

    Args:
        config: Settings of the evaluation.
        data: Images.
        weights: Hash of the model's weights; None: the model has none.
    """
    return {
        "weights": weights,
        "data": data.fingerprint,
        "settings": config.model_dump(mode="json", exclude={"features"}),
        "trained_lpips": "lpips" in config.metrics and WEIGHT_FILES["alex"].exists,
        "features": hash_feature_network(config),
        "versions": {"vaegan": vaegan.__version__, **get_versions()},
        "device": get_device(),
    }


def hash_feature_network(config: EvaluateConfig) -> str | None:
    """Return what identifies the network of `evaluate.features`; None: no metric uses one.

    Raises:
        UserError: `evaluate.features` is not the folder of a finished classifier.
    """
    network = get_feature_network(config)
    if network is None or network == INCEPTION:
        return network
    try:
        return hash_file(Run(Path(network)).model_folder / WEIGHTS_FILE)
    except OSError as error:
        raise UserError(
            f"evaluate.features: {network}: no run of `vaegan train-features` ({WEIGHTS_FILE}: {get_reason(error)});"
            " name one, as with --features"
        ) from None
