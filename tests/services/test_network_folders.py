"""Folders where SQLite has no write-ahead log: what is stored there is as safe, and a person is told once."""

import sqlite3
import warnings
from types import SimpleNamespace

import psutil
import pytest
from PIL import Image

from nbgraph import Studio
from nbgraph.errors import NbgraphWarning
from nbgraph.invocations import Add, Collect, Iterate
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.shared.sqlite.write_ahead_log import network_filesystem

FULL = 2


@pytest.fixture
def mounts(monkeypatch, tmp_path):
    """Sets the filesystems there are, given as (place, type) or (place, type, options)."""

    def mount(*given: tuple[str, ...]) -> None:
        found = [SimpleNamespace(mountpoint=place, fstype=kind, opts=",".join(opts)) for place, kind, *opts in given]
        monkeypatch.setattr(psutil, "disk_partitions", lambda all: found)

    return mount


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "CIFS", "smb3", "smbfs", "fuse.sshfs", "9p", "afs", "lustre", "gpfs"])
def test_network_filesystems_are_known(mounts, tmp_path, kind):
    mounts(("/", "ext4"), (str(tmp_path), kind))
    assert network_filesystem(tmp_path / "studio") == kind.lower()


@pytest.mark.parametrize("kind", ["ext4", "btrfs", "apfs", "tmpfs", "overlay", "fuseblk", "fuse.fuse-overlayfs"])
def test_local_filesystems_are_known(mounts, tmp_path, kind):
    mounts(("/", kind), (str(tmp_path / "elsewhere"), "nfs4"))
    assert network_filesystem(tmp_path / "studio") == ""


def test_the_deepest_mount_counts_and_of_two_in_one_place_the_later(mounts, tmp_path):
    mounts((str(tmp_path), "nfs4"), ("/", "ext4"))
    assert network_filesystem(tmp_path) == "nfs4"
    mounts((str(tmp_path), "nfs4"), (str(tmp_path), "xfs"), ("/", "ext4"))
    assert network_filesystem(tmp_path) == ""
    mounts(("/", "NTFS", "rw", "remote"))
    assert network_filesystem(tmp_path) == "ntfs"


def test_a_link_to_a_network_folder_is_one(mounts, tmp_path):
    (tmp_path / "share").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "share")
    mounts(("/", "ext4"), (str(tmp_path / "share"), "cifs"))
    assert network_filesystem(tmp_path / "link" / "studio") == "cifs"


def check_that_all_is_synced(studio: Studio, why: str) -> None:
    """A studio without a log writes a rollback journal and syncs it, also after durable transactions."""
    database = studio.services.database
    studio.services.images.save(Image.new("L", (4, 4)))
    assert database.row("PRAGMA journal_mode") == ("delete",)
    assert database.row("PRAGMA synchronous") == (FULL,)
    assert why in database.log.refused


def sums() -> Collect:
    item = Iterate(id="each", collection=list(range(50)))
    return Collect(id="all", item=Add(id="sum", a=item.output("item"), b=1))


@pytest.fixture
def slow_studio(folder):
    """Opens the folder as a studio, which must say once that it has no log, and why."""
    studios = []

    def open_it(why: str) -> Studio:
        with pytest.warns(NbgraphWarning, match=f"{why}.*local folder") as told:
            studios.append(Studio(folder))
        assert sum(issubclass(each.category, NbgraphWarning) for each in told) == 1
        return studios[-1]

    yield open_it
    for studio in studios:
        studio.close()


def test_on_a_network_filesystem_studios_work_without_the_log(mounts, folder, slow_studio):
    mounts(("/", "nfs4"))
    one = slow_studio("network filesystem .nfs4.")
    assert one.run(sums(), progress=False)["all"].collection == list(range(1, 51))
    check_that_all_is_synced(one, "nfs4")
    other = slow_studio("nfs4")
    assert other.run(sums(), progress=False).stats.query("type == 'add'").cached.all()
    assert not list(folder.glob("*-wal"))


def test_a_folder_moved_to_a_network_filesystem_and_back_keeps_everything(mounts, folder, slow_studio):
    with Studio(folder) as studio:
        studio.run(sums(), progress=False)
        assert studio.services.database.row("PRAGMA journal_mode") == ("wal",)
    mounts(("/", "smb3"))
    moved = slow_studio("smb3")
    assert moved.run(sums(), progress=False).stats.query("type == 'add'").cached.all()
    check_that_all_is_synced(moved, "smb3")
    moved.close()
    mounts(("/", "ext4"))
    with Studio(folder) as studio:
        assert studio.services.database.row("PRAGMA journal_mode") == ("wal",)
        assert len(studio.images) == 1


def test_where_sqlite_refuses_the_log_a_studio_works_without_it(monkeypatch, slow_studio):
    connect = sqlite3.connect

    def without_shared_memory(path, **options):
        return connect(f"file:{path}?vfs=unix-dotfile", uri=True, **options)

    monkeypatch.setattr(sqlite3, "connect", without_shared_memory)
    studio = slow_studio("could not turn its write-ahead log on")
    assert studio.run(sums(), progress=False)["all"].collection == list(range(1, 51))
    check_that_all_is_synced(studio, "'delete'")


def test_a_local_folder_has_the_log_and_nothing_is_said(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        services = InvocationServices.sqlite(folder)
    assert services.database.row("PRAGMA journal_mode") == ("wal",)
    assert services.database.log.refused == ""
    services.close()
