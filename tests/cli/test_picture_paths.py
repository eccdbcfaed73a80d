"""Pictures in a terminal are told by the paths of their files."""

from pathlib import Path

from PIL import Image

from nbgraph import Studio
from nbgraph.cli.commands import new_session


def path_in(text: str) -> Path:
    """The path in a line such as `1 image: image=/a/b.png, width=8, height=6`."""
    return Path(text.partition("image=")[2].partition(", ")[0])


def test_a_studio_in_a_folder_tells_the_files_it_has_itself(tmp_path):
    with Studio(tmp_path / "studio") as studio:
        name = studio.images.add(Image.new("RGB", (8, 6), "teal")).image_name
        session = new_session(studio, progress=False)
        session.perform(f"image --image {name}")
        (reply,) = session.perform("show")
        path = path_in(reply.text)
        assert path == studio.services.images.path(name)
        assert path.is_relative_to(tmp_path / "studio")
        assert Image.open(path).size == (8, 6)


def test_a_studio_in_memory_tells_a_copy(shell, studio):
    name = studio.images.add(Image.new("RGB", (8, 6), "teal")).image_name
    shell.perform(f"image --image {name}")
    (reply,) = shell.perform("show")
    assert Image.open(path_in(reply.text)).size == (8, 6)
