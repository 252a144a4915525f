"""Settings that change during a training, as functions of the number of images that it has seen."""

import math
from collections.abc import Iterator
from typing import Annotated, Any, Generic, Literal, TypeAlias, TypeVar

from pydantic import Field

from .section import Count, Fraction, Section, Weight

Value = TypeVar("Value", bound=float)


class Schedule(Section, Generic[Value]):
    """A value that goes from one to another while a training sees some number of images, and then stays."""

    start: Value
    """Value before the first image."""
    end: Value
    """Value after the last one of `images`."""
    images: Count | None = None
    """Number of images over which the value goes from start to end; None: all that the training sees."""
    shape: Literal["linear", "cosine"] = "cosine"
    """Shape of the change: a straight line, or half a period of a cosine, which is flat at both ends."""


ScheduledWeight: TypeAlias = Weight | Schedule[Weight]
"""A number of 0 or more, or a schedule between two of them."""
ScheduledPositive: TypeAlias = Annotated[float, Field(gt=0)] | Schedule[Weight]
"""A number above 0, or a schedule between two numbers of 0 or more."""
ScheduledFraction: TypeAlias = Fraction | Schedule[Fraction]
"""A number from 0 to below 1, or a schedule between two of them."""


def convert_decay(settings: Any) -> Any:
    """Return the `train` section of a config from before with the schedules of learning rates that `decay` stood for.

    Raises:
        ValueError: The learning rate has a schedule beside it.
    """
    if not isinstance(settings, dict) or "decay" not in settings:
        return settings
    rest = {key: value for key, value in settings.items() if key != "decay"}
    rates = {
        key: rest.get(key, default) for key, default in (("learning_rate", 1e-3), ("discriminator_learning_rate", None))
    }
    if any(isinstance(rate, Schedule | dict) for rate in rates.values()):
        raise ValueError("train.decay: the learning rate has a schedule in its place; give train.learning_rate alone")
    if settings["decay"] == "cosine":
        rest |= {key: {"start": rate, "end": 0} for key, rate in rates.items() if rate is not None}
    return rest


def find_whole_schedules(section: Section, prefix: str = "") -> Iterator[str]:
    """Yield the full name of every setting of a section whose schedule goes on to the training's end.

    The autoencoder of a prior, which is not trained, has none.
    """
    for name in type(section).model_fields:
        value = getattr(section, name)
        settings = value if isinstance(value, tuple) else (value,)
        if any(isinstance(setting, Schedule) and setting.images is None for setting in settings):
            yield f"{prefix}{name}"
        elif isinstance(value, Section) and name != "autoencoder":
            yield from find_whole_schedules(value, f"{prefix}{name}.")


def get_scheduled_value(setting: "float | Schedule[float]", images: int, total: int) -> float:
    """Return the value of a setting after some number of images.

    Args:
        setting: The value, or its schedule.
        images: Number of images that the training has seen.
        total: Number of images that it sees in all.
    """
    if not isinstance(setting, Schedule):
        return setting
    progress = min(1.0, images / (total if setting.images is None else setting.images))
    if setting.shape == "cosine":
        progress = 0.5 * (1 - math.cos(math.pi * progress))
    return setting.start + (setting.end - setting.start) * progress
