"""Options of the commands that infer images from a part of what is known of them, and the prior that these name."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vaegan.errors import UserError
from vaegan.workflows.trained_model import fit_run_density

from .completion import complete_words
from .console import Console
from .options import SEED

if TYPE_CHECKING:
    from vaegan.applications.code_prior import CodePrior
    from vaegan.models import Autoencoder


class PositiveNumber(click.types.FloatParamType):
    """Type of an option that is a finite number above 0."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number; fail on text that is none, and on numbers that are not above 0 or not finite."""
        number = float(super().convert(value, param, ctx))
        if not 0 < number < float("inf"):
            self.fail(f"got {number:g}; allowed: number > 0", param, ctx)
        return number


PRIOR_OPTION = click.option(
    "--density", metavar="NAME", shell_complete=complete_words("gaussian", "gmm"),
    help="Take a density fitted to the training images' codes for the prior: gaussian, gmm, or gmm:K.",
)  # fmt: skip
SCALE_OPTION = click.option(
    "--scale", type=PositiveNumber(),
    help="Standard deviation of pixels around the decoder's image, in units of [-1, 1]; default: the run's, else 0.2.",
)  # fmt: skip
SEED_OPTION = click.option("--seed", type=SEED, default=0, show_default=True, help="Seed of starts and draws.")


def get_run_prior(
    run: Path, density: str | None, model: "Autoencoder", console: Console, data_root: Path | None,
    allow_other_data: bool,
) -> "CodePrior":  # fmt: skip
    """Return the prior of a run's codes, or the density that --density names, fitted to its training images' codes.

    Raises:
        UserError: The run's family has no prior and no density is named, there is no such density, or the images that
            the run was trained on are missing or others.
    """
    from vaegan.applications.code_prior import get_code_prior

    if density is not None:
        return get_code_prior(model, fit_run_density(run, density, model, console, data_root, allow_other_data))
    if data_root is not None or allow_other_data:
        raise UserError("--data-root, --allow-other-data: the prior needs no images; give --density as well")
    try:
        return get_code_prior(model)
    except UserError as error:
        raise UserError(f"{run}: {error}") from None
