"""Runs go out of a studio as one zip and come into another; a zip that is not in order brings nothing in."""

import json
import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_LZMA, ZipFile

import pytest
from PIL import Image

import nbgraph as nb
from nbgraph.errors import ArchiveError, NotFoundError, StoreError
from nbgraph.invocations import Add, ImageToLatents, Integer, ModelLoader
from nbgraph.services import archive_file
from tests.fixtures.make_folder import fill, product, sums

Change = Callable[[dict[str, bytes]], None]


@pytest.fixture(params=["memory", "folder"])
def other(request: pytest.FixtureRequest, tmp_path: Path):
    """Another studio, empty, of each kind."""
    with nb.Studio(tmp_path / "other" if request.param == "folder" else None) as other:
        yield other


@pytest.fixture
def full(tmp_path: Path):
    """A studio with pictures and runs that ended in every way."""
    with nb.Studio(tmp_path / "full") as studio:
        fill(studio)
    with nb.Studio(tmp_path / "full") as studio:
        yield studio


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A zip of one run that made three pictures."""
    with nb.Studio() as studio:
        studio.run(product(), progress=False)
        studio.export(tmp_path / "runs.zip")
    return tmp_path / "runs.zip"


def repacked(archive: Path, change: Change, method: int = ZIP_DEFLATED) -> Path:
    """The archive with other members."""
    with ZipFile(archive) as opened:
        members = {name: opened.read(name) for name in opened.namelist()}
    change(members)
    path = archive.with_name("changed.zip")
    with ZipFile(path, "w", method) as made:
        for name, data in members.items():
            made.writestr(name, data)
    return path


def edited(member: str, edit: Callable[[Any], None]) -> Change:
    """A change of the JSON in a member."""

    def change(members: dict[str, bytes]) -> None:
        value = json.loads(members[member])
        edit(value)
        members[member] = json.dumps(value).encode()

    return change


def is_empty(studio: nb.Studio) -> bool:
    return len(studio.images) == 0 and studio.queue.frame.empty and studio.stats.empty


def test_a_whole_studio_is_brought_into_another_with_nothing_changed(full, other, tmp_path):
    full.images.star(full.images.frame.image_name[0])
    report = full.export(tmp_path / "all.zip")
    assert (report.runs, report.images, report.skipped) == (5, 3, [])
    brought = other.import_runs(tmp_path / "all.zip")
    assert (brought.runs, brought.images, brought.skipped) == (5, 3, [])
    columns = ["image_name", "node", "starred", "created", "bytes"]
    assert other.images.frame[columns].equals(full.images.frame[columns])
    for name in full.images.frame.image_name:
        assert other.images.get(name).tobytes() == full.images.get(name).tobytes()
    assert sorted(other.queue.frame.status) == sorted(full.queue.frame.status)
    assert other.stats.drop(columns="started").equals(full.stats.drop(columns="started"))
    names = [graph.name for graph in full.services.graph_library.list(per_page=99).items]
    assert "sum of two" in names
    assert {graph.name for graph in other.services.graph_library.list(per_page=99).items} >= set(names)


def test_a_run_that_was_interrupted_goes_on_in_the_other_studio(full, other, tmp_path):
    queue = full.queue.frame
    left = queue.session[queue.status == "interrupted"].tolist()
    full.export(tmp_path / "left.zip", left)
    assert other.import_runs(tmp_path / "left.zip").runs == 1
    assert other.resume(left[0]).wait()["all"].collection == [1, 2, 3, 4, 5]


def test_chosen_runs_take_only_what_they_name(studio, other, tmp_path):
    first, second = studio.run(product(), progress=False), studio.run(sums(3), progress=False)
    assert studio.export(tmp_path / "one.zip", second).images == 0
    report = studio.export(tmp_path / "two.zip", [first.id, second])
    assert (report.runs, report.images) == (2, 3)
    other.import_runs(tmp_path / "two.zip")
    assert sorted(other.queue.frame.session) == sorted([first.id, second.id])
    with pytest.raises(NotFoundError, match="no run 'nothing'; studio.queue.frame lists them"):
        studio.export(tmp_path / "three.zip", "nothing")
    assert not (tmp_path / "three.zip").exists()


def test_bringing_in_twice_changes_nothing(archive, other):
    first = other.import_runs(archive)
    assert (first.runs, first.images) == (1, 3)
    again = other.import_runs(archive)
    assert (again.runs, again.images, len(other.images), len(other.queue.frame)) == (0, 0, 3, 1)
    assert again.known >= 4


def test_pictures_that_were_brought_in_by_hand_and_are_inputs_come_along(studio, other, tmp_path):
    given = studio.images.add(Image.linear_gradient("L").convert("RGB").resize((64, 64)))
    run = studio.run(ImageToLatents(id="latents", image=given, vae=ModelLoader(model="emoji")), progress=False)
    report = studio.export(tmp_path / "run.zip", run)
    assert (report.images, report.tensors) == (1, 0)
    assert len(report.models) == 1
    assert "named, not copied" in str(report)
    other.import_runs(tmp_path / "run.zip")
    assert other.images.frame.image_name.tolist() == [given.image_name]


def test_tensors_of_runs_that_did_not_complete_come_along(studio, other, tmp_path):
    given = studio.images.add(Image.new("RGB", (64, 64)))
    latents = ImageToLatents(id="latents", image=given, vae=ModelLoader(model="emoji"))
    fails = nb.Graph.of(latents, Integer(id="late", value=1))
    run = studio.run(fails, progress=False)
    studio.services.queue.finish(run.id, "cancelled")
    assert studio.export(tmp_path / "run.zip", run).tensors == 1
    other.import_runs(tmp_path / "run.zip")
    name = other.services.graph_execution_manager.get(run.id).outputs_of("latents")[()].latents.latents_name
    assert other.services.latents.get(name)[0].keys() == studio.services.latents.get(name)[0].keys()


def test_what_cannot_be_saved_is_skipped_and_named(studio, tmp_path):
    run = studio.run(Add(id="odd", a=1), progress=False)
    good = studio.run(Add(id="sum"), progress=False)
    session = studio.services.graph_execution_manager.get(run.id)
    object.__setattr__(session.outputs_of("odd")[()], "value", object())
    report = studio.export(tmp_path / "runs.zip")
    assert report.runs == 1
    assert run.id in report.skipped[0]
    assert good.id not in str(report)


def test_a_file_that_is_there_is_not_replaced(studio, tmp_path):
    path = tmp_path / "kept.zip"
    path.write_text("mine")
    with pytest.raises(ArchiveError, match="exists already; give another name"):
        studio.export(path)
    assert path.read_text() == "mine"
    assert [each.name for each in tmp_path.iterdir()] == ["kept.zip"]


@pytest.mark.parametrize(
    "name",
    ["../evil.json", "/etc/evil", "images/../../evil.png", "runs/00001.json/x", "images/x.png", "C:\\evil", "code.pkl"]
    + ["images/" + "A" * 32 + ".png", "tensors/" + "a" * 32 + ".pt", "runs/00002.json\n", "runs/٠٠٠٠٢.json"],
)
def test_members_with_other_names_are_refused(archive, other, name):
    path = repacked(archive, lambda members: members.update({name: b"{}"}))
    with pytest.raises(ArchiveError, match="no archive of nbgraph has; nothing was imported"):
        other.import_runs(path)
    assert is_empty(other)


def test_members_that_are_there_twice_or_packed_otherwise_are_refused(archive, studio):
    with pytest.warns(UserWarning, match="Duplicate name"), ZipFile(archive, "a") as opened:
        opened.writestr("manifest.json", "{}")
    with pytest.raises(ArchiveError, match=r"'manifest\.json' twice"):
        studio.import_runs(archive)


def test_members_packed_in_ways_that_are_not_written_are_refused(archive, studio):
    with pytest.raises(ArchiveError, match="encrypted or compressed in an unknown way"):
        studio.import_runs(repacked(archive, lambda _: None, ZIP_LZMA))


def test_members_larger_than_their_limit_are_refused_before_they_are_read(archive, studio, monkeypatch):
    monkeypatch.setattr(archive_file, "MAX_BYTES", {**archive_file.MAX_BYTES, "runs": 5000})
    bomb = repacked(archive, lambda members: members.update({"runs/00002.json": bytes(10_000)}))
    with pytest.raises(ArchiveError, match=r"'runs/00002\.json' of .* has 10,000 bytes; at most 5,000"):
        studio.import_runs(bomb)
    monkeypatch.setattr(archive_file, "MAX_MEMBERS", 3)
    with pytest.raises(ArchiveError, match="members; an archive has at most 3"):
        studio.import_runs(archive)


def test_a_member_that_says_it_is_smaller_than_it_is_is_damaged(archive, studio):
    data = bytearray(
        repacked(archive, lambda members: members.update({"runs/00009.json": b"7" * 100_000})).read_bytes()
    )
    size = (100_000).to_bytes(4, "little")
    assert data.count(size) == 2
    archive.write_bytes(bytes(data).replace(size, (10).to_bytes(4, "little")))
    with pytest.raises(ArchiveError, match=r"damaged at runs/00009\.json"):
        studio.import_runs(archive)


@pytest.mark.parametrize("place", [0.02, 0.3, 0.5, 0.7])
def test_a_damaged_file_brings_nothing_in(archive, other, place):
    data = bytearray(archive.read_bytes())
    for number in range(20):
        data[int(len(data) * place) + number] ^= 0x55
    archive.write_bytes(bytes(data))
    with pytest.raises(ArchiveError):
        other.import_runs(archive)
    assert is_empty(other)


@pytest.mark.parametrize("length", [0, 10, 500, -30])
def test_a_truncated_file_is_refused(archive, studio, length):
    archive.write_bytes(archive.read_bytes()[:length])
    with pytest.raises(ArchiveError, match="not a readable zip file"):
        studio.import_runs(archive)


def test_a_missing_file_and_a_zip_of_something_else_are_refused(studio, tmp_path):
    with pytest.raises(ArchiveError, match="there is no file"):
        studio.import_runs(tmp_path / "none.zip")
    with ZipFile(tmp_path / "other.zip", "w") as other:
        other.writestr("manifest.json", "[]")
    with pytest.raises(ArchiveError, match="names no format"):
        studio.import_runs(tmp_path / "other.zip")


def test_an_archive_of_a_newer_nbgraph_is_refused(archive, studio):
    newer = edited("manifest.json", lambda manifest: manifest.update(format=archive_file.FORMAT + 1))
    with pytest.raises(ArchiveError, match="written by a newer nbgraph"):
        studio.import_runs(repacked(archive, newer))


def name_of_picture(members: dict[str, bytes]) -> str:
    return next(name for name in members if name.startswith("images/"))


def another_picture(members: dict[str, bytes]) -> None:
    file = BytesIO()
    Image.new("RGB", (16, 16), "green").save(file, "PNG")
    members[name_of_picture(members)] = file.getvalue()


def a_large_picture(members: dict[str, bytes]) -> None:
    file = BytesIO()
    Image.new("1", (5_000, 5_000)).save(file, "PNG")
    members[name_of_picture(members)] = file.getvalue()


@pytest.mark.parametrize(
    "change",
    [
        another_picture,
        a_large_picture,
        lambda members: members.update({name_of_picture(members): b"\x89PNG"}),
        lambda members: members.pop(name_of_picture(members)),
        edited("manifest.json", lambda manifest: manifest["images"][0].update(image_name="../../evil")),
        edited("manifest.json", lambda manifest: manifest["images"][0].update(width="wide")),
        edited("manifest.json", lambda manifest: manifest.update(images=3)),
    ],
)
def test_pictures_that_are_not_what_the_manifest_says_are_refused(archive, studio, change):
    with pytest.raises(nb.NbgraphError):
        studio.import_runs(repacked(archive, change))
    assert studio.queue.frame.empty


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda run: run["queue"].update(status="pending"), "not one run that has ended"),
        (lambda run: run["session"].update(id="other"), "not one run that has ended"),
        (lambda run: run["session"]["graph"]["nodes"]["red"].update(type="not_here"), "no node of type 'not_here'"),
        (lambda run: run.pop("stats"), "stats"),
        (lambda run: run["stats"][0].append(1), "node_stats|NodeStats|validation"),
    ],
)
def test_a_run_that_cannot_be_read_here_is_skipped_and_named(archive, studio, edit, reason):
    report = studio.import_runs(repacked(archive, edited("runs/00001.json", edit)))
    assert (report.runs, studio.queue.frame.empty, studio.stats.empty) == (0, True, True)
    assert report.skipped[0].startswith("runs/00001.json: ")
    assert re.search(reason, report.skipped[0])


def test_a_backup_is_a_folder_that_opens_as_a_studio(full, tmp_path):
    copy = full.backup(tmp_path / "copy")
    full.images.delete(*full.images.frame.image_name)
    with nb.Studio(copy) as studio:
        assert len(studio.images) == 3
        assert studio.images.get(studio.images.frame.image_name[0]).size == (16, 16)
        assert len(studio.stats) == 15
        report = studio.clean()
        assert (report.missing, report.damaged, report.orphans) == ([], [], 0)
        assert studio.run(product(), progress=False).stats.cached.all()


def test_a_backup_goes_into_a_new_folder_only(full, studio, tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    with pytest.raises(StoreError, match="is not empty; name a new folder"):
        full.backup(tmp_path / "kept")
    with pytest.raises(StoreError, match=r"in memory has no folder to copy; studio\.export"):
        studio.backup(tmp_path / "new")
    assert not (tmp_path / "new").exists()
