"""Base class and shared types of the sections of a config."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import PydanticCustomError

from vaegan.paths import expand_path
from vaegan.text import format_value

Count = Annotated[int, Field(ge=1, le=10**9)]
Steps = Annotated[int, Field(ge=0, le=10**9)]
Weight = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Probability = Annotated[float, Field(ge=0, le=1)]
SMALLEST_SIDE, LARGEST_SIDE, MULTIPLE_OF_SIDE = 8, 1024, 8
"""Bounds of the side of a model's images, in pixels, and the number that it is a multiple of."""
Side = Annotated[int, Field(ge=SMALLEST_SIDE, le=LARGEST_SIDE, multiple_of=MULTIPLE_OF_SIDE)]
Text = Annotated[str, Field(strict=False, coerce_numbers_to_str=True)]


def _check_integer(value: Any) -> Any:
    """Check that a value is an integer; True and 1.0 equal 1, and pydantic takes them for it in a `Literal`."""
    if type(value) is not int:
        raise PydanticCustomError("literal_error", "no integer")
    return value


INTEGER = BeforeValidator(_check_integer)
"""Keeps what is no integer from standing for one in a `Literal`."""
Channels = Annotated[Literal[1, 2, 3, 4], INTEGER]

FROM_PYTHON = Field(strict=False)
"""Lets a tuple be given as a list and a path as text in Python data, as they are in YAML."""

DEFAULT_MIXTURE_COMPONENTS = 10
"""Components of a mixture whose number is not given (Ghosh et al. 2020, section 5)."""


def _check_density_name(text: str) -> str:
    """Check for ``gaussian`` or ``gmm:K``; ``gmm`` alone stands for `DEFAULT_MIXTURE_COMPONENTS` components."""
    if not re.fullmatch(r"gaussian|gmm(:[1-9][0-9]{0,3})?", text):
        allowed = "gaussian | gmm | gmm:K, of K components"
        raise ValueError(f"evaluate.density: got {format_value(text)}; allowed: {allowed}")
    return f"gmm:{DEFAULT_MIXTURE_COMPONENTS}" if text == "gmm" else text


DensityName = Annotated[str, AfterValidator(_check_density_name)]
"""Name of a density that is fitted to codes."""


class Section(BaseModel):
    """A part of a config: immutable, and closed to unknown keys."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        validate_default=True,
    )


def make_absolute(key: str) -> WrapValidator:
    """Return a validator that makes the path of setting ``key`` absolute."""

    def validate(value: Any, make_path: ValidatorFunctionWrapHandler) -> Path:
        path = make_path(value)
        return expand_path(key, value if isinstance(value, str) else path).absolute()

    return WrapValidator(validate)
