"""The contract of the invocation cache, in memory and in a folder."""

import signal
from threading import Event, Thread
from time import sleep

import pytest
from PIL import Image

from nbgraph.errors import NotFoundError
from nbgraph.invocations.fields import ImageField, LatentsField
from nbgraph.invocations.math import Add
from nbgraph.invocations.node_type import hash_of
from nbgraph.invocations.outputs import ImageOutput, IntegerOutput, LatentsOutput
from nbgraph.services.invocation_cache.invocation_cache_base import InvocationCacheBase
from nbgraph.services.invocation_cache.invocation_cache_common import CacheEntry
from nbgraph.services.invocation_services import InvocationServices


@pytest.fixture
def cache(services: InvocationServices) -> InvocationCacheBase:
    return services.invocation_cache


def material(number: int) -> str:
    return f'{{"type": "add", "version": "1.0.0", "code": "x", "inputs": {{"a": {number}, "b": 0}}}}'


def keep(cache: InvocationCacheBase, number: int, node: str = "", sources: tuple[bytes, ...] = ()) -> bytes:
    key = hash_of(material(number))
    found = node or f"add_{number}", Add.type, material(number), b"", sources, 0.5
    cache.save(CacheEntry(key, *found, output=IntegerOutput(value=number)))
    return key


def keep_picture(services: InvocationServices, number: int, names: list[str] | None = None) -> tuple[bytes, str]:
    """An entry that names a picture: (key, name)."""
    name = services.images.save(Image.new("RGB", (8, 8), (number, 0, 0))).image_name
    key = hash_of(f"picture {number}")
    output = ImageOutput(image=ImageField(image_name=name), width=8, height=8)
    services.invocation_cache.save(CacheEntry(key, f"l2i_{number}", "l2i", material(number), output=output))
    return key, name


def test_what_was_saved_is_a_hit_and_all_else_a_miss(cache):
    key = keep(cache, 1)
    entry = cache.get(key)
    assert entry.output == IntegerOutput(value=1)
    assert (entry.node, entry.type, entry.key_source, entry.seconds) == ("add_1", "add", material(1), 0.5)
    assert cache.get(hash_of("another")) is None
    status = cache.status()
    assert (status.size, status.hits, status.misses, status.enabled) == (1, 1, 1, True)


def test_a_result_saved_again_stays_the_first(cache):
    key = keep(cache, 1, "first")
    keep(cache, 1, "second")
    assert [row.node for row in cache.entries()] == ["first"]
    assert cache.get(key).node == "first"


def test_entries_tell_how_often_they_were_used(cache):
    key = keep(cache, 1)
    for _ in range(3):
        cache.get(key)
    assert [(row.hits, row.text) for row in cache.entries()] == [(3, '{"value":1}')]


def test_peeking_counts_nothing(cache):
    key = keep(cache, 1)
    assert cache.peek(key).output.value == 1
    assert cache.peek(hash_of("another")) is None
    assert (cache.status().hits, cache.status().misses) == (0, 0)


def test_the_least_recently_used_entry_goes_first(make_services):
    cache = make_services(cache_entries=3).invocation_cache
    keys = [keep(cache, number) for number in range(3)]
    assert len(cache.entries()) == 3
    cache.get(keys[0])
    keep(cache, 3)
    assert [row.node for row in cache.entries()] == ["add_2", "add_0", "add_3"]
    assert cache.get(keys[1]) is None


def test_bytes_are_limited_too_and_count_the_resources(make_services):
    services = make_services(cache_bytes=1000)
    cache = services.invocation_cache
    for number in range(12):
        keep_picture(services, number)
    status = cache.status()
    assert status.size < 12
    assert status.bytes <= 1000
    assert cache.entries()[-1].node == "l2i_11"
    assert status.bytes == sum(row.bytes for row in cache.entries())


def test_no_entries_allowed_means_off(make_services):
    cache = make_services(cache_entries=0).invocation_cache
    assert cache.get(keep(cache, 1)) is None
    assert (cache.status().enabled, cache.status().misses) == (False, 0)


def test_while_it_is_off_nothing_is_read_or_kept_or_counted(cache):
    key = keep(cache, 1)
    cache.disable()
    assert cache.get(key) is None
    assert cache.peek(key) is None
    keep(cache, 2)
    assert (cache.status().size, cache.status().misses, cache.status().enabled) == (1, 0, False)
    cache.enable()
    with cache.off():
        assert cache.get(key) is None
    assert cache.get(key) is not None


def pend(cache: InvocationCacheBase, number: int) -> bytes:
    """Make a result known as a run does that will settle it later."""
    key = hash_of(material(number))
    cache.pending[key] = CacheEntry(key, f"add_{number}", "add", material(number), output=IntegerOutput(value=number))
    return key


def test_what_is_pending_is_a_hit_and_is_listed(cache):
    keys = [pend(cache, number) for number in range(3)]
    assert [cache.get(key).output.value for key in keys] == [0, 1, 2]
    assert cache.peek(keys[0]).node == "add_0"
    assert (cache.hits, cache.misses) == (3, 0)
    assert [row.node for row in cache.entries()] == ["add_0", "add_1", "add_2"]
    assert cache.status().bytes == sum(len(material(number)) for number in range(3))
    assert cache.pending == {}


def test_what_is_pending_is_forgotten_with_all_else(cache):
    keep(cache, 0)
    first = pend(cache, 1)
    assert cache.forget(node="add_1") == 1
    assert cache.get(first) is None
    second = pend(cache, 2)
    assert cache.clear() == 2
    assert cache.get(second) is None


def test_what_becomes_pending_while_it_is_off_is_not_kept(cache):
    kept = pend(cache, 1)
    with cache.off():
        lost = pend(cache, 2)
        assert cache.get(kept) is None
    assert cache.get(kept) is not None
    assert cache.get(lost) is None


def test_what_is_pending_twice_or_is_kept_already_counts_once(cache):
    keep(cache, 1)
    key = pend(cache, 1)
    cache.write_pending()
    pend(cache, 1)
    assert cache.status().size == 1
    assert cache.status().bytes == len(material(1))
    assert cache.get(key).seconds == 0.5


def test_clearing_while_results_settle_clears_those_too(cache, monkeypatch):
    under_way, put = Event(), cache._put

    def slow_put(entries):
        under_way.set()
        sleep(0.2)
        put(entries)

    monkeypatch.setattr(cache, "_put", slow_put)
    keys = [pend(cache, number) for number in range(3)]
    settling = Thread(target=cache.write_pending)
    settling.start()
    assert under_way.wait(10)
    assert cache.clear() == 3
    settling.join()
    assert [cache.get(key) for key in keys] == [None] * 3


def test_stop_while_results_settle_leaves_them_whole(cache, monkeypatch):
    put = cache._put

    def stopped_put(entries):
        signal.raise_signal(signal.SIGINT)
        put(entries)

    key = pend(cache, 1)
    monkeypatch.setattr(cache, "_put", stopped_put)
    with pytest.raises(KeyboardInterrupt):
        cache.write_pending()
    monkeypatch.undo()
    assert cache.get(key).output.value == 1
    assert cache.status().bytes == len(material(1))


def test_deletions_are_heard_while_it_is_off(services):
    cache = services.invocation_cache
    key, name = keep_picture(services, 1)
    cache.disable()
    services.images.delete(name)
    cache.enable()
    assert cache.get(key) is None
    assert cache.entries() == []


def test_deleting_a_resource_drops_exactly_the_entries_that_name_it(services):
    cache = services.invocation_cache
    kept = [keep_picture(services, number) for number in range(5)]
    name = kept[2][1]
    output = ImageOutput(image=ImageField(image_name=name), width=8, height=8)
    cache.save(CacheEntry(hash_of("again"), "resize", "resize", material(9), output=output))
    text = hash_of("a text")
    words = material(8).replace('"x"', f'"{name}"')
    cache.save(CacheEntry(text, name, "add", words, output=IntegerOutput(value=1)))
    services.images.delete(name)
    assert [row.node for row in cache.entries()] == ["l2i_0", "l2i_1", "l2i_3", "l2i_4", name]
    assert cache.get(text) is not None


def test_clearing_forgets_everything_and_counts_from_zero(cache):
    cache.get(keep(cache, 1))
    keep(cache, 2)
    assert cache.clear() == 2
    status = cache.status()
    assert (status.size, status.bytes, status.hits, status.misses) == (0, 0, 0, 0)


def test_forgetting_takes_along_what_was_computed_from_it(cache):
    root = keep(cache, 1, "noise")
    middle = keep(cache, 2, "denoise[0]", (root,))
    keep(cache, 3, "denoise[1]", (root, hash_of("gone")))
    keep(cache, 4, "image", (middle,))
    keep(cache, 5, "prompt")
    assert cache.forget(node="denoise[0]") == 2
    assert [row.node for row in cache.entries()] == ["noise", "denoise[1]", "prompt"]
    assert cache.forget(key=root) == 2
    assert cache.forget(node="nothing") == 0
    assert cache.forget(type="add") == 1


def test_forgetting_a_node_means_all_its_prepared_nodes(cache):
    keep(cache, 1, "denoise[0]")
    keep(cache, 2, "denoise[1]")
    keep(cache, 3, "denoise_more")
    assert cache.forget(node="denoise") == 2
    assert [row.node for row in cache.entries(node="denoise_more")] == ["denoise_more"]


def test_forgetting_a_resource_takes_along_what_was_computed_from_it(services):
    cache = services.invocation_cache
    key, name = keep_picture(services, 1)
    keep(cache, 7, "size", (key,))
    keep(cache, 8, "other")
    assert cache.forget(resource=name) == 2
    assert [row.node for row in cache.entries()] == ["other"]
    assert services.images.exists(name)


def test_what_names_a_resource_that_is_gone_is_not_kept(services):
    name = services.latents.list().total and "" or "0" * 32
    output = LatentsOutput(latents=LatentsField(latents_name=name), width=8, height=8)
    services.invocation_cache.save(CacheEntry(hash_of("x"), "noise", "noise", material(1), output=output))
    assert services.invocation_cache.status().size == 0
    with pytest.raises(NotFoundError):
        services.latents.get(name)


def test_ticked_entries_are_forgotten_alone_or_with_what_came_of_them(cache):
    first = keep(cache, 1)
    second = keep(cache, 2, sources=(first,))
    keep(cache, 3, sources=(second,))
    other = keep(cache, 4)
    assert cache.forget(keys={other, hash_of("unknown")}, downstream=False) == 1
    assert cache.forget(keys={first}, downstream=False) == 1
    assert [row.node for row in cache.entries()] == ["add_2", "add_3"]
    assert cache.forget(keys=[second]) == 2
    assert cache.entries() == []


def test_a_smaller_limit_drops_the_least_recently_used_at_once(cache):
    keys = [keep(cache, number) for number in range(4)]
    cache.get(keys[0])
    assert cache.limit(max_entries=2) == 2
    assert {row.key for row in cache.entries()} == {keys[0], keys[3]}
    assert cache.limit(max_bytes=0) == 2
    assert cache.status().max_entries == 2
    with pytest.raises(ValueError, match="max_bytes is -1"):
        cache.limit(max_bytes=-1)
