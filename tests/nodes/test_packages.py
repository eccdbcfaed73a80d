"""An installed package adds nodes by the entry point `nbgraph.nodes`; one that is broken is named, and hurts nobody."""

import os
import subprocess
import sys
from pathlib import Path

NODES = """
import nbgraph as nb

@nb.node
def tiny_shout(text: str = "hello") -> str:
    "A text in capitals."
    return text.upper()
"""
USE = """
import nbgraph as nb
assert "tiny_shout" in nb.registry(), list(nb.registry())
node = nb.registry()["tiny_shout"](text="ab")
with nb.Studio() as studio:
    print(studio.run(node, progress=False)[node].value)
graph = nb.Graph.from_json('{"nodes": {"a": {"type": "tiny_shout"}}, "edges": []}')
print(graph.nodes["a"].text, len(nb.registry()) > 70)
"""


def install(target: Path, name: str, code: str) -> None:
    """Lay a package with a dist-info folder into a folder, as an installer does."""
    (target / name).mkdir(parents=True)
    (target / name / "__init__.py").write_text(code)
    information = target / f"{name}-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(f"[nbgraph.nodes]\n{name} = {name}\n")


def run_with(target: Path, code: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(target), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": paths}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=100)


def test_the_nodes_of_a_package_are_found_run_and_read_from_files(tmp_path):
    install(tmp_path, "tinynodes", NODES)
    done = run_with(tmp_path, USE)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["AB", "hello", "True"]


def test_a_package_that_cannot_be_loaded_is_named_and_the_others_work(tmp_path):
    install(tmp_path, "brokennodes", "raise RuntimeError('out of order')")
    install(tmp_path, "tinynodes", NODES)
    done = run_with(tmp_path, USE)
    assert done.returncode == 0, done.stderr
    assert "the nodes of 'brokennodes' cannot be loaded: RuntimeError: out of order" in done.stderr
