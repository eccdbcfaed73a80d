"""Folders that may be read and not written, as somebody sees them who is not root."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from nbgraph.errors import StoreReadOnlyError
from nbgraph.services.invocation_services import InvocationServices
from tests.read_only import as_nobody, give_away

PICTURE = Image.linear_gradient("L")


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
