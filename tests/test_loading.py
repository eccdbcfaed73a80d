"""Large modules are imported whole, whatever interrupts come, and nobody is kept waiting who need not wait."""

import gc
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from types import ModuleType

import pytest
from interrupting import interrupted_at_every_step
from waiting import imports_have_ended

from nbgraph.errors import CancelledError
from nbgraph.latch import Latch
from nbgraph.loading import NotLoadedError, load, looking_while_waiting, without_waiting

FIRST_RUN = Path(__file__).parent / "first_run_child.py"


class Slow:
    """An import that goes on until it is let go."""

    def __init__(self) -> None:
        self.may_end, self.calls = Latch(), 0

    def __call__(self, name: str) -> ModuleType:
        self.calls += 1
        assert threading.current_thread() is not threading.main_thread()
        self.may_end.wait(30)
        return ModuleType(name)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """The name of a module that no other test loads."""
    return f"nowhere.{request.node.name}"


def test_a_module_is_imported_once_and_not_on_the_main_thread(name):
    slow = Slow()
    slow.may_end.open()
    assert load(name, slow) is load(name, slow)
    assert slow.calls == 1


def test_an_interrupt_while_waiting_leaves_the_import_going_on(name):
    slow = Slow()
    for _ in interrupted_at_every_step(lambda: load(name, slow), stride=7, stop_after=20):
        assert slow.calls <= 1
    slow.may_end.open()
    assert load(name, slow).__name__ == name
    assert slow.calls == 1


def test_an_interrupt_at_the_start_or_the_end_of_a_block_that_may_not_wait_ends_the_block(name):
    def block() -> None:
        with without_waiting():
            pass

    for step in interrupted_at_every_step(block):
        assert load(f"{name}_{step}", ModuleType).__name__ == f"{name}_{step}"


def test_who_may_not_wait_is_told_and_the_import_has_begun(name):
    slow = Slow()
    with without_waiting(), pytest.raises(NotLoadedError):
        load(name, slow)
    slow.may_end.open()
    assert load(name, slow).__name__ == name
    with without_waiting():
        assert load(name, slow).__name__ == name


def test_who_waits_looks_meanwhile_and_may_give_up(name):
    slow, seen = Slow(), []

    def look(module: str) -> None:
        seen.append(module)
        if len(seen) == 3:
            raise CancelledError("enough")

    with looking_while_waiting(look), pytest.raises(CancelledError):
        load(name, slow)
    assert seen == [name] * 3
    slow.may_end.open()
    assert load(name, slow).__name__ == name


def begin(name: str, import_it: Callable[[str], ModuleType]) -> None:
    """Begin to import, and wait for nothing."""
    with suppress(NotLoadedError), without_waiting():
        load(name, import_it)


def test_an_import_that_was_begun_goes_on_by_itself_and_is_not_begun_again(name):
    slow = Slow()
    begin(name, slow)
    begin(name, slow)
    with without_waiting(), pytest.raises(NotLoadedError):
        load(name, slow)
    slow.may_end.open()
    assert load(name, slow).__name__ == name
    assert slow.calls == 1


def test_an_interrupt_at_any_step_of_a_load_leaves_nobody_waiting(name):
    names = (f"{name}.{number}" for number in count())
    for step in interrupted_at_every_step(lambda: load(next(names), ModuleType), stride=5, stop_after=40):
        assert load(f"{name}_{step}", ModuleType).__name__ == f"{name}_{step}"


def test_what_a_begun_import_raises_is_told_to_who_needs_the_module(name):
    begin(name, lambda module: import_missing())
    with pytest.raises(ModuleNotFoundError, match="no_such_module_anywhere"):
        load(name, lambda module: import_missing())


def import_missing() -> ModuleType:
    import no_such_module_anywhere  # type: ignore[import-not-found]

    return no_such_module_anywhere


def test_the_collector_pauses_while_a_module_is_imported_and_goes_on_then(name):
    assert imports_have_ended()
    found: list[bool] = []

    def look(module: str) -> ModuleType:
        found.append(gc.isenabled())
        return ModuleType(module)

    load(name, look)
    assert (found, gc.isenabled()) == ([False], True)
    with pytest.raises(ModuleNotFoundError):
        load(f"{name}.missing", lambda module: import_missing())
    assert gc.isenabled()


@pytest.fixture
def _nothing_is_frozen() -> Iterator[None]:
    was_frozen = gc.get_freeze_count() > 0
    gc.unfreeze()
    yield
    if was_frozen:
        gc.freeze()


@pytest.mark.usefixtures("_nothing_is_frozen")
def test_what_an_import_made_is_not_examined_by_the_next_collections(name):
    made = [[]]

    def import_it(name: str) -> ModuleType:
        module = ModuleType(name)
        module.made = made.pop()
        return module

    held = load(name, import_it).made
    assert any(one is held for one in gc.get_objects(generation=2))
    assert gc.get_freeze_count() == 0


@pytest.mark.usefixtures("_nothing_is_frozen")
def test_objects_that_other_code_has_frozen_stay_frozen(name):
    gc.freeze()
    load(name, ModuleType)
    assert gc.get_freeze_count() > 0
    gc.unfreeze()


def test_a_collector_that_a_person_turned_off_stays_off(name):
    assert imports_have_ended()
    gc.disable()
    try:
        load(name, ModuleType)
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_failed_import_is_told_to_all_and_tried_again(name):
    def fail(module: str) -> ModuleType:
        raise ImportError(f"no {module}")

    for _ in range(2):
        with pytest.raises(ImportError, match=name):
            load(name, fail)
    assert load(name, ModuleType).__name__ == name


def test_a_module_that_uses_nbgraph_while_it_is_imported_waits_for_nobody(tmp_path):
    package = "import nbgraph as nb\n@nb.node\ndef own(a: int = 0) -> int:\n    return a\nstudio = nb.Studio()\n"
    (tmp_path / "own_nodes.py").write_text(package + "import own_more")
    (tmp_path / "own_more.py").write_text("import nbgraph as nb, own_nodes\nnb.Run, nb.Settings")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import own_nodes; print(own_nodes.studio)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert "Studio(in memory" in done.stdout, done.stderr


def test_the_first_run_returns_at_once_shows_what_it_waits_for_and_can_be_stopped_and_run_again():
    done = subprocess.run([sys.executable, FIRST_RUN], capture_output=True, text=True, timeout=300)
    assert done.stdout.split("\n")[-2] == "all is well", textwrap.indent(done.stdout + done.stderr, "  ")
    assert "transformers" not in done.stderr, "a first picture warns of packages that it does not need"


REFUSED = """
import nbgraph as nb
from nbgraph.invocations import ModelLoader
from nbgraph.services.model_manager.model_manager_base import SHIPPED

studio, told = nb.Studio(), []
studio.services.events.subscribe(told.append)
part = ModelLoader(id="part", model=str(SHIPPED / "emoji" / "vae"))
job = studio.submit(part).wait()
print(job.status, [(event.node, event.error) for event in told if type(event).__name__ == "NodeFailed"])
for on_error in ("stop", "continue"):
    try:
        job.raise_error() if on_error == "stop" else studio.run(part, on_error=on_error, progress=False)
    except nb.GraphError as error:
        print("GraphError", error)
"""


def test_what_only_torch_can_tell_is_refused_as_before_by_the_worker():
    done = subprocess.run([sys.executable, "-c", REFUSED], capture_output=True, text=True, timeout=300)
    first, *others = done.stdout.splitlines()
    assert first.startswith("failed [('part', "), done.stderr
    assert len(others) == 2
    assert all("holds only vae" in line for line in others)


PARTS = 150
BEGIN = """
try:
    with without_waiting():
        load("slow_package")
except NotLoadedError:
    pass
"""


@pytest.fixture
def slow_package(tmp_path: Path) -> Path:
    """A folder with a package that takes seconds to import, part by part, and writes a file at the end."""
    package = tmp_path / "slow_package"
    package.mkdir()
    for number in range(PARTS):
        after = f"from . import part{number + 1}" if number + 1 < PARTS else ""
        (package / f"part{number}.py").write_text(f"import time; time.sleep(0.01)\n{after}")
    whole = "import sys; sys.setrecursionlimit(20_000)\nfrom . import part0\nfrom pathlib import Path\n"
    (package / "__init__.py").write_text(f"{whole}Path({str(tmp_path / 'whole')!r}).touch()\nWHOLE = True")
    return tmp_path


def in_a_fresh_process(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    before = f"import os, time\nfrom nbgraph.loading import NotLoadedError, load, without_waiting\n{BEGIN}"
    path = os.pathsep.join([str(folder), *sys.path])
    return subprocess.run(
        [sys.executable, "-c", before + code],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_process_that_ends_abandons_an_import(slow_package):
    done = in_a_fresh_process(slow_package, "time.sleep(0.2); print('end')")
    assert (done.stdout, done.stderr, done.returncode) == ("end\n", "", 0)
    assert not (slow_package / "whole").exists()


def test_a_thread_that_waits_for_an_abandoned_import_says_nothing(slow_package):
    code = (
        "import threading\nthreading.Thread(target=load, args=('slow_package',), daemon=True).start()\ntime.sleep(0.2)"
    )
    done = in_a_fresh_process(slow_package, code)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_fork_waits_for_an_import_so_that_the_child_has_the_whole_module(slow_package):
    code = """
if os.fork() == 0:
    import slow_package
    print("child", slow_package.WHOLE, flush=True)
    os._exit(0)
print("parent", os.wait()[1], flush=True)
"""
    done = in_a_fresh_process(slow_package, code)
    assert (done.stdout, done.returncode) == ("child True\nparent 0\n", 0), done.stderr


LIBRARIES = {
    "dynamicprompts": "from nbgraph.invocations import DynamicPrompt; DynamicPrompt(prompt='{a|b}').invoke(Context())",
    "compel": "from nbgraph.diffusion.weighted_prompt import _parser; _parser()",
}


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_that_a_node_needs_is_imported_where_no_interrupt_comes(library):
    code = f"""
import sys, threading
from types import SimpleNamespace

class Notes:
    on_main = []

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {library!r} and threading.current_thread() is threading.main_thread():
            frame = sys._getframe()
            while frame.f_code.co_name != "_find_and_load" and frame.f_globals["__name__"] != "importlib.util":
                frame = frame.f_back
            if frame.f_code.co_name == "_find_and_load":  # in importlib.util it is only asked whether it is there
                self.on_main.append(name)

class Context:
    is_cancelled = staticmethod(lambda: False)

sys.meta_path.insert(0, Notes())
{LIBRARIES[library]}
assert {library!r} in sys.modules
print(Notes.on_main)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.stdout.splitlines()[-1:] == ["[]"], done.stderr
