"""The two ways in which vaegan says no; both are shown as one line, never as a traceback."""


class Mistake(ValueError):
    """What was asked cannot be done as asked: a key, file or flag is wrong (exit code 2).

    The message is one line that names the key, file or flag and the mend.
    """


class Failure(RuntimeError):
    """What was asked was sound but could not be finished, as when a loss is NaN (exit code 1).

    The message is one line that says what happened and what is left (the last checkpoint, say).
    """


class Interrupted(Exception):
    """The training was asked to stop and has written its checkpoint first (exit code 130)."""
