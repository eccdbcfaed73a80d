"""Folders of every released format: opened by today's code, brought forward, and read whole."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest
from PIL import Image

from nbgraph import Studio
from nbgraph.errors import StoreCorruptError
from nbgraph.services.invocation_cache.invocation_cache_common import with_descendants
from nbgraph.services.invocation_services import FORMATS, InvocationServices
from nbgraph.services.shared.graph.graph import Graph
from tests.fixtures.make_folder import product, sums

FOLDERS = sorted((Path(__file__).parent.parent / "fixtures/folders").glob("format-*.zip"))
Schema = dict[str, object]


@pytest.fixture(params=FOLDERS, ids=[path.stem for path in FOLDERS])
def old_folder(request: pytest.FixtureRequest, folder: Path) -> Path:
    """A folder as a released nbgraph left it."""
    with ZipFile(request.param) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture
def old_studio(old_folder: Path) -> Iterator[Studio]:
    with Studio(old_folder) as studio:
        yield studio


def schema(folder: Path) -> Schema:
    """Give tables with their columns and keys, and the other parts of a database as they were written."""
    connection = sqlite3.connect(folder / "nbgraph.db")
    parts = connection.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY name").fetchall()
    found: Schema = {name: sql for kind, name, sql in parts if kind != "table"}
    for name, sql in [(name, sql) for kind, name, sql in parts if kind == "table"]:
        columns = connection.execute("SELECT * FROM pragma_table_xinfo(?)", (name,)).fetchall()
        keys = connection.execute("SELECT * FROM pragma_foreign_key_list(?)", (name,)).fetchall()
        found[name] = (columns, keys, "AUTOINCREMENT" in sql, "WITHOUT ROWID" in sql)
    connection.close()
    return found


def number_of(folder: Path) -> int:
    """Give the format number that a database says it has."""
    connection = sqlite3.connect(folder / "nbgraph.db")
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    connection.close()
    return number


def test_each_format_has_a_folder_that_was_made_by_it():
    assert [path.name for path in FOLDERS] == [f"format-{number}.zip" for number in range(1, FORMATS.newest + 1)]


def test_the_steps_lead_to_the_tables_of_a_new_folder(old_folder, tmp_path):
    Studio(old_folder).close()
    Studio(tmp_path / "new").close()
    assert schema(old_folder) == schema(tmp_path / "new")
    assert number_of(old_folder) == FORMATS.newest


def test_tensors_of_an_old_folder_are_read(old_folder):
    services = InvocationServices.sqlite(old_folder)
    (record,) = services.latents.list().items
    tensors, metadata = services.latents.get(record.name)
    assert (tensors["latents"].flatten().tolist(), metadata) == ([0, 1, 2, 3], {"width": 16})
    services.close()


def test_pictures_of_an_old_folder_are_read(old_studio):
    frame = old_studio.images.frame
    assert sorted(frame.node) == ["blank", "product", "red"]
    assert frame[frame.starred].node.tolist() == ["red"]
    red = old_studio.images.get(frame.set_index("node").image_name["red"])
    assert (red.size, red.getpixel((0, 0))) == ((16, 16), (255, 0, 0))
    report = old_studio.clean()
    assert (report.missing, report.damaged, report.orphans) == ([], [], 0)


def test_stats_of_an_old_folder_are_read(old_studio):
    stats = old_studio.stats
    assert stats.groupby("session", sort=False).size().tolist() == [3, 7, 1, 4]
    assert stats.status.value_counts().to_dict() == {"completed": len(stats) - 1, "failed": 1}
    assert stats.path[stats.source == "sum"].tolist() == ["0", "1", "2"]
    assert stats.batch.tolist() == [1] * len(stats)
    assert set(stats.worker) == {""}
    assert stats.seed[stats.node == "dice"].notna().all()


def test_sessions_of_an_old_folder_are_read_and_resumed(old_studio):
    queue = old_studio.queue.frame
    assert sorted(queue.status) == ["completed", "completed", "completed", "failed", "interrupted"]
    sessions = old_studio.services.graph_execution_manager
    assert [sessions.condition(one) for one in queue.session] == ["readable"] * 5
    run = old_studio.resume(queue.set_index("status").session["interrupted"]).wait()
    assert (run["all"].collection, len(run.stats)) == ([1, 2, 3, 4, 5], 7)


def test_library_graphs_of_an_old_folder_are_read(old_studio):
    chosen = old_studio.services.graph_library.get("0" * 32)
    assert old_studio.run(chosen, {"left": 5}, progress=False)["sum"].value == 7


def test_documents_of_an_old_folder_are_read_and_new_ones_are_kept(old_studio, request):
    documents = old_studio.services.graph_documents
    had_documents = int(request.node.callspec.id.removeprefix("format-")) >= 6
    assert [record.name for record in documents.rows()] == (["sums"] if had_documents else [])
    for version in (1, 2) if had_documents else ():
        assert len(Graph.from_dict(documents.data("sums", version))["each"].collection) == version + 1
    assert documents.save("more", Graph.of(sums(1))).is_new
    assert Graph.from_dict(documents.data("more"))["each"].collection == [0]


def test_what_came_of_a_cached_result_of_an_old_folder_is_known(old_studio):
    cache = old_studio.services.invocation_cache
    rows = cache.entries()
    (red,) = [row.key for row in rows if row.node == "red"]
    assert {row.node for row in cache.rows_of(cache.affected(key=red))} == {"red", "product"}
    for row in rows:
        assert set(cache.affected(key=row.key)) == with_descendants([row.key], rows)


def test_the_cache_of_an_old_folder_is_listed_kept_in_its_limits_and_used_where_keys_are_the_same(old_studio):
    frame = old_studio.cache.frame
    assert len(frame) == len(old_studio.cache) == 8
    for node in (product(), sums(3)):
        assert old_studio.run(node, progress=False).status == "completed"
    assert old_studio.cache.clear() >= 8
    assert len(old_studio.cache) == 0


def test_a_folder_is_backed_up_before_it_is_brought_forward(old_folder):
    old = number_of(old_folder)
    Studio(old_folder).close()
    assert len(list(old_folder.glob(f"backups/*-{old}.db"))) == (old < FORMATS.newest)


def test_tables_without_a_format_number_are_refused_and_not_touched(folder):
    InvocationServices.sqlite(folder).close()
    with sqlite3.connect(folder / "nbgraph.db") as connection:
        connection.execute("PRAGMA user_version = 0")
    connection.close()
    before = (folder / "nbgraph.db").read_bytes()
    with pytest.raises(StoreCorruptError, match="it has tables, and no format number"):
        Studio(folder)
    assert (folder / "nbgraph.db").read_bytes() == before


def test_pictures_of_an_old_folder_that_differ_only_in_what_is_transparent_have_other_contents(old_folder):
    with Studio(old_folder) as studio:
        palette = Image.new("P", (2, 1))
        palette.putpalette([0, 0, 0, 255, 255, 255])
        palette.putdata([0, 1])
        clear = palette.copy()
        clear.info["transparency"] = 0
        names = [studio.images.add(each).image_name for each in (palette, palette, clear)]
    with sqlite3.connect(old_folder / "nbgraph.db") as connection:  # as a folder of before was brought here
        connection.execute("UPDATE images SET content = ''")
    connection.close()
    with Studio(old_folder) as studio:
        contents = [studio.services.images.content(name) for name in names]
        assert contents[0] == contents[1] != contents[2]
        assert all(len(studio.services.images.content(name)) == 32 for name in studio.images.frame.image_name)
