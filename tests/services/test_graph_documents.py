"""Documents: drawings by name, with their versions. What holds in memory holds in a folder."""

import sqlite3

import pytest

import nbgraph as nb
from nbgraph.errors import DamagedRecordError, InvalidNameError, NotFoundError
from nbgraph.invocations import Add
from nbgraph.services.archive_file import FORMAT, MANIFEST, new_archive
from nbgraph.services.graph_documents import graph_documents_base, graph_documents_sqlite
from nbgraph.services.graph_documents.graph_documents_common import MAX_VERSIONS, DocumentVersion, versions_to_drop
from nbgraph.services.shared.graph.graph import Graph

HOSTILE = ["<img src=x onerror=alert(1)>", "'; DROP TABLE graph_documents; --", "日本 🌸 été", "%_ \" ' & ü", "a" * 100]
REFUSED = ["", "   ", "a\nb", "a\x00b", "a\u202eb", "../../etc/passwd", "c:\\x", "graph.json", "a" * 101, 7, None, b"a"]


def graph_of(value: int) -> Graph:
    return Graph.of(Add(id="total", a=value, b=2))


def value_of(documents, name: str, version: int | None = None) -> int:
    return Graph.from_dict(documents.data(name, version))["total"].a


@pytest.fixture
def documents(services):
    return services.graph_documents


def test_a_graph_is_kept_under_a_name_with_its_versions(documents):
    first = documents.save("portrait", graph_of(1))
    second = documents.save("portrait", graph_of(2))
    assert (first.record.newest, second.record.newest, second.is_new, second.replaced) == (1, 2, True, None)
    (row,) = documents.rows()
    assert (row.name, row.nodes, row.newest, row.versions) == ("portrait", 1, 2, 2)
    assert [version.number for version in documents.versions("portrait")] == [2, 1]
    assert (value_of(documents, "portrait"), value_of(documents, "portrait", 1)) == (2, 1)


def test_a_graph_that_is_the_same_is_not_written_again(documents):
    changed: list[str] = []
    documents.save("portrait", graph_of(1))
    documents.on_changed(changed.append)
    saved = documents.save(" portrait ", graph_of(1))
    assert (saved.is_new, saved.record.versions, changed) == (False, 1, [])


def test_what_another_author_saved_meanwhile_is_kept_and_returned(documents):
    mine = documents.save("portrait", graph_of(1)).record
    documents.save("portrait", graph_of(2), document_id=mine.id, base=1)
    saved = documents.save("portrait", graph_of(3), document_id=mine.id, base=1)
    assert saved.replaced is not None
    assert (saved.replaced.number, saved.record.newest) == (2, 3)
    assert [(each.number, each.is_kept) for each in documents.versions("portrait")] == [
        (3, False),
        (2, True),
        (1, False),
    ]
    assert value_of(documents, "portrait", 2) == 2


def test_versions_are_limited_and_the_last_ones_stay(make_services):
    documents = make_services().graph_documents
    documents.max_versions = 20
    for value in range(40):
        documents.save("portrait", graph_of(value))
    numbers = [version.number for version in documents.versions("portrait")]
    assert len(numbers) == 20
    assert numbers[:10] == list(range(40, 30, -1))
    assert numbers[-1] == 1


def test_a_document_keeps_its_id_when_it_is_renamed(documents):
    record = documents.save("portrait", graph_of(1)).record
    assert documents.rename("portrait", "landscape").id == record.id
    documents.save("portrait", graph_of(2), document_id=record.id, base=1)
    assert [row.name for row in documents.rows()] == ["landscape"]
    assert value_of(documents, "landscape") == 2


def test_a_name_that_is_taken_is_refused_and_nothing_is_renamed(documents):
    documents.save("one", graph_of(1))
    documents.save("two", graph_of(2))
    with pytest.raises(InvalidNameError, match="there is a document 'two' already"):
        documents.rename("one", "two")
    assert (value_of(documents, "one"), value_of(documents, "two")) == (1, 2)


def test_a_deleted_document_is_gone_and_one_that_is_still_edited_comes_back_under_a_free_name(documents):
    record = documents.save("portrait", graph_of(1)).record
    documents.set_thumbnail(record.id, b"small")
    documents.delete("portrait")
    assert (documents.rows(), documents.thumbnail(record.id)) == ([], b"")
    documents.save("portrait", graph_of(5))
    again = documents.save("portrait", graph_of(2), document_id=record.id, base=1)
    assert (again.record.id, again.record.name, again.replaced) == (record.id, "portrait 2", None)


def test_an_unknown_name_or_version_is_an_error_that_names_what_there_is(documents):
    documents.save("portrait", graph_of(1))
    with pytest.raises(NotFoundError, match="no document 'potrait'; did you mean 'portrait'"):
        documents.data("potrait")
    with pytest.raises(NotFoundError, match=r"has no version 4 \(there is: 1\)"):
        documents.data("portrait", 4)
    for act in (lambda: documents.delete("x"), lambda: documents.rename("x", "y"), lambda: documents.versions("x")):
        with pytest.raises(NotFoundError):
            act()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_a_name_like_any_other(documents, name):
    documents.save(name, graph_of(1))
    documents.save("other", graph_of(2))
    assert documents.record(name).name == name
    assert value_of(documents, name) == 1
    assert documents.rename(name, f"{name[:90]} b").name == f"{name[:90]} b"
    documents.delete(f"{name[:90]} b")
    assert [row.name for row in documents.rows()] == ["other"]


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_name_is_refused(documents, name):
    with pytest.raises(InvalidNameError):
        documents.save(name, graph_of(1))
    assert documents.rows() == []
    assert not documents.exists(name)


def test_the_same_letters_are_the_same_name_however_they_are_typed(documents):
    documents.save("e\u0301te\u0301", graph_of(1))
    assert documents.exists("été")


def test_a_free_name_is_numbered(documents):
    assert documents.free_name("untitled") == "untitled"
    documents.save("untitled", graph_of(1))
    documents.save("untitled 2", graph_of(1))
    assert documents.free_name("untitled") == "untitled 3"
    assert documents.free_name("text to image", ["text to image"]) == "text to image 2"


def test_the_picture_of_a_document_is_kept(documents):
    record = documents.save("portrait", graph_of(1)).record
    assert documents.thumbnail(record.id) == b""
    documents.set_thumbnail(record.id, b"small")
    documents.save("portrait", graph_of(2))
    assert documents.thumbnail(record.id) == b"small"


def test_what_is_not_saved_yet_is_saved_when_the_service_stops(make_services):
    documents = make_services().graph_documents
    documents.on_flush(lambda _: documents.save("portrait", graph_of(1)))
    saved: list[str] = []
    documents.on_changed(saved.append)
    documents.stop()
    assert len(saved) == 1


def test_a_thousand_documents_are_listed(documents):
    with documents._exclusive():
        for number in range(1000):
            documents._add(f"{number:032}", f"document {number}", version(1, float(number)), "{}", [], None)
    rows = documents.rows()
    assert [row.name for row in rows[:2]] == ["document 999", "document 998"]
    assert len(rows) == 1000


def test_a_list_of_documents_reads_no_graph(open_folder, folder):
    open_folder().services.graph_documents.save("portrait", graph_of(1))
    with sqlite3.connect(folder / "nbgraph.db") as connection:
        plan = connection.execute(f"EXPLAIN QUERY PLAN {graph_documents_sqlite._ROWS}").fetchall()
    connection.close()
    assert any("graph_document_versions USING COVERING INDEX" in row[-1] for row in plan)


def test_two_kernels_on_one_folder_lose_nothing_of_each_other(open_folder):
    one, two = (open_folder().services.graph_documents for _ in range(2))
    record = one.save("portrait", graph_of(1)).record
    assert two.record("portrait") == record
    first = one.save("portrait", graph_of(2), document_id=record.id, base=1)
    second = two.save("portrait", graph_of(3), document_id=record.id, base=1)
    assert (first.replaced, second.replaced.number, second.replaced.kernel) == (None, 2, one.kernel)
    assert [value_of(one, "portrait", number) for number in (1, 2, 3)] == [1, 2, 3]


def test_documents_are_in_the_folder_of_the_next_kernel_and_in_a_backup(tmp_path):
    with nb.Studio(tmp_path / "studio") as studio:
        studio.services.graph_documents.save("portrait", graph_of(7))
        studio.backup(tmp_path / "copy")
    for folder in ("studio", "copy"):
        with nb.Studio(tmp_path / folder) as studio:
            assert value_of(studio.services.graph_documents, "portrait") == 7


def test_documents_go_through_an_export_with_their_versions_and_those_here_stay(tmp_path):
    with nb.Studio() as studio:
        documents = studio.services.graph_documents
        for value in (1, 2):
            documents.save("portrait", graph_of(value))
        assert studio.export(tmp_path / "all.zip").documents == 1
    with nb.Studio(tmp_path / "other") as studio:
        documents = studio.services.graph_documents
        documents.save("portrait", graph_of(9))
        report = studio.import_runs(tmp_path / "all.zip")
        assert (report.documents, report.skipped) == (1, [])
        assert value_of(documents, "portrait") == 9
        assert [value_of(documents, "portrait 2", number) for number in (1, 2)] == [1, 2]
        assert studio.import_runs(tmp_path / "all.zip").documents == 0


@pytest.mark.parametrize(
    "change",
    [
        {"id": "../x"},
        {"name": "a\nb"},
        {"versions": []},
        {"versions": [{"number": 1, "saved": 0, "nodes": 1, "graph": {}}] * 2},
        {"versions": [{"number": 0, "saved": 0, "nodes": 1, "graph": {}}]},
        {"versions": [{"number": 1, "saved": 0, "nodes": 1, "graph": "x"}]},
    ],
)
def test_a_damaged_document_in_an_archive_is_skipped_and_named(tmp_path, change):

    version = {"number": 1, "saved": 1.0, "nodes": 1, "graph": {"nodes": {}, "edges": []}}
    with new_archive(tmp_path / "bad.zip") as archive:
        content = {"id": "0" * 32, "name": "portrait", "versions": [version], **change}
        archive.write_json("documents/00001.json", content)
        archive.write_json(MANIFEST, {"format": FORMAT})
    with nb.Studio() as studio:
        report = studio.import_runs(tmp_path / "bad.zip")
        assert len(report.skipped) == 1
        assert report.skipped[0].startswith("documents/00001.json")
        assert studio.services.graph_documents.rows() == []


def test_a_version_that_is_damaged_in_the_folder_is_named_and_the_others_open(open_folder, folder):
    documents = open_folder().services.graph_documents
    for value in (1, 2):
        documents.save("portrait", graph_of(value))
    with sqlite3.connect(folder / "nbgraph.db") as connection:
        connection.execute("UPDATE graph_document_versions SET graph = '{' WHERE number = 2")
    connection.close()
    with pytest.raises(DamagedRecordError, match="version 2 of 'portrait' cannot be read; open an older one"):
        documents.data("portrait")
    assert value_of(documents, "portrait", 1) == 1


def version(number: int, saved: float, is_kept: bool = False) -> DocumentVersion:
    return DocumentVersion(number, saved, 1, 1, "", is_kept)


def test_thinned_versions_are_denser_the_younger_they_are():
    left: list[DocumentVersion] = []
    for number in range(1, 2001):  # five weeks of a save in half an hour
        left.append(version(number, number * 1800.0))
        gone = set(versions_to_drop(left))
        left = [each for each in left if each.number not in gone]
    ages = [(left[-1].saved - each.saved) / 3600 for each in left]
    assert len(left) == MAX_VERSIONS
    assert left[0].number == 1
    assert ages[-10:] == [each / 2 for each in range(9, -1, -1)]
    gaps = [before - after for before, after in zip(ages, ages[1:])]
    assert max(gaps[-20:]) < max(gaps[:15])


def test_what_another_kernel_replaced_is_thinned_last():
    found = [version(number, float(number), is_kept=number % 2 == 0) for number in range(1, 61)]
    dropped = versions_to_drop(found)
    assert len(dropped) == 10
    assert all(number % 2 for number in dropped)
    all_kept = [version(number, float(number), is_kept=True) for number in range(1, 61)]
    assert len(versions_to_drop(all_kept)) == 10


def test_a_clock_that_was_set_back_does_not_make_an_older_version_the_newest(documents, monkeypatch):
    monkeypatch.setattr(graph_documents_base, "time", lambda: 2000.0)
    documents.save("portrait", graph_of(1))
    monkeypatch.setattr(graph_documents_base, "time", lambda: 1000.0)
    documents.save("portrait", graph_of(2))
    assert documents.record("portrait").changed == 2000.0
    assert value_of(documents, "portrait") == 2
