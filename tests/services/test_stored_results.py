"""Results in a folder: what is in the rows is not trusted, and what other kernels do is seen at once."""

import subprocess
import sys

import pytest

from nbgraph import Studio
from nbgraph.invocations import Add, Collect, Iterate
from nbgraph.invocations.node_type import hash_of
from nbgraph.invocations.outputs import IntegerOutput
from nbgraph.services.invocation_cache import local_index
from nbgraph.services.invocation_cache.invocation_cache_base import InvocationCacheBase
from nbgraph.services.invocation_cache.invocation_cache_common import CacheEntry
from nbgraph.services.shared.sqlite.locks import SharedCounter
from nbgraph.services.shared.sqlite.write_ahead_log import WriteAheadLog


def keep(cache: InvocationCacheBase, number: int) -> bytes:
    """Save and write a result, as the end of a session does."""
    key = hash_of(str(number))
    cache.save(CacheEntry(key, f"add_{number}", "add", '{"inputs": {}}', output=IntegerOutput(value=number)))
    cache.flush()
    return key


@pytest.fixture
def two_caches(open_folder):
    return open_folder().services.invocation_cache, open_folder().services.invocation_cache


@pytest.fixture(params=["known", "not known", "too many to be known"], autouse=True)
def knowledge(request, monkeypatch):
    """Kernels that share counters, kernels that cannot, and a cache with too many results: nothing may differ."""
    if request.param == "not known":
        monkeypatch.setattr(WriteAheadLog, "_turn_on", lambda self, database: "not wanted here")
        monkeypatch.setattr("warnings.warn", lambda *given, **options: None)
    elif request.param == "too many to be known":
        monkeypatch.setattr(local_index, "MOST_KEYS", 0)
        monkeypatch.setattr(local_index, "MOST_ENTRIES", 1)


def test_what_another_kernel_adds_is_a_hit_at_once(two_caches):
    one, other = two_caches
    for number in range(5):
        assert other.get(hash_of(str(number))) is None
        keep(one, number)
        assert other.get(hash_of(str(number))).output.value == number
    assert len(other.entries()) == 5


def test_what_another_kernel_forgets_is_a_miss_at_once(two_caches):
    one, other = two_caches
    keys = [keep(one, number) for number in range(4)]
    for cache in two_caches:
        assert all(cache.get(key) for key in keys)
    assert other.forget(key=keys[0]) == 1
    assert [one.get(key) is None for key in keys] == [True, False, False, False]
    assert one.forget(node="add_1") == 1
    assert [other.get(key) is None for key in keys] == [True, True, False, False]
    assert other.clear() == 2
    assert not any(one.get(key) for key in keys)
    keep(other, 0)
    assert one.get(keys[0]).output.value == 0


def test_forgetting_by_turns_leaves_what_the_others_forgot_forgotten(two_caches):
    one, other = two_caches
    keys = [keep(one, number) for number in range(6)]
    assert all(cache.get(key) for key in keys for cache in two_caches)
    for number, key in enumerate(keys):
        two_caches[number % 2].forget(key=key)
        assert [cache.get(key) for cache in two_caches] == [None, None]
        assert all(cache.get(left) for left in keys[number + 1 :] for cache in two_caches)


def test_uses_are_noted_when_entries_are_listed_and_when_the_kernel_ends(open_folder):
    first, other = open_folder(), open_folder()
    one, two = first.services.invocation_cache, other.services.invocation_cache
    key = keep(one, 1)
    for cache, times in ((one, 3), (two, 2)):
        for _ in range(times):
            cache.get(key)
    assert [row.hits for row in one.entries()] == [3]
    other.stop()
    assert [row.hits for row in one.entries()] == [5]


def test_what_was_used_last_by_any_kernel_is_evicted_last(open_folder):
    cache = open_folder(cache_entries=3).services.invocation_cache
    other = open_folder(cache_entries=3).services.invocation_cache
    keys = [keep(cache, number) for number in range(3)]
    assert other.get(keys[0]) is not None
    assert len(other.entries()) == 3
    assert cache.get(keys[1]) is not None
    keep(cache, 3)
    assert [row.node for row in cache.entries()] == ["add_0", "add_1", "add_3"]
    assert [cache.get(key) is None for key in keys] == [False, False, True]


OTHER_KERNEL = """
import sys
from nbgraph import Studio
from nbgraph.invocations import Add
with Studio(sys.argv[1]) as studio:
    print(studio.run(Add(id="sum", a=40, b=2), progress=False).stats.cached.tolist(), flush=True)
    sys.stdin.readline()
    print(studio.cache.forget("sum"), flush=True)
    sys.stdin.readline()
"""


def test_kernels_in_other_processes_are_seen_too(folder):
    def is_cached() -> bool:
        return studio.run(Add(id="sum", a=40, b=2), progress=False).stats.cached.tolist() == [True]

    with Studio(folder) as studio:
        assert (is_cached(), is_cached()) == (False, True)
        command, pipe = [sys.executable, "-c", OTHER_KERNEL, str(folder)], subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as other:
            assert other.stdout.readline() == "[True]\n"
            assert is_cached()
            other.stdin.write("\n")
            other.stdin.flush()
            assert other.stdout.readline() == "1\n"
            assert (is_cached(), is_cached()) == (False, True)
            other.communicate("\n", timeout=60)
        assert other.returncode == 0


def test_a_counter_that_is_closed_keeps_its_number(tmp_path):
    one, other = SharedCounter(tmp_path / "a.count"), SharedCounter(tmp_path / "a.count")
    assert (one.count_up(), other.count_up(), one.value) == (1, 2, 2)
    one.close()
    other.count_up()
    assert (one.value, other.value, SharedCounter(tmp_path / "a.count").value) == (2, 3, 3)


def test_a_poisoned_row_is_a_miss_and_goes(open_folder):
    services = open_folder().services
    database = services.database
    for number, (type_name, output) in enumerate(
        [("add", "not json"), ("add", '{"value": {}}'), ("os.system", "{}"), ("l2i", '{"image":{"image_name":"../x"}}')]
    ):
        with database.transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO cache_heads VALUES (1, '')")
            connection.execute(
                "INSERT INTO cache_entries (key, type, node, output, head, inputs, resources, named, sources,"
                " bytes, seconds, created, hits, used)"
                " VALUES (?, ?, 'n', ?, 1, '{}', '[]', 0, x'', 1, 1, 1, 0, 1)",
                (bytes([number] * 16), type_name, output),
            )
    for number in range(4):
        assert services.invocation_cache.get(bytes([number] * 16)) is None
    assert services.invocation_cache.status().size == 0


def test_many_results_are_found_in_the_next_kernel(folder):
    item = Iterate(id="each", collection=list(range(3000)))
    sums = Collect(id="all", item=Add(id="sum", a=item.output("item"), b=1))
    with Studio(folder) as studio:
        studio.run(sums, progress=False)
    with Studio(folder) as studio:
        run = studio.run(sums, progress=False)
        assert run.stats.query("type == 'add'").cached.all()
        assert run["all"].collection == list(range(1, 3001))
        assert len(studio.cache) == 3000
