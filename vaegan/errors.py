"""The ways in which vaegan says no; each is shown as one line, never as a traceback."""


class UserError(ValueError):
    """What was asked cannot be done as asked: a key, file or flag is wrong (exit code 2).

    Args:
        message: One line that names the key, file or flag and the mend.
        everywhere: Whether all processes of a launch raise it alike, so that it is enough if the first one says it.
    """

    def __init__(self, message: str, on_all_ranks: bool = False) -> None:
        super().__init__(message)
        self.on_all_ranks = on_all_ranks


class Failure(RuntimeError):
    """What was asked was sound but could not be finished, as when a loss is NaN (exit code 1).

    Args:
        message: One line that says what happened and what is left (the last checkpoint, say).
        everywhere: As of a `UserError`.
    """

    def __init__(self, message: str, on_all_ranks: bool = False) -> None:
        super().__init__(message)
        self.on_all_ranks = on_all_ranks


class FileFailure(Failure):
    """A file cannot be read or written, as the system says: the disk is full, say."""


class Interrupted(BaseException):
    """The training was asked to stop and has written its checkpoint first (exit code 130).

    Like KeyboardInterrupt it is no Exception, so that nobody takes it for a fault that can be passed over.

    Args:
        message: One line that says how to go on.
        everywhere: As of a `UserError`.
    """

    def __init__(self, message: str, on_all_ranks: bool = False) -> None:
        super().__init__(message)
        self.on_all_ranks = on_all_ranks
