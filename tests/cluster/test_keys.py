"""Workers learn the keys of the head's cache: the new ones only, and all of them where they missed some."""

import random
from pathlib import Path
from typing import cast

import pytest

from nbgraph import Graph, GraphExecutionState
from nbgraph.invocations.outputs import IntegerOutput
from nbgraph.services.images.images_common import ImageQuery
from nbgraph.services.invocation_cache.invocation_cache_base import InvocationCacheBase
from nbgraph.services.invocation_cache.invocation_cache_common import CacheEntry, StoredKeys
from nbgraph.services.invocation_cache.portable_entries import EntryAnswer
from nbgraph.services.invocation_processor.cluster_keys import KeySeries, KnownKeys, LearntKeys
from nbgraph.services.invocation_processor.cluster_results import answer_of
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.invoker import Invoker
from tests.cluster.cluster_nodes import pattern


def test_a_worker_gets_the_keys_that_were_added_since_its_last_session():
    series = KeySeries()
    series.take(StoredKeys((2, 0), [b"a", b"b"], are_all=True))
    assert series.next("one") == KnownKeys(0, 0, [b"a", b"b"])
    series.take(StoredKeys((3, 0), [b"c"], are_all=False))
    assert series.next("one") == KnownKeys(0, 2, [b"c"])
    assert series.next("two") == KnownKeys(0, 0, [b"a", b"b", b"c"])
    assert series.next("") == KnownKeys(0, 0, [b"a", b"b", b"c"])


def test_after_a_key_was_dropped_all_are_sent():
    series = KeySeries()
    series.take(StoredKeys((2, 0), [b"a", b"b"], are_all=True))
    series.next("one")
    series.take(StoredKeys((3, 1), [b"b", b"c"], are_all=True))
    assert series.next("one") == KnownKeys(1, 0, [b"b", b"c"])
    series.take(StoredKeys((3, 3), [], are_all=True))
    assert series.next("one") == KnownKeys(2, 0, [])


@pytest.fixture(params=["memory", "folder"])
def services(request: pytest.FixtureRequest, tmp_path: Path):
    in_memory = request.param == "memory"
    services = InvocationServices.memory() if in_memory else InvocationServices.sqlite(tmp_path / "studio")
    yield services
    services.close()


@pytest.fixture
def cache(services: InvocationServices) -> InvocationCacheBase:
    return services.invocation_cache


def store(cache: InvocationCacheBase, number: int) -> bytes:
    key = number.to_bytes(16)
    cache.save(CacheEntry(key, f"node{number}", "add", "{}", output=IntegerOutput(value=number)))
    cache.flush()
    return key


def test_a_cache_gives_the_keys_that_came_since_and_all_after_one_was_dropped(cache: InvocationCacheBase):
    first = [store(cache, number) for number in range(3)]
    mark, keys, are_all = cache.keys_after(None)
    assert (keys, are_all) == (first, True)
    assert cache.keys_after(mark) == StoredKeys(mark, [], False)
    later = [store(cache, number) for number in range(3, 5)]
    mark, keys, are_all = cache.keys_after(mark)
    assert (keys, are_all) == (later, False)
    cache.forget(node="node1")
    replacing = store(cache, 9)  # as many entries as before
    assert cache.keys_after(mark)[1:] == ([first[0], first[2], *later, replacing], True)


def test_a_cache_without_entries_says_so_each_time(cache: InvocationCacheBase):
    mark, keys, are_all = cache.keys_after(None)
    assert (keys, are_all) == ([], True)
    assert cache.keys_after(mark)[1:] == ([], False)
    store(cache, 1)
    cache.clear()
    assert cache.keys_after(mark)[1] == []


def test_a_worker_knows_what_the_head_has_whatever_happened(cache: InvocationCacheBase):
    rng = random.Random(7)
    series, stored = KeySeries(), list[bytes]()
    workers = {name: (LearntKeys(), list[bytes]()) for name in ("one", "two")}
    for number in range(200):
        if stored and rng.random() < 0.2:
            cache.forget(node=f"node{int.from_bytes(stored.pop(rng.randrange(len(stored))))}")
        else:
            stored.append(store(cache, number))
        name = rng.choice(["one", "two"])
        series.take(cache.keys_after(series.mark))
        known = series.next(name)
        # some tasks are run by another worker than the one that they were meant for
        name = name if rng.random() < 0.8 else "two"
        learnt, there = workers[name]
        if not learnt.fits(known):
            series.forget(name)
            known = series.next(name)
        added, base = learnt.learn(known)
        there[:] = [*there[:base], *added]
        assert there == stored


def test_a_cached_result_whose_image_was_deleted_is_not_sent_to_a_worker(services: InvocationServices):
    sent: list[list[str]] = []

    def ask(*_: object) -> None:
        rows = cast(
            "list[EntryAnswer]", answer_of(services, "entries", [services.invocation_cache.keys_after(None).keys])
        )
        sent.append([str(record["image_name"]) for row in rows for _, record in row["records"]])

    services.images.on_deleted(ask)  # it is called before the cache, which has the entry still
    with Invoker(services) as invoker:
        invoker.invoke(GraphExecutionState(Graph.of(pattern(id="pattern")))).wait(60)
        (name,) = [record.image_name for record in services.images.records(ImageQuery())]
        ask()
        services.images.delete(name)
        ask()
    assert sent == [[name], [], []]
