"""The help of the program: every command, argument and option, in eighty columns."""

import re

from cli.test_program import nbgraph
from typer.main import get_command

from nbgraph.cli.app import app


def commands(group=None, path=()):
    """Each command of the program with the words that name it."""
    group = group or get_command(app)
    for name, command in group.commands.items():
        yield (*path, name), command
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))


def test_help_fits_eighty_columns_and_cuts_nothing(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    for words in ((), *(words for words, _ in commands())):
        text = nbgraph(*words, "--help")[0]
        assert max(map(len, text.splitlines())) <= 80
        assert not re.search(r"\w\.\.\.$", text, re.MULTILINE), f"{words}: a summary is cut off"


def test_every_command_argument_and_option_has_help():
    for words, command in commands():
        assert command.help, words
        assert all(parameter.help for parameter in command.params if parameter.name != "context"), words
