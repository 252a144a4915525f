"""What the variants of a study have in common, to differ in what they train and not in what they are given."""

from collections.abc import Callable, Mapping

from vaegan.config import Config
from vaegan.config.comparing import Settings, differences, flat
from vaegan.config.schema import Match
from vaegan.errors import Mistake

SETTINGS: dict[Match, Callable[[Config], Settings]] = {
    "decoder": lambda config: _of_the_model(config, "network", "width", "depth"),
    "latent_size": lambda config: _of_the_model(config, "latent_size"),
    "images_seen": lambda config: {"train.steps * train.batch_size": config.train.steps * config.train.batch_size},
    "wall_clock": lambda config: {},
}
"""What has to be the same for all variants where this is matched; `study.in_equal_time` makes the time the same."""


def check_matched(configs: Mapping[str, Config], matched: tuple[Match, ...]) -> None:
    """See that the variants have in common what the study says, and are trained and judged on the same images.

    Raises:
        Mistake: They do not, or are not.
    """
    (reference, first), *others = configs.items()
    for name, config in others:
        if differing := differences(_judged_by(first), _judged_by(config)):
            alike = f"{reference} and {name} are not judged alike: {differing}"
            raise Mistake(f"{alike}; give them one value under `shared:`")
        for part in matched:
            if differing := differences(SETTINGS[part](first), SETTINGS[part](config)):
                raise Mistake(
                    f"{reference} and {name} are not matched: {differing}; give them one value under `shared:`,"
                    f" or leave {part} out of `matched:`, and the report says so"
                )


def unmatched(configs: Mapping[str, Config]) -> dict[str, str]:
    """In what the variants differ from the first one that could have been matched; those that do not are left out."""
    settings = {
        name: {key: value for part in SETTINGS.values() for key, value in part(config).items()}
        for name, config in configs.items()
    }
    reference = next(iter(settings.values()))
    differing = {name: differences(reference, own) for name, own in settings.items()}
    return {name: text for name, text in differing.items() if text}


def _judged_by(config: Config) -> Settings:
    return flat({section: getattr(config, section).model_dump(mode="json") for section in ("data", "evaluate")})


def _of_the_model(config: Config, *keys: str) -> Settings:
    """Settings of the model; one that its family does not have is None."""
    return {f"model.{key}": getattr(config.model, key, None) for key in keys}
