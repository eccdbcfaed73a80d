"""The files of pictures and tensors: damaged, missing, linked, without a record; and who may make paths to them."""

import re
from pathlib import Path

import pytest
import torch
from PIL import Image

from nbgraph.errors import ResourceFileCorruptError, ResourceFileMissingError, StoreError

PICTURE = Image.linear_gradient("L")


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


def test_only_one_module_makes_paths():
    services = Path(__file__).parents[2] / "nbgraph" / "services"
    opens = re.compile(r"(?<![.\w])open\(|os\.open\(|\bPath\(|os\.path|write_bytes|write_text|mkdir|shutil|tempfile")
    found = {}
    for path in services.rglob("*.py"):
        lines = [line for line in path.read_text().splitlines() if opens.search(line) and "def open(" not in line]
        if lines and path.name != "store_folder.py":
            found[path.name] = lines
    known = {
        "locks.py",  # opens the files of locks and counters that it is given
        "archive_file.py",  # makes and reads the one zip that a person names
        "studio_archive.py",  # gives that file its members
        "sqlite_database.py",  # copies the folder to where a person says
        "migrations.py",  # copies the database itself, before it changes it
        "invocation_stats_base.py",  # writes where a person says
        "probe.py",  # reads /proc
        "code_packages.py",  # asks where the files of modules are, and opens none
        "own_frames.py",  # shortens the names of files of code, and opens none
        "model_manager_base.py",  # lists the model folders
        "model_manager_default.py",
        "cluster_host.py",  # asks whether it sees the lock of the head, and names models
        "cluster_session.py",  # asks whether the files of models are there
        "cluster_connection.py",  # asks whether there is a GPU
    }
    assert found.keys() <= known, {name: found[name] for name in found.keys() - known}
