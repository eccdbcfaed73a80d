"""Files that a crash left without a record go by themselves; those of a save that is under way stay."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from math import inf
from pathlib import Path
from time import sleep

import pytest
from PIL import Image
from waiting import comes_true

import nbgraph as nb
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.invoker import Invoker
from nbgraph.services.shared.sqlite.cleaning import DAY, OrphanRule
from nbgraph.services.shared.sqlite.upkeep import remove_orphans

CHILD = Path(__file__).with_name("orphan_child.py")
AT_ONCE = nb.Settings(orphan_days=0.05 / DAY)
PICTURE = Image.new("L", (8, 8), 7)
Kernel = subprocess.Popen[str]


@pytest.fixture
def start_kernel(folder: Path) -> Iterator[Callable[[str], tuple[Kernel, Path]]]:
    """Starts a kernel that stops when it has written the file of a picture; gives it, and the path of the file."""
    started: list[Kernel] = []

    def start(what: str) -> tuple[Kernel, Path]:
        command = [sys.executable, CHILD, folder, what]
        kernel = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(kernel)
        assert kernel.stdout is not None
        name = kernel.stdout.readline().strip()
        return kernel, folder / "images" / name[:2] / f"{name}.png"

    yield start
    for kernel in started:
        kernel.kill()
        kernel.communicate()


def stray_file(folder: Path, letter: str = "a") -> Path:
    """Put a file without a record into a folder."""
    path = folder / "images" / (letter * 2) / f"{letter * 32}.png"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"left by a crash")
    return path


def test_the_next_studio_removes_what_a_killed_kernel_left_by_itself(folder, start_kernel):
    kernel, orphan = start_kernel("die")
    assert kernel.wait(30) == -signal.SIGKILL
    assert orphan.exists()
    with nb.Studio(folder, AT_ONCE) as studio:
        kept = studio.images.add(PICTURE)
        assert comes_true(lambda: not orphan.exists())
        assert studio.images.count == 1
        assert studio.services.images.is_intact(kept.image_name)
    assert "removed 1 files that a crash left" in (folder / "nbgraph.log").read_text()


def test_a_file_that_a_living_kernel_is_about_to_record_stays(folder, start_kernel):
    kernel, path = start_kernel("wait")
    with nb.Studio(folder, AT_ONCE) as studio:
        stray = stray_file(folder)
        looks = [studio.services.retention.remove_orphans() for _ in range(3) if not sleep(0.1)]
        assert (looks, path.exists()) == ([True] * 3, True)
        kernel.communicate("go on\n", timeout=30)
        assert kernel.returncode == 0
        assert comes_true(lambda: not stray.exists()), "with no older kernel beside it, this one may go"
        assert studio.images.count == 1
        assert studio.services.images.is_intact(path.stem)


def test_a_file_that_this_process_is_about_to_record_stays(folder, monkeypatch):
    services = InvocationServices.sqlite(folder)
    found = []
    write = services.database.folder.write

    def write_and_look(kind, name, *more):
        write(kind, name, *more)
        for _ in range(3):
            found.append(remove_orphans(services.database, 0.0).orphans_removed)

    monkeypatch.setattr(services.database.folder, "write", write_and_look)
    record = services.images.save(PICTURE)
    assert found == [0, 0, 0]
    assert services.images.is_intact(record.image_name)
    services.close()


def test_a_file_is_left_alone_until_the_grace_is_over(folder):
    invoker = Invoker(InvocationServices.sqlite(folder))
    stray = stray_file(folder)
    looks = [invoker.services.retention.remove_orphans() for _ in range(3)]
    assert (looks, stray.exists()) == ([True] * 3, True)
    invoker.stop()


def test_what_is_no_resource_of_a_studio_stays(folder):
    with nb.Studio(folder, AT_ONCE) as studio:
        others = [folder / "images" / "note.png", folder / "images" / "zz" / ("z" * 32 + ".png"), folder / "notes.txt"]
        for path in others:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"put here by hand")
        assert [studio.services.retention.remove_orphans() for _ in range(3)] == [False] * 3
    assert all(path.exists() for path in others)


def test_a_studio_that_is_closed_looks_no_longer(folder):
    nb.Studio(folder).close()
    stray_file(folder)
    studio = nb.Studio(folder, nb.Settings(orphan_days=1))
    retention = studio.services.retention
    assert not retention._ended.wait(0.1), "it waits for a day to look at the file again"
    studio.close()
    assert retention._ended.is_open
    assert retention.remove_orphans() is False


@pytest.mark.parametrize(
    ("oldest_kernel", "first_seen", "being_saved", "may_go"),
    [
        (inf, -61, (), True),
        (inf, -59, (), False),
        (inf, -61, {"name"}, False),
        (2_000, -61, (), True),  # the other kernel was opened after the file was written
        (500, -61, (), False),  # the other kernel may be its writer
        (500, -DAY - 1, (), True),
        (inf, 1e9, (), False),  # seen in the future, by a clock that was wrong
    ],
)
def test_when_a_file_without_a_record_may_go(oldest_kernel, first_seen, being_saved, may_go, monkeypatch):
    monkeypatch.setattr("nbgraph.services.shared.sqlite.cleaning.time", lambda: 5000.0)
    assert OrphanRule(60.0, oldest_kernel, being_saved).allows("name", 5000.0 + first_seen, written=1_000) is may_go
