"""The TypeScript: it type-checks, is formatted and linted, and its own tests pass.

Needs node, and the packages a build from source leaves.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import nbgraph
from nbgraph.invocations.node_registry import registry
from nbgraph.services.shared.default_graphs import default_graphs

JS = Path(nbgraph.__file__).parent / "widgets" / "js"


def needs_node() -> str:
    """Why the front end cannot be tested here, or ""."""
    if shutil.which("npm") is None:
        return "there is no npm in PATH"
    missing = [tool for tool in ("vitest", "@biomejs/biome") if not (JS / "node_modules" / tool).is_dir()]
    return f"npm ci was not run in nbgraph/widgets/js: {', '.join(missing)} missing" if missing else ""


@pytest.mark.skipif(bool(needs_node()), reason=needs_node())
@pytest.mark.parametrize("script", ["check", "test"])
def test_the_front_end_passes_its_own(script):
    done = subprocess.run(["npm", "run", "--silent", script], cwd=JS, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_file_of_the_front_end_writes_markup():
    sources = [path for path in JS.rglob("*.ts*") if "node_modules" not in path.parts and ".test." not in path.name]
    assert len(sources) > 20
    for path in sources:
        text = path.read_text(encoding="utf-8")
        assert "innerHTML" not in text, path
        assert "dangerouslySetInnerHTML" not in text, path


def test_every_word_of_the_palette_means_nodes_or_library_graphs_that_there_are():
    """The words of the trade lead nowhere else: a word without its node would find another one silently."""
    listed = (JS / "editor" / "words.ts").read_text(encoding="utf-8")
    meant = set(re.findall(r'"([a-z0-9_]+)"[,\]]', listed))
    graphs = set(re.findall(r"'\"(.+)\"'", listed))
    assert len(meant) > 40
    assert meant - set(registry()) == set()
    assert graphs - {graph.name for graph in default_graphs()} == set()
