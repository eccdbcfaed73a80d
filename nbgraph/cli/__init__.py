"""The program `nbgraph`, its shell and the magics."""

from enum import IntEnum


class ExitCode(IntEnum):
    """How every command of the program ends."""

    DONE = 0
    FAILED = 1
    """A node failed, or a result that was asked for is missing."""
    BAD_INPUT = 2
    """Nothing ran, or part of the input was refused: an unknown option, a bad value, a file that cannot be read."""
    INTERRUPTED = 130
    """Ctrl-C; results that had finished are kept."""
    PIPE_CLOSED = 141
    """The reader of stdout left, as `head` does."""
