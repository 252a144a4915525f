"""Errors that the command line and notebooks show as one line, never as a traceback."""

from .text import make_printable


class OneLineError(BaseException):
    """An error whose message is one line.

    Args:
        message: The line.
        on_all_ranks: Whether every process of a launch raises the same error, so that rank 0 alone prints it.
    """

    def __init__(self, message: str, on_all_ranks: bool = False) -> None:
        super().__init__(message)
        self.on_all_ranks = on_all_ranks

    def _render_traceback_(self) -> list[str]:
        """Return the lines that IPython shows in the place of a traceback."""
        return [f"{type(self).__name__}: {make_printable(self)}"]


class UserError(OneLineError, ValueError):
    """A request that cannot be met as it stands: a key, a file or an option is wrong (exit code 2).

    The message names the key, file or option and says what to do.
    """


class Failure(OneLineError, RuntimeError):
    """A sound request that could not be carried out, for example because a loss became NaN (exit code 1).

    The message says what happened and what is left, for example the last checkpoint.
    """


class FileFailure(Failure):
    """A file that the operating system cannot read or write, for example on a full disk."""


class Interrupted(OneLineError):
    """A training that was told to stop, and wrote a checkpoint first (exit code 130); the message says how to continue.

    Like KeyboardInterrupt it is no Exception, so that a general error handler does not swallow it.
    """
