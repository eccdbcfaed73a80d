"""Folders that may be read and not written, as somebody sees them who is not root."""

import os
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from nbgraph.errors import StoreReadOnlyError
from nbgraph.services.invocation_services import InvocationServices

NOBODY = 65534
PICTURE = Image.linear_gradient("L")


def as_nobody(work: Callable[[], None]) -> None:
    """Do it in a child process that may not write everywhere, as root may; fails as the child fails."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            work()
        except BaseException:
            os.write(write, traceback.format_exc().encode())
            os._exit(1)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as stream:
        told = stream.read()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, told


def give_away(folder: Path, mode: int) -> None:
    """Let nobody own a folder and all in it, with that mode."""
    for path in [folder, *folder.rglob("*")]:
        if os.geteuid() == 0:
            os.chown(path, NOBODY, NOBODY)
        path.chmod(mode if path.is_dir() else mode & 0o666)


@pytest.fixture
def shared() -> Iterator[Path]:
    """A studio's folder with a picture in it, where everybody may look."""
    with tempfile.TemporaryDirectory() as root:
        Path(root).chmod(0o755)
        services = InvocationServices.sqlite(Path(root) / "studio")
        services.images.save(PICTURE)
        services.close()
        yield Path(root) / "studio"
        give_away(Path(root), 0o755)


def test_a_folder_that_may_not_be_written_is_refused_and_says_so(shared):
    give_away(shared, 0o555)
    before = sorted(str(path) for path in shared.rglob("*"))

    def work() -> None:
        with pytest.raises(StoreReadOnlyError, match="may not be written.*write permission"):
            InvocationServices.sqlite(shared)

    as_nobody(work)
    assert sorted(str(path) for path in shared.rglob("*")) == before


def test_a_database_that_may_not_be_written_is_refused_and_says_so(shared):
    give_away(shared, 0o755)
    (shared / "nbgraph.db").chmod(0o444)

    def work() -> None:
        with pytest.raises(StoreReadOnlyError, match="nbgraph.db may not be written.*write permission"):
            InvocationServices.sqlite(shared)

    as_nobody(work)
    (shared / "nbgraph.db").chmod(0o644)
    services = InvocationServices.sqlite(shared)
    assert services.images.list().total == 1
    services.close()


def test_a_folder_that_is_closed_for_writing_while_it_is_open_loses_nothing(shared):
    give_away(shared, 0o755)

    def work() -> None:
        images = InvocationServices.sqlite(shared).images
        for path in [shared / "images", shared / "tmp", *(shared / "images").iterdir()]:
            path.chmod(0o555)
        with pytest.raises(StoreReadOnlyError, match="write permission"):
            images.save(PICTURE)
        assert images.list().total == 1
        assert images.get(images.list().items[0].image_name).tobytes() == PICTURE.tobytes()
        for path in [shared / "images", shared / "tmp", *(shared / "images").iterdir()]:
            path.chmod(0o755)
        images.save(PICTURE)
        assert images.list().total == 2

    as_nobody(work)


def test_a_folder_that_cannot_be_made_says_so(shared):
    shared.parent.chmod(0o555)

    def work() -> None:
        with pytest.raises(StoreReadOnlyError, match="permission"):
            InvocationServices.sqlite(shared.parent / "another")

    as_nobody(work)
