"""Bounds and checks of settings that several commands and functions of `vaegan.api` have."""

from vaegan.errors import UserError

MAX_SEED = 2**63 - 1
"""Largest seed."""


def check_tile(tile: int | None, native_size: bool) -> None:
    """Check that `--tile` is given only with `--native-size`.

    Raises:
        UserError: It is not.
    """
    if tile is not None and not native_size:
        raise UserError("--tile: belongs to --native-size; give both, or leave it out")
