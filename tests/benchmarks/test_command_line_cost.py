"""What a person waits for at a prompt: help, and the check of a large graph. Processes of their own, all counted."""

import os
import subprocess
import sys

import pytest

from nbgraph.invocations import Add
from nbgraph.services.shared.graph.graph import Graph

PROGRAM = "from nbgraph.cli.app import main; main()"
HELP_SECONDS, VALIDATE_SECONDS = 0.3, 1.0
pytestmark = pytest.mark.benchmark(timer=lambda: os.times().children_user + os.times().children_system)
"""Processor time of the processes, which depends less than a clock on what else the machine does."""


def start(*arguments):
    return subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, check=True)


def test_help_comes_at_once(benchmark):
    benchmark.pedantic(start, ("--help",), rounds=10, warmup_rounds=1)
    if benchmark.enabled:
        assert benchmark.stats["min"] <= HELP_SECONDS


def test_a_graph_of_a_thousand_nodes_is_validated_within_a_second(benchmark, tmp_path):
    node = Add(a=1)
    for _ in range(999):
        node = Add(a=node, b=1)
    path = tmp_path / "large.json"
    path.write_text(Graph.of(node).to_json())
    benchmark.pedantic(start, ("validate", str(path)), rounds=5, warmup_rounds=1)
    if benchmark.enabled:
        assert benchmark.stats["min"] <= VALIDATE_SECONDS
