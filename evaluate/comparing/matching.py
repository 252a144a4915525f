"""What the variants of a study have in common, to differ in what they train and not in what they are given."""

from collections.abc import Callable, Mapping

from vaegan.config import Config
from vaegan.config.differences import FlatSettings, describe_differences, flatten
from vaegan.config.models import VectorConfig
from vaegan.config.study_schema import MatchedQuantity
from vaegan.errors import UserError

MATCHED_SETTINGS: dict[MatchedQuantity, Callable[[Config], FlatSettings]] = {
    "decoder": lambda config: _of_the_model(config, "network", "width", "depth"),
    "latent_size": lambda config: _of_the_model(config, "latent_size"),
    "images_seen": lambda config: {"train.steps * train.batch_size": config.train.steps * config.train.batch_size},
    "wall_clock": lambda config: {},
}
"""What has to be the same for all variants that have it where this is matched; `study.in_equal_time` makes the time the
same."""


def check_matched(configs: Mapping[str, Config], matched: tuple[MatchedQuantity, ...]) -> None:
    """See that the variants have in common what the study says, and are trained and judged on the same images.

    A grid of entries of a codebook is no code that the others could share, nor is its decoder.

    Raises:
        UserError: They do not, or are not.
    """
    (reference, first), *others = configs.items()
    for name, config in others:
        if differing := describe_differences(_judged_by(first), _judged_by(config)):
            alike = f"{reference} and {name} are not judged alike: {differing}"
            raise UserError(f"{alike}; give them one value under `shared:`")
    for part in matched:
        settings = {name: own for name, config in configs.items() if (own := MATCHED_SETTINGS[part](config))}
        for name, own in settings.items():
            reference = next(iter(settings))
            if differing := describe_differences(settings[reference], own):
                raise UserError(
                    f"{reference} and {name} are not matched: {differing}; give them one value under `shared:`,"
                    f" or leave {part} out of `matched:`, and the report says so"
                )


def describe_unmatched(configs: Mapping[str, Config]) -> dict[str, str]:
    """In what the variants differ from the first one that could have been matched; those that do not are left out."""
    reference, found = next(iter(configs.values())), {}
    for name, config in configs.items():
        pairs = [(part(reference), part(config)) for part in MATCHED_SETTINGS.values()]
        texts = [describe_differences(*pair) for pair in pairs if all(pair)]
        if _code(config) != _code(reference):
            texts.insert(0, f"its code is {_code(config)}, with a decoder of its own")
        if text := "; ".join(filter(None, texts)):
            found[name] = text
    return found


def _code(config: Config) -> str:
    return "one vector" if isinstance(config.model, VectorConfig) else "a grid of entries of a codebook"


def _judged_by(config: Config) -> FlatSettings:
    return flatten({section: getattr(config, section).model_dump(mode="json") for section in ("data", "evaluate")})


def _of_the_model(config: Config, *keys: str) -> FlatSettings:
    """Settings of a model whose code is one vector; of others none."""
    return {f"model.{key}": getattr(config.model, key) for key in keys if isinstance(config.model, VectorConfig)}
