"""The session with all its commands: what the shell, the magics and scripts begin with."""

from nbgraph.cli.service_commands import command
from nbgraph.cli.shell_session import ShellSession
from nbgraph.progress import ProgressStyle
from nbgraph.studio import Studio

COMMANDS = command.__self__


def new_session(studio: Studio, *, rich: bool = False, progress: ProgressStyle = "text") -> ShellSession:
    """An empty session in a studio, with all commands."""
    return ShellSession(studio, COMMANDS, rich=rich, progress=progress)
