"""A type checker sees through the container: a misspelt method of a neighbour is an error, and only that."""

import json
import subprocess
import sys
from pathlib import Path

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


def test_a_misspelt_method_of_a_service_is_an_error_of_the_type_checker(tmp_path):
    (tmp_path / "tagger.py").write_text(SNIPPET)
    config = {"include": ["tagger.py"], "extraPaths": [str(ROOT)], "typeCheckingMode": "basic"}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(config))
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--outputjson", "-p", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    found = json.loads(done.stdout)["generalDiagnostics"]
    errors = [each["message"] for each in found if each["severity"] == "error"]
    assert len(errors) == 3
    assert errors[0].startswith('Cannot access attribute "delte" for class "Images"')
    assert '"Literal[3]" is not assignable to "str"' in errors[1]
    assert errors[2].startswith('Cannot access attribute "pictures" for class "Services"')
    shown = [each["message"] for each in found if each["severity"] == "information"]
    assert shown == ['Type of "self.services.latents.records()" is "Sequence[TensorRecord]"']
