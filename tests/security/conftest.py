"""The command line in this process, and a folder to use it in."""

from ..cli.conftest import vaegan, work

__all__ = ["vaegan", "work"]
