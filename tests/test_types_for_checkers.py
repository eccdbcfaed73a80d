"""What a type checker sees: services through the container, and the types of what a notebook handles."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SNIPPET = """
from typing import reveal_type

from nbgraph.services.service import Service


class Tagger(Service):
    def right(self) -> int:
        for record in self.services.latents.records():
            if not self.services.latents.is_intact(record.name):
                return self.services.images.delete(record.name)
        return self.services.retention.collect()

    def misspelt(self) -> None:
        self.services.images.delte("name")

    def with_a_number(self) -> None:
        self.services.queue.cancel(3)

    def of_no_service(self) -> None:
        self.services.pictures.records()

    def shown(self) -> None:
        reveal_type(self.services.latents.records())
"""


NOTEBOOK = """
from typing import reveal_type

import nbgraph as nb
from nbgraph.invocations import BlankImage

studio = nb.Studio()
blank = BlankImage(width=64, height=64)
graph = nb.Graph.of(blank)
run = studio.run(graph)
reveal_type(graph)
reveal_type(run)
reveal_type(run[blank])
reveal_type(run[blank].image)
reveal_type(run.images[0])


@nb.node
def shout(text: str) -> str:
    return text.upper()


reveal_type(shout)
reveal_type(shout("a"))
"""
Said = dict[str, list[str]]


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Said:
    """Return what pyright says about each file: its messages after their severity, in their order."""
    folder = tmp_path_factory.mktemp("typed")
    (folder / "tagger.py").write_text(SNIPPET)
    (folder / "notebook.py").write_text(NOTEBOOK)
    config = {"include": ["*.py"], "extraPaths": [str(ROOT)], "typeCheckingMode": "basic"}
    (folder / "pyrightconfig.json").write_text(json.dumps(config))
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--outputjson", "-p", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    messages: Said = {"tagger": [], "notebook": []}
    for each in json.loads(done.stdout)["generalDiagnostics"]:
        messages[Path(each["file"]).stem].append(f"{each['severity']}: {each['message']}")
    return messages


def test_a_misspelt_method_of_a_service_is_an_error_of_the_type_checker(said):
    misspelt, number, unknown, shown = said["tagger"]
    assert misspelt.startswith('error: Cannot access attribute "delte" for class "Images"')
    assert number.startswith("error: ")
    assert '"Literal[3]" is not assignable to "str"' in number
    assert unknown.startswith('error: Cannot access attribute "pictures" for class "Services"')
    assert shown == 'information: Type of "self.services.latents.records()" is "Sequence[TensorRecord]"'


def test_what_a_notebook_handles_has_its_types(said):
    assert [message.partition(" is ")[2] for message in said["notebook"]] == [
        '"Graph"',
        '"Run"',
        '"NodeResult"',
        '"Image"',
        '"Image"',
        '"type[FunctionInvocation]"',
        '"FunctionInvocation"',
    ]
