"""Settings that change during a training, as functions of the number of images that it has seen."""

import math
from collections.abc import Iterator
from typing import Annotated, Generic, Literal, TypeAlias, TypeVar

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
    """Number of images over which it goes from start to end; None: all that the training sees."""
    shape: Literal["linear", "cosine"] = "cosine"
    """Its way: a straight line, or half a period of a cosine, which is flat at both ends."""


ScheduledWeight: TypeAlias = Weight | Schedule[Weight]
"""A number of 0 or more, or a schedule between two of them."""
ScheduledPositive: TypeAlias = Annotated[float, Field(gt=0)] | Schedule[Weight]
"""A number above 0, or a schedule between two numbers of 0 or more."""
ScheduledFraction: TypeAlias = Fraction | Schedule[Fraction]
"""A number from 0 to below 1, or a schedule between two of them."""


def find_whole_schedules(section: Section, prefix: str = "") -> Iterator[str]:
    """Yield the full name of every setting of a section whose schedule goes on to the training's end."""
    for name in type(section).model_fields:
        value = getattr(section, name)
        settings = value if isinstance(value, tuple) else (value,)
        if any(isinstance(setting, Schedule) and setting.images is None for setting in settings):
            yield f"{prefix}{name}"
        elif isinstance(value, Section):
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
