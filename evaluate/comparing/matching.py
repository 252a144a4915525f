"""Matching of a study's variants, which must differ in what they train and not in what they are given."""

from collections.abc import Callable, Mapping

from vaegan.config import Config
from vaegan.config.architectures import ContinuousConfig, VectorConfig
from vaegan.config.differences import FlatSettings, describe_differences, flatten
from vaegan.config.load import merge, validate_config
from vaegan.config.models import get_autoencoder_config
from vaegan.config.study_schema import MatchedQuantity
from vaegan.errors import UserError

DECODER_KEYS = ("network", "width", "depth", "attention", "diffusers")
"""Settings of encoder and decoder that do not concern the code between them."""
MATCHED_SETTINGS: dict[MatchedQuantity, Callable[[Config], FlatSettings]] = {
    "decoder": lambda config: _get_settings(config, *DECODER_KEYS) | _get_initial_weights(config),
    "latent_size": lambda config: _get_settings(config, "latent_size", "code_channels", "downsampling"),
    "images_seen": lambda config: {"train.steps * train.batch_size": config.train.steps * config.train.batch_size},
    "wall_clock": lambda config: {},
    "flops": lambda config: {},
}
"""Settings that must be the same for all variants that have them, by the quantity that is matched; wall-clock time and
operations are matched by the number of steps."""


def check_matched(configs: Mapping[str, Config], matched: tuple[MatchedQuantity, ...]) -> None:
    """Check that the variants have the matched quantities in common, and their images and their evaluation.

    A VQ-VAE's grid of codebook entries and its decoder need not match those of other variants. A finished model, which
    is not trained, must have only the images and the evaluation in common with them.

    Raises:
        UserError: Variants differ in their images, their evaluation, or a matched quantity.
    """
    (reference, first), *others = configs.items()
    for name, config in others:
        if differences := describe_differences(_get_evaluation_settings(first), _get_evaluation_settings(config)):
            raise UserError(
                f"{reference} and {name} are not evaluated alike: {differences}; give them one value under `shared:`"
            )
    for quantity in matched:
        trained = {name: config for name, config in configs.items() if config.train.steps}
        settings = {name: values for name, config in trained.items() if (values := MATCHED_SETTINGS[quantity](config))}
        for name, values in settings.items():
            reference = next(iter(settings))
            if differences := describe_differences(settings[reference], values):
                raise UserError(
                    f"{reference} and {name} are not matched: {differences}; give them one value under `shared:`,"
                    f" or leave {quantity} out of `matched:`, and the report says so"
                )


def match_steps(configs: Mapping[str, Config], costs: Mapping[str, float]) -> dict[str, Config]:
    """Return the configs, each with so many steps that it costs as much as the training of the first one with a cost.

    Args:
        configs: Config of each variant.
        costs: Cost of a step of each that is trained, in the order of the configs.

    Raises:
        UserError: A variant cannot be trained for so few steps.
    """
    matched, budget = dict(configs), next((configs[name].train.steps * cost for name, cost in costs.items()), 0.0)
    for name, cost in costs.items():
        tree = merge(configs[name].model_dump(mode="json"), {"train": {"steps": max(1, round(budget / cost))}})
        matched[name] = validate_config(Config, tree, f"variants.{name}, with matched steps")
    return matched


def describe_unmatched(configs: Mapping[str, Config]) -> dict[str, str]:
    """Return the differences of variants from the first one in what could be matched, by the variant's name."""
    reference, unmatched = next(iter(configs.values())), {}
    for name, config in configs.items():
        if bool(config.train.steps) != bool(reference.train.steps):
            unmatched[name] = "it was trained here" if config.train.steps else "it was not trained here"
            continue
        pairs = [(get_settings(reference), get_settings(config)) for get_settings in MATCHED_SETTINGS.values()]
        texts = [describe_differences(*pair) for pair in pairs if all(pair)]
        if _describe_code(config) != _describe_code(reference):
            texts.insert(0, f"its code is {_describe_code(config)}, with a decoder of its own")
        if text := "; ".join(filter(None, texts)):
            unmatched[name] = text
    return unmatched


def _describe_code(config: Config) -> str:
    model = get_autoencoder_config(config.model)
    if isinstance(model, VectorConfig):
        return "one vector"
    return "a grid of vectors" if isinstance(model, ContinuousConfig) else "a grid of entries of a codebook"


def _get_evaluation_settings(config: Config) -> FlatSettings:
    return flatten({section: getattr(config, section).model_dump(mode="json") for section in ("data", "evaluate")})


def _get_initial_weights(config: Config) -> FlatSettings:
    """Return the place of the initial weights of a model with a continuous code; of other models nothing."""
    is_continuous = isinstance(get_autoencoder_config(config.model), ContinuousConfig)
    return {"train.init": config.train.init} if is_continuous else {}


def _get_settings(config: Config, *keys: str) -> FlatSettings:
    """Return those settings that a model with a continuous code, or its autoencoder, has; of other models none."""
    model, missing = get_autoencoder_config(config.model), object()
    values = {f"model.{key}": getattr(model, key, missing) for key in keys if isinstance(model, ContinuousConfig)}
    return {key: value for key, value in values.items() if value is not missing}
