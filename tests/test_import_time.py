"""Importing nbgraph is quick and loads nothing heavy."""

import subprocess
import sys
from functools import cache

import pytest

HEAVY = ("torch", "pandas", "diffusers", "matplotlib")


@cache
def loaded_after(code: str) -> set[str]:
    script = f"{code}\nimport sys\nprint(' '.join(sys.modules))"
    return set(
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    )


@pytest.mark.parametrize("heavy", HEAVY)
def test_importing_nbgraph_loads_nothing_heavy(heavy):
    assert heavy not in loaded_after("import nbgraph")


@pytest.mark.parametrize("heavy", HEAVY)
def test_a_first_studio_and_run_load_nothing_heavy(heavy):
    code = "import nbgraph as nb\nfrom nbgraph.invocations import Add\nnb.Studio().run(Add(a=1, b=2), progress=False)"
    assert heavy not in loaded_after(code)


def test_every_public_name_can_be_loaded_and_is_listed():
    code = "import nbgraph as nb\nfor name in nb.__all__: getattr(nb, name)\nassert set(nb.__all__) <= set(dir(nb))"
    assert "nbgraph.studio" in loaded_after(code)


def test_an_unknown_public_name_lists_what_there_is():
    import nbgraph

    with pytest.raises(AttributeError, match="Studio"):
        nbgraph.Stduio  # noqa: B018
