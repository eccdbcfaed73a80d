"""Disks and databases without room: a typed error that says what to do, and nothing lost."""

import resource

import pytest
from PIL import Image

from nbgraph.errors import StoreFullError

PICTURE = Image.linear_gradient("L")


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
