"""Folders, databases and files that are not as they should be: a typed error that says what to do, and nothing lost."""

import os
import re
import resource
import sqlite3
import subprocess
import sys
import threading
import time
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from PIL import Image

from nbgraph.errors import (
    ForkedStoreError,
    ResourceFileCorruptError,
    ResourceFileMissingError,
    StoreBusyError,
    StoreCorruptError,
    StoreError,
    StoreFullError,
    StoreGoneError,
    StoreReadOnlyError,
    StoreTooNewError,
)
from nbgraph.services.invocation_services import FORMATS, InvocationServices
from nbgraph.services.shared.sqlite.backups import restore_backup
from nbgraph.services.shared.sqlite.sqlite_database import SqliteDatabase
from nbgraph.services.shared.sqlite.store_folder import StoreFolder

PICTURE = Image.linear_gradient("L")


@pytest.fixture
def filled(folder: Path) -> Path:
    """A folder with a picture in it, closed."""
    services = InvocationServices.sqlite(folder)
    services.images.save(PICTURE)
    services.close()
    return folder


def test_a_newer_database_is_refused_and_not_touched(filled):
    path = filled / "nbgraph.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = sha256(path.read_bytes()).hexdigest()
    with pytest.raises(StoreTooNewError, match="format 99.*upgrade nbgraph") as caught:
        InvocationServices.sqlite(filled)
    assert (caught.value.found, caught.value.supported) == (99, len(FORMATS))
    assert sha256(path.read_bytes()).hexdigest() == before


@pytest.mark.parametrize("damage", ["text", "header", "middle"])
def test_a_damaged_database_is_never_replaced(filled, damage):
    path = filled / "nbgraph.db"
    data = bytearray(path.read_bytes())
    if damage == "text":
        data = bytearray(b"not a database at all " * 100)
    elif damage == "header":
        data[:32] = bytes(32)
    else:
        data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(bytes(data))
    (filled / "locks" / ("0" * 32 + ".lock")).touch()
    with pytest.raises(StoreCorruptError, match="restore_backup|another program"):
        InvocationServices.sqlite(filled)
    assert path.read_bytes() == bytes(data)
    assert len(list(filled.glob("images/*/*.png"))) == 1


def test_a_database_of_another_program_is_left_alone(folder):
    folder.mkdir()
    with sqlite3.connect(folder / "nbgraph.db") as connection:
        connection.execute("CREATE TABLE notes (text)")
    connection.close()
    with pytest.raises(StoreCorruptError, match="another program"):
        InvocationServices.sqlite(folder)


def test_an_older_database_is_backed_up_and_brought_forward(folder):
    first, second = "CREATE TABLE one (a);", "CREATE TABLE two (b);\nINSERT INTO two VALUES (1);"
    SqliteDatabase(StoreFolder(folder), [first]).close()
    database = SqliteDatabase(StoreFolder(folder), [first, second])
    assert database.rows("SELECT b FROM two") == [(1,)]
    database.close()
    assert len(list(folder.glob("backups/*-1.db"))) == 1
    aside = restore_backup(folder)
    assert aside.exists()
    again = SqliteDatabase(StoreFolder(folder), [first])
    assert again.rows("SELECT * FROM one") == []
    again.close()


def test_a_step_that_fails_changes_nothing(folder):
    first = "CREATE TABLE one (a);"
    SqliteDatabase(StoreFolder(folder), [first]).close()
    with pytest.raises(sqlite3.OperationalError):
        SqliteDatabase(StoreFolder(folder), [first, "CREATE TABLE two (b);\nCREATE TABLE one (c);"])
    database = SqliteDatabase(StoreFolder(folder), [first])
    assert [name for (name,) in database.rows("SELECT name FROM sqlite_schema WHERE type='table'")] == ["one"]
    database.close()


def test_a_folder_that_cannot_be_made_says_so():
    with pytest.raises((StoreReadOnlyError, StoreError), match="permission|another folder|disk"):
        InvocationServices.sqlite("/proc/studio")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_says_so(filled):
    filled.chmod(0o500)
    try:
        with pytest.raises(StoreReadOnlyError, match="write permission"):
            InvocationServices.sqlite(filled)
    finally:
        filled.chmod(0o700)


def test_a_full_disk_loses_nothing_and_leaves_nothing(open_folder, folder):
    images = open_folder().services.images
    kept = images.save(PICTURE).image_name
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        with pytest.raises(StoreFullError, match="free some space"):
            images.save(Image.effect_noise((256, 256), 80))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert images.is_intact(kept)
    assert images.list().total == 1
    assert list((folder / "tmp").iterdir()) == []
    assert images.save(Image.effect_noise((256, 256), 80)).width == 256


def test_a_full_database_rolls_back(open_folder):
    services = open_folder().services
    database = services.database
    (pages,) = database.row("PRAGMA page_count")
    database.rows(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(StoreFullError), database.transaction() as connection:  # noqa: PT012
        for number in range(1000):
            connection.execute("INSERT INTO trash VALUES ('images', ?)", (f"{number:032x}" * 8,))
    assert database.rows("SELECT count(*) FROM trash") == [(0,)]


def test_a_locked_database_is_waited_for_and_then_named(folder):
    database = SqliteDatabase(StoreFolder(folder), ["CREATE TABLE one (a);"], wait_seconds=0.3)
    other = SqliteDatabase(StoreFolder(folder), ["CREATE TABLE one (a);"])
    with other.transaction():
        began = time.monotonic()
        with pytest.raises(StoreBusyError, match=f"process {os.getpid()}"), database.transaction():
            pass
        assert time.monotonic() - began < 2
    with database.transaction() as connection:
        connection.execute("INSERT INTO one VALUES (1)")
    assert other.rows("SELECT a FROM one") == [(1,)]
    database.close()
    other.close()


def test_a_program_that_knows_no_lock_files_is_waited_for_too(folder):
    database = SqliteDatabase(StoreFolder(folder), ["CREATE TABLE one (a);"])
    foreign = sqlite3.connect(folder / "nbgraph.db", isolation_level=None, check_same_thread=False)
    foreign.execute("BEGIN IMMEDIATE")
    threading.Timer(0.3, foreign.execute, ("COMMIT",)).start()
    with database.transaction() as connection:
        connection.execute("INSERT INTO one VALUES (1)")
    foreign.close()
    database.close()


def test_what_is_raised_inside_a_transaction_rolls_it_back(folder):
    database = SqliteDatabase(StoreFolder(folder), ["CREATE TABLE one (a);"])
    for error in (ValueError, KeyboardInterrupt, SystemExit):
        with pytest.raises(error), database.transaction() as connection, database.transaction():  # noqa: PT012
            connection.execute("INSERT INTO one VALUES (1)")
            raise error
    assert database.rows("SELECT a FROM one") == []
    database.close()


def test_a_database_replaced_while_it_is_open_is_noticed(open_folder, folder):
    services = open_folder().services
    path = folder / "nbgraph.db"
    path.rename(folder / "elsewhere.db")
    with pytest.raises(StoreGoneError, match="deleted or replaced"):
        services.images.save(PICTURE)
    path.write_bytes(b"")
    with pytest.raises(StoreGoneError):
        services.queue.put("a")
    (folder / "elsewhere.db").replace(path)
    assert services.images.save(PICTURE).width == 256


def test_a_connection_is_not_used_after_a_fork(open_folder):
    services = open_folder().services
    child = os.fork()
    if child == 0:
        try:
            services.images.list()
        except ForkedStoreError:
            os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


@pytest.mark.parametrize("kind", ["images", "tensors"])
def test_damaged_files_raise_and_are_reported(open_folder, folder, kind):
    services = open_folder().services
    store = getattr(services, "images" if kind == "images" else "latents")
    names = []
    for number in range(3):
        saved = (
            store.save(Image.new("L", (9, 9), number))
            if kind == "images"
            else store.save({"x": torch.full((9,), number)})
        )
        names.append(saved.image_name if kind == "images" else saved.name)
    paths = [next(folder.glob(f"{kind}/*/{name}.*")) for name in names]
    paths[0].unlink()
    paths[1].write_bytes(paths[1].read_bytes()[:-3])
    data = bytearray(paths[2].read_bytes())
    data[-1] ^= 4
    paths[2].write_bytes(bytes(data))
    errors = (ResourceFileMissingError, ResourceFileCorruptError, ResourceFileCorruptError)
    for name, error in zip(names, errors):
        assert not store.is_intact(name)
        with pytest.raises(error, match="run again"):
            store.get(name)
    report = services.clean()
    assert (report.missing, report.damaged) == ([names[0]], [names[1]])
    assert store.delete(*names) == 3


def test_a_link_in_the_place_of_a_file_is_not_followed(open_folder, folder, tmp_path):
    images = open_folder().services.images
    name = images.save(PICTURE).image_name
    (path,) = folder.glob("images/*/*.png")
    path.rename(tmp_path / "moved.png")
    path.symlink_to(tmp_path / "moved.png")
    with pytest.raises(StoreError):
        images.get(name)


def test_files_without_a_record_go_when_they_were_seen_twice(open_folder, folder):
    services = open_folder().services
    services.images.save(PICTURE)
    stray = folder / "images" / "aa" / ("a" * 32 + ".png")
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(b"left by a crash")
    assert (services.clean().orphans, stray.exists()) == (1, True)
    assert (services.clean().orphans_removed, stray.exists()) == (0, True)
    report = services.clean(grace_seconds=0)
    assert (report.orphans_removed, report.bytes_freed, stray.exists()) == (1, 15, False)
    assert services.images.list().total == 1


def test_a_poisoned_cache_row_is_a_miss_and_goes(open_folder):
    services = open_folder().services
    database = services.database
    for number, (type_name, output) in enumerate(
        [("add", "not json"), ("add", '{"value": {}}'), ("os.system", "{}"), ("l2i", '{"image":{"image_name":"../x"}}')]
    ):
        with database.transaction() as connection:
            connection.execute(
                "INSERT INTO cache_entries (key, type, node, output, material, resources, sources, bytes, seconds,"
                " created, hits, used) VALUES (?, ?, 'n', ?, '{}', '[]', x'', 1, 1, 1, 0, 1)",
                (bytes([number] * 16), type_name, output),
            )
    for number in range(4):
        assert services.invocation_cache.get(bytes([number] * 16)) is None
    assert services.invocation_cache.status().size == 0


def test_only_one_module_makes_paths():
    services = Path(__file__).parents[2] / "nbgraph" / "services"
    opens = re.compile(r"(?<![.\w])open\(|os\.open\(|\bPath\(|os\.path|write_bytes|write_text|mkdir|shutil|tempfile")
    found = {}
    for path in services.rglob("*.py"):
        lines = [line for line in path.read_text().splitlines() if opens.search(line) and "def open(" not in line]
        if lines and path.name != "store_folder.py":
            found[path.name] = lines
    known = {
        "file_lock.py",  # opens the lock files it is given
        "backups.py",  # copies the database itself
        "invocation_stats_base.py",  # writes where a person says, and reads /proc
        "model_manager_base.py",  # model folders
        "model_manager_default.py",
    }
    assert found.keys() <= known, {name: found[name] for name in found.keys() - known}


WRITER = """
import sys, time
from nbgraph.services.invocation_services import InvocationServices
services = InvocationServices.sqlite(sys.argv[1])
end, count = time.monotonic() + float(sys.argv[2]), 0
while time.monotonic() < end:
    services.queue.put(f"{sys.argv[3]} {count}")
    count += 1
services.close()
print(count)
"""


def test_two_processes_write_at_once_and_every_row_is_there(folder):
    seconds = "10" if os.environ.get("NBGRAPH_SOAK") == "1" else "3"
    command = [sys.executable, "-c", WRITER, str(folder), seconds]
    processes = [
        subprocess.Popen([*command, name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for name in "ab"
    ]
    ends = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], ends
    counts = [int(out) for out, _ in ends]
    services = InvocationServices.sqlite(folder)
    rows = services.database.rows("SELECT substr(session_id, 1, 1), count(*) FROM queue GROUP BY 1 ORDER BY 1")
    assert rows == [("a", counts[0]), ("b", counts[1])]
    print("rows of each process:", counts)
    assert min(counts) > 0.05 * sum(counts)
    services.close()
