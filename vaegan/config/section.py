"""What the sections of a config are made of."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from vaegan.text import format_value

Count = Annotated[int, Field(ge=1, le=10**9)]
Steps = Annotated[int, Field(ge=0, le=10**9)]
Weight = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Probability = Annotated[float, Field(ge=0, le=1)]
Side = Annotated[int, Field(ge=8, le=256, multiple_of=8)]
Channels = Literal[1, 3]
Text = Annotated[str, Field(strict=False, coerce_numbers_to_str=True)]

DEFAULT_MIXTURE_COMPONENTS = 10
"""Of a mixture for which no number is given, as in Ghosh et al. 2020, section 5."""


def _density(text: str) -> str:
    """`gaussian` or `gmm:K`; `gmm` alone stands for one of `DEFAULT_MIXTURE_COMPONENTS`."""
    if not re.fullmatch(r"gaussian|gmm(:[1-9][0-9]{0,3})?", text):
        raise ValueError(
            f"evaluate.density: got {format_value(text)}; allowed: gaussian | gmm | gmm:K, of K components"
        )
    return f"gmm:{DEFAULT_MIXTURE_COMPONENTS}" if text == "gmm" else text


DensityName = Annotated[str, AfterValidator(_density)]
"""A density that is fitted to codes."""


class Section(BaseModel):
    """A part of the config: immutable, and closed to keys that it does not know."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        validate_default=True,
    )
