"""Threads of torch wait without spinning, unless a person chose otherwise."""

import os
import subprocess
import sys

import pytest

from nbgraph.threads import WAITING

CODE = "import nbgraph, os; print([os.environ.get(name) for name in ('OMP_WAIT_POLICY', 'GOMP_SPINCOUNT')])"


def seen_with(**chosen: str) -> str:
    """What a fresh process sees after importing nbgraph, where only these variables of waiting are set."""
    others = {name: value for name, value in os.environ.items() if name not in WAITING}
    done = subprocess.run([sys.executable, "-c", CODE], env=others | chosen, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_threads_sleep_while_they_wait():
    assert seen_with() == "['PASSIVE', None]"


@pytest.mark.parametrize(
    ("chosen", "seen"),
    [
        ({"OMP_WAIT_POLICY": "ACTIVE"}, "['ACTIVE', None]"),
        ({"GOMP_SPINCOUNT": "1000"}, "[None, '1000']"),
        ({"KMP_BLOCKTIME": "200"}, "[None, None]"),
    ],
)
def test_what_a_person_chose_stays(chosen, seen):
    assert seen_with(**chosen) == seen
