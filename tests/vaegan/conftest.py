"""The command line in this process."""

from ..cli.conftest import vaegan

__all__ = ["vaegan"]
