"""What a first studio loads: nothing heavy; and what commands load that need no torch."""

import subprocess
import sys

import pytest

KERNEL = """
import sys, threading
from types import SimpleNamespace
from IPython.core.interactiveshell import InteractiveShell

class Notes:
    on_main = []

    def find_spec(self, name, path=None, target=None):
        if threading.current_thread() is threading.main_thread():
            self.on_main.append(name.partition(".")[0])

manager = SimpleNamespace(register_target=lambda *_: None)
InteractiveShell.instance().kernel = SimpleNamespace(comm_manager=manager)
sys.meta_path.insert(0, Notes())
import nbgraph as nb
"""
TORCH = {"torch", "diffusers", "transformers"}
HEAVY = TORCH | {"pandas", "matplotlib"}


def ran(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh process that looks like a kernel."""
    return subprocess.run([sys.executable, "-c", KERNEL + code], capture_output=True, text=True, timeout=300)


def test_the_first_studio_of_a_kernel_imports_nothing_heavy():
    done = ran(f"studio = nb.Studio(); print(sorted({HEAVY!r} & {{*Notes.on_main, *sys.modules}}))")
    assert done.stdout.splitlines()[-1:] == ["[]"], done.stderr


@pytest.mark.parametrize("seconds", [0, 0.5, 1.5])
def test_a_kernel_that_ends_while_torch_is_loaded_ends_well(seconds):
    done = ran(f"""
import time
from nbgraph.loading import NotLoadedError, load, without_waiting
try:
    with without_waiting():
        load("torch")
except NotLoadedError:
    time.sleep({seconds})
print("end")
""")
    assert (done.stdout, done.stderr, done.returncode) == ("end\n", "", 0)


@pytest.mark.parametrize("command", [["--help"], ["describe", "noise"], ["models"]])
def test_a_command_that_needs_no_torch_loads_none(command):
    code = f"""
import sys
from nbgraph.cli.app import app
sys.argv = ["nbgraph", *{command!r}]
try:
    app()
finally:
    assert not {TORCH!r} & set(sys.modules), {TORCH!r} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
