"""What a control's function gets and gives: a painted mask, and a line for a person in the place of an error."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch

from vaegan.errors import Failure, UserError

from .pictures import show_line

MAX_SEED = 2**53 - 1
"""Largest seed that a number field of a browser holds exactly."""


def answer_in_lines(function: Callable[..., tuple[Any, ...]], outputs: int) -> Callable[..., tuple[Any, ...]]:
    """Return a function that ends in a line for a person instead of an error, and else in an empty line.

    Args:
        function: Returns the values of the outputs.
        outputs: Number of them; after an error they stay as they are.
    """

    @wraps(function)
    def answer(*values: Any) -> tuple[Any, ...]:
        import gradio as gr

        try:
            return *function(*values), show_line("")
        except (UserError, Failure) as error:
            problem = str(error)
        except Exception as error:  # no traceback reaches a person
            problem = f"this could not be done ({type(error).__name__})"
        return *(gr.skip() for _ in range(outputs)), show_line(problem, is_problem=True)

    return answer


def parse_mask(painted: Any) -> torch.Tensor:
    """Return what is painted as bool, shape (S, S), True where a pixel is missing.

    Args:
        painted: Value of the painting, as `painting.js` describes it.

    Raises:
        UserError: There is no image to paint.
    """
    side = painted.get("side") if isinstance(painted, dict) else None
    mask = painted.get("mask") if isinstance(painted, dict) else None
    if not isinstance(side, int) or side < 1:
        raise UserError("no image to complete; drop one first")
    if not isinstance(mask, str) or len(mask) != side**2:
        raise UserError("nothing is painted; paint what is to be filled")
    return torch.tensor([each == "1" for each in mask]).reshape(side, side)


def read_seed(value: float | None) -> int:
    """Return the seed of a number field.

    Raises:
        UserError: It is empty, negative, no whole number, or more than `MAX_SEED`.
    """
    if value is None or not 0 <= value <= MAX_SEED or value != int(value):
        raise UserError(f"seed: give a whole number from 0 to {MAX_SEED:,}")
    return int(value)
