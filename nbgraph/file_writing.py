"""Files that a person asks for: a plot, a table, a trace."""

from os import PathLike
from pathlib import Path

from nbgraph.errors import NbgraphError


def write_file(path: str | PathLike[str], data: bytes) -> Path:
    """Write a file, replacing one that exists, and return its absolute path.

    Raises
    ------
    NbgraphError
        It cannot be written.
    """
    target = Path(path).absolute()
    try:
        target.write_bytes(data)
    except OSError as error:
        raise NbgraphError(f"{target} cannot be written: {error.strerror or error}; choose another path") from None
    return target
