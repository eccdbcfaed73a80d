"""A full disk: what frees room works, what reads works, and closing and opening do."""

import subprocess
import sys
from contextlib import suppress

import pytest
from PIL import Image

import nbgraph as nb
from nbgraph.errors import StoreFullError, StoreGoneError
from nbgraph.invocations import Add, Iterate, Range

DISK = 3 * 2**20
EACH = 300
CLOSE_ON_A_FULL_DISK = """
import sys
import nbgraph as nb
studio = nb.Studio(sys.argv[1] + "/studio")
with open(sys.argv[1] + "/fill", "wb", buffering=0) as file:
    try:
        while file.write(b"a" * 4096): pass
    except OSError: pass
studio.close()
print("closed")
"""


@pytest.fixture
def disk(tmp_path):
    """A small disk of its own."""
    root = tmp_path / "disk"
    root.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "nbgraph-test", str(root)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a disk of a fixed size cannot be mounted here")
    yield root
    subprocess.run(["umount", "-l", str(root)], check=True)


@pytest.fixture
def full(disk):
    """A studio with results, stats, runs and pictures, on a disk with no room left; `names` are the pictures."""
    with nb.Studio(disk / "studio") as studio:
        studio.run(Add(id="each", a=Iterate(collection=Range(stop=EACH)), b=1), progress=False)
        studio.names = [studio.images.add(Image.effect_noise((128, 128), 50)).image_name for _ in range(3)]
        fill(disk)
        yield studio


def fill(disk):
    with open(disk / "fill", "ab", buffering=0) as file, suppress(OSError):
        while file.write(b"a" * 4096):
            pass


FREES = {
    "pictures": lambda studio: studio.images.delete(*studio.names) == 3,
    "results": lambda studio: studio.cache.clear() == EACH + 1,
    "results over a limit": lambda studio: studio.cache.limit(max_entries=10) == EACH - 9,
    "a node's results": lambda studio: studio.cache.forget("each") == EACH,
    "runs": lambda studio: studio.queue.clear() == 1,
    "stats": lambda studio: studio.services.performance_statistics.reset_stats() is None and studio.stats.empty,
    "a session": lambda studio: studio.services.graph_execution_manager.delete(studio.queue.frame.session[0]),
    "a library graph": lambda studio: studio.services.graph_library.delete("text_to_image") in (True, False),
    "nothing": lambda studio: studio.clean().orphans == 0,
}


@pytest.mark.parametrize("what", FREES)
def test_what_is_deleted_on_a_full_disk_goes(full, what):
    assert FREES[what](full)


@pytest.mark.parametrize("what", ["pictures", "results"])
def test_after_making_room_runs_go_on(full, what, disk):
    with pytest.raises(StoreFullError, match="free some space"):
        full.run(Add(id="more", a=1, b=1), progress=False)
    assert FREES[what](full)
    (disk / "fill").unlink()
    assert full.run(Add(id="more", a=1, b=1), progress=False)["more"].value == 2
    assert full.images.delete(*full.names) in (0, 3)
    assert (disk / "studio" / "reserve").stat().st_size == 2**20


def test_what_is_there_can_be_looked_at_on_a_full_disk(full):
    assert len(full.stats) == 2 * EACH + 1
    assert len(full.cache.frame) == EACH + 1
    assert full.images.get(full.names[0]).size == (128, 128)
    assert list(full.queue.frame.status) == ["completed"]


def test_a_folder_on_a_full_disk_can_be_closed_opened_and_cleared(full, disk):
    full.close()
    fill(disk)
    with nb.Studio(disk / "studio") as studio:
        assert studio.images.delete(*full.names) == 3
        assert studio.cache.clear() == EACH + 1


def test_closing_what_was_never_used_on_a_full_disk_is_no_crash(disk):
    child = [sys.executable, "-c", CLOSE_ON_A_FULL_DISK, str(disk)]
    done = subprocess.run(child, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "closed"), done.stderr


def test_what_cannot_be_written_any_more_is_no_reason_to_stay_open(full, caplog):
    stats = full.services.performance_statistics
    stats._batch._rows.extend(row._replace(error="x" * 2000) for row in stats.rows())
    full.close()
    assert "could not be written and are lost" in caplog.text
    with pytest.raises(StoreGoneError):
        full.images.get(full.names[0])
