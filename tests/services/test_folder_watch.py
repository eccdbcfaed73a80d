"""Displays of one kernel hear of what another kernel writes into the folder."""

import gc
import threading
import weakref
from threading import Event

import pytest
from PIL import Image

import nbgraph as nb
from nbgraph.invocations import Add
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.widgets.cache_table import CacheTable
from nbgraph.widgets.gallery import Gallery
from nbgraph.widgets.queue_table import QueueTable

SECONDS = 30
"""Until a test gives up; a change is heard within about a second."""


def watchers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "folder watch"]


def open_page(widget):
    """Do what a page does first, so that the widget sends changes; return an event that is set at the next one."""
    widget._has_pages = True
    heard = Event()
    widget.on_change = heard.set
    return heard


def test_a_gallery_hears_of_a_picture_that_another_kernel_saved(tmp_path):
    mine, other = InvocationServices.sqlite(tmp_path), InvocationServices.sqlite(tmp_path)
    gallery = Gallery(mine)
    heard = open_page(gallery)
    other.images.save(Image.new("RGB", (4, 4)))
    assert heard.wait(SECONDS)
    assert mine.images.list().total == 1
    gallery.close()
    mine.close()
    other.close()


@pytest.mark.parametrize("panel", [QueueTable, CacheTable])
def test_queue_and_cache_hear_of_a_run_in_another_kernel(panel, tmp_path):
    with nb.Studio(tmp_path) as mine, nb.Studio(tmp_path) as other:
        widget = panel(mine.services)
        heard = open_page(widget)
        other.run(Add(a=1, b=2), progress=False)
        assert heard.wait(SECONDS)
        assert mine.queue.frame.status.tolist() == ["completed"]
        widget.close()


def test_what_this_kernel_writes_is_not_heard_as_of_another(tmp_path):
    services = InvocationServices.sqlite(tmp_path)
    heard = Event()
    end = services.database.others.add(heard.set)
    services.images.save(Image.new("RGB", (4, 4)))
    assert services.database.others.look()
    assert not heard.is_set()
    end()
    services.close()


def test_one_thread_watches_for_all_displays_and_ends_with_the_last(tmp_path):
    services = InvocationServices.sqlite(tmp_path)
    before = len(watchers())
    ends = [services.database.others.add(lambda: None) for _ in range(3)]
    (thread,) = watchers()[before:]
    for end in ends:
        assert thread.is_alive()
        end()
    thread.join(SECONDS)
    assert not thread.is_alive()
    again = services.database.others.add(lambda: None)
    assert len(watchers()) == before + 1
    again()
    services.close()


def test_a_closed_folder_ends_the_watch(tmp_path):
    services = InvocationServices.sqlite(tmp_path)
    services.database.others.add(lambda: None)
    thread = watchers()[-1]
    services.close()
    thread.join(SECONDS)
    assert not thread.is_alive()


def test_a_watched_studio_that_nobody_holds_is_collected(tmp_path):
    services = InvocationServices.sqlite(tmp_path)
    database = weakref.ref(services.database)
    services.database.others.add(lambda: None)
    thread = watchers()[-1]
    del services
    gc.collect()
    assert database() is None
    thread.join(SECONDS)
    assert not thread.is_alive()
