"""The TypeScript: it type-checks, and its own tests pass. Needs node, and the packages a build from source leaves."""

import shutil
import subprocess
from pathlib import Path

import pytest

import nbgraph

JS = Path(nbgraph.__file__).parent / "widgets" / "js"


def needs_node() -> str:
    """Why the front end cannot be tested here, or ""."""
    if shutil.which("npx") is None:
        return "there is no node in PATH"
    return "" if (JS / "node_modules" / "vitest").is_dir() else "npm ci was not run in nbgraph/widgets/js"


@pytest.mark.skipif(bool(needs_node()), reason=needs_node())
@pytest.mark.parametrize("command", [["tsc", "--noEmit"], ["vitest", "run"]], ids=" ".join)
def test_the_front_end_passes_its_own(command):
    done = subprocess.run(["npx", *command], cwd=JS, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_file_of_the_front_end_writes_markup():
    sources = [path for path in JS.rglob("*.ts*") if "node_modules" not in path.parts and ".test." not in path.name]
    assert len(sources) > 20
    for path in sources:
        text = path.read_text(encoding="utf-8")
        assert "innerHTML" not in text, path
        assert "dangerouslySetInnerHTML" not in text, path
