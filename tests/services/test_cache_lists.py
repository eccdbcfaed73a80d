"""Lists of cached results: pages, orders, searches, what a choice would drop; the same in memory and in a folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image

from nbgraph.invocations import Add
from nbgraph.invocations.fields import ImageField
from nbgraph.invocations.outputs import ImageOutput, IntegerOutput
from nbgraph.services.invocation_cache.entry_lists import MOST_TEXT, EntryChoice, EntryQuery, select_rows
from nbgraph.services.invocation_cache.invocation_cache_base import InvocationCacheBase
from nbgraph.services.invocation_cache.invocation_cache_common import CacheEntry, with_descendants
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.invoker import Invoker
from nbgraph.services.shared.sqlite.sqlite_database import SqliteDatabase
from nbgraph.studio import Studio

SORTS = ("node", "type", "created", "hits", "bytes", "seconds", "resources")
HEADS = ('{"type": "add", "names": ["a"], "inputs": ', '{"type": "mul", "names": ["b"], "inputs": ')


def key_of(number: int) -> bytes:
    return number.to_bytes(16, "big")


def entry(number: int, *, node: str = "", type: str = "add", text: str = "", sources=(), seconds: float = 0.0):
    """Make a result that came of others, by their numbers."""
    inputs = f'[{number}, "{text}"]}}'.encode()
    made_from = tuple(map(key_of, sources))
    found = node or f"node_{number}", type, HEADS[type == "mul"], inputs, made_from, seconds
    return CacheEntry(key_of(number), *found, output=IntegerOutput(value=number))


def numbers(rows) -> list[int]:
    return [int.from_bytes(row if isinstance(row, bytes) else row.key, "big") for row in rows]


@pytest.fixture
def cache(services: InvocationServices) -> InvocationCacheBase:
    return services.invocation_cache


@pytest.fixture
def filled(cache: InvocationCacheBase) -> InvocationCacheBase:
    """Five results: 1 -> 2 -> 3, and 4 and 5, of two types and with some inputs."""
    cache.save(entry(1, node="noise", seconds=0.5))
    cache.save(entry(2, node="denoise[0]", type="mul", text="A Red Äpple 100%", sources=[1], seconds=0.5))
    cache.save(entry(3, node="denoise[1]", type="mul", text="under_score", sources=[2], seconds=0.25))
    cache.save(entry(4, node="denoised", text='quote"d', seconds=2.0))
    cache.save(entry(5, node="other", text="a red apple", sources=[1, 4], seconds=1.0))
    for _ in range(2):
        cache.get(key_of(4))
    cache.get(key_of(5))
    return cache


@pytest.mark.parametrize(
    ("sort", "ascending"),
    [
        ("created", [1, 2, 3, 4, 5]),
        ("node", [2, 3, 4, 1, 5]),
        ("type", [1, 4, 5, 2, 3]),
        ("hits", [1, 2, 3, 5, 4]),
        ("seconds", [3, 1, 2, 5, 4]),
        ("resources", [1, 2, 3, 4, 5]),
    ],
)
def test_pages_are_in_the_order_that_is_asked_for(filled, sort, ascending):
    assert numbers(filled.page(EntryQuery(sort=sort, descending=False)).items) == ascending
    assert numbers(filled.page(EntryQuery(sort=sort)).items) == ascending[::-1]


def test_a_page_holds_its_part_and_knows_how_many_there_are(filled):
    page = filled.page(EntryQuery(descending=False), page=1, per_page=2)
    assert (numbers(page.items), page.page, page.pages, page.total) == ([3, 4], 1, 3, 5)


def test_behind_the_last_page_is_the_last_one_and_of_nothing_an_empty_first_one(filled):
    page = filled.page(EntryQuery(descending=False), page=7, per_page=2)
    assert (numbers(page.items), page.page) == ([5], 2)
    nothing = filled.page(EntryQuery(type="none"), page=7)
    assert (list(nothing.items), nothing.page, nothing.pages, nothing.total) == ([], 0, 0, 0)


def test_rows_of_a_page_count_their_uses(filled):
    assert [row.hits for row in filled.page(EntryQuery(descending=False)).items] == [0, 0, 0, 2, 1]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("red", [2, 5]),
        ("RED ÄPPLE", [2]),
        ("äp", [2]),
        ("100%", [2]),
        ("0%0", []),
        ("under_score", [3]),
        ("under.score", []),
        ("denoise", [2, 3, 4]),
        ("mul", [2, 3]),
        ('"names": ["a"]', [1, 4, 5]),
        ("e[1]", [3]),
        (key_of(4).hex(), [4]),
        ("\\", []),
        ("'; DROP TABLE cache_entries; --", []),
        ("ſ", []),
    ],
)
def test_a_text_is_found_in_nodes_types_inputs_and_keys_as_it_is(filled, text, found):
    page = filled.page(EntryQuery(text, descending=False))
    assert (numbers(page.items), page.total) == (found, len(found))


def test_a_search_within_a_type_and_in_another_order(filled):
    assert numbers(filled.page(EntryQuery("red", "mul")).items) == [2]
    assert numbers(filled.page(EntryQuery("denoise", sort="seconds")).items) == [4, 2, 3]


def test_a_text_that_nobody_types_is_refused():
    with pytest.raises(ValueError, match="10,001 characters"):
        EntryQuery("x" * (MOST_TEXT + 1))


def test_types_are_those_of_which_there_are_results(filled):
    assert filled.types() == ["add", "mul"]
    filled.forget(type="mul")
    assert filled.types() == ["add"]
    filled.clear()
    assert filled.types() == []


@pytest.mark.parametrize(
    ("choice", "alone", "downstream"),
    [
        ({"node": "noise"}, [1], [1, 2, 3, 5]),
        ({"node": "denoise"}, [2, 3], [2, 3]),
        ({"node": "denoise[1]"}, [3], [3]),
        ({"node": "denoise["}, [], []),
        ({"type": "mul"}, [2, 3], [2, 3]),
        ({"key": key_of(4)}, [4], [4, 5]),
        ({"keys": [key_of(3), key_of(5), key_of(9)]}, [3, 5], [3, 5]),
        ({"node": "other", "type": "mul", "keys": [key_of(4)]}, [2, 3, 4, 5], [2, 3, 4, 5]),
        ({"resource": "0" * 32}, [], []),
        ({}, [], []),
    ],
)
def test_what_a_choice_would_drop_is_what_it_drops(filled, choice, alone, downstream):
    assert numbers(filled.affected(**choice, downstream=False)) == alone
    assert numbers(filled.affected(**choice)) == downstream
    assert numbers(filled.rows_of(filled.affected(**choice))) == downstream
    assert filled.forget(**choice) == len(downstream)
    assert numbers(filled.page(EntryQuery(descending=False)).items) == [
        number for number in range(1, 6) if number not in downstream
    ]


def test_what_was_computed_from_a_result_that_is_gone_is_still_found_by_its_key(filled):
    filled.forget(key=key_of(1), downstream=False)
    assert numbers(filled.affected(key=key_of(1))) == [2, 3, 5]
    filled.save(entry(2, node="again"))
    assert numbers(filled.affected(key=key_of(2))) == [2, 3]


def test_a_result_that_was_dropped_and_made_of_other_things_belongs_to_these(filled):
    filled.forget(key=key_of(2), downstream=False)
    filled.save(entry(2, sources=[4]))
    assert numbers(filled.affected(key=key_of(1))) == [1, 5]
    assert numbers(filled.affected(key=key_of(4))) == [3, 4, 5, 2]


def test_what_a_pictures_deletion_would_drop_is_known_before(services):
    cache = services.invocation_cache
    names = [services.images.save(Image.new("L", (8, 8), number)).image_name for number in range(3)]
    for number, name in enumerate(names):
        found = key_of(number), f"l2i[{number}]", "l2i", "{}"
        cache.save(CacheEntry(*found, output=ImageOutput(image=ImageField(image_name=name), width=8, height=8)))
    assert numbers(cache.rows_naming(names[1:])) == [1, 2]
    assert numbers(cache.rows_naming([names[1], names[1], "0" * 32])) == [1]
    assert numbers(cache.page(EntryQuery(names[2])).items) == [2]
    assert numbers(cache.page(EntryQuery(names[2][:7].upper())).items) == [2]
    services.images.delete(*names[1:])
    assert numbers(cache.entries()) == [0]


def test_rows_can_be_read_one_by_one_while_entries_come_and_go(filled):
    rows = filled.rows()
    first = next(rows)
    filled.save(entry(6))
    filled.clear()
    assert numbers([first]) == [1]
    assert all(number in range(2, 6) for number in numbers(rows))


LETTERS = st.text('aB%_\\É é["1', max_size=4)
RESULTS = st.lists(
    st.tuples(LETTERS, st.sampled_from(["add", "mul"]), LETTERS, st.integers(0, 3), st.sets(st.integers(0, 11))),
    max_size=12,
)
QUERIES = st.builds(EntryQuery, LETTERS, st.sampled_from(["", "add", "none"]), st.sampled_from(SORTS), st.booleans())


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[InvocationCacheBase]]:
    """A cache of each kind."""
    folder: Path = tmp_path_factory.mktemp("lists") / "studio"
    invokers = [Invoker(InvocationServices.memory()), Invoker(InvocationServices.sqlite(folder))]
    yield [invoker.services.invocation_cache for invoker in invokers]
    for invoker in invokers:
        invoker.stop()


@hypothesis_settings(max_examples=60, deadline=None)
@example([("", "add", "1", 0, set()), ("", "add", "", 0, set())], EntryQuery(sort="bytes"), "", set())
@given(results=RESULTS, query=QUERIES, node=LETTERS, chosen=st.sets(st.integers(0, 11), max_size=3))
def test_lists_and_choices_are_what_the_rows_say_in_every_store(stores, results, query, node, chosen):
    made = [
        entry(number, node=name or "n", type=kind, text=text, seconds=float(seconds), sources=sorted(sources))
        for number, (name, kind, text, seconds, sources) in enumerate(results)
    ]
    choice = EntryChoice(node, None, None, set(map(key_of, chosen)))
    means = {row.key for row in made if choice.means(row)} | set(choice.keys)
    downstream = with_descendants(means, made)
    for each in made:
        each.bytes = len(each.head) + len(each.inputs)  # what a cache counts when it stores them
    for cache in stores:
        cache.clear()
        for each in made:
            cache.save(CacheEntry(*[getattr(each, name) for name in ("key", "node", "type", "head", "inputs", "sources",
                                                                     "seconds")], output=each.output))  # fmt: skip
        assert numbers(cache.page(query, per_page=100).items) == numbers(select_rows(made, query))
        assert numbers(cache.affected(node=node, keys=choice.keys)) == [
            number for number, row in enumerate(made) if row.key in downstream
        ]


# what a folder's queries read


class Queries:
    """Notes the plan of every query to a database, and how much it does, in steps of SQLite's machine.

    The handlers are set and taken away while no other thread reads or writes: Python sets them without releasing its
    interpreter lock, and a statement that runs would wait for that lock in its callback, for ever.
    """

    def __init__(self, database: SqliteDatabase) -> None:
        self._connection, self._lock = database._open_connection, database._lock
        self.texts: list[str] = []
        self.steps = 0

    def __enter__(self) -> "Queries":
        with self._lock:
            self._connection.set_trace_callback(self.texts.append)
            self._connection.set_progress_handler(self._step, 10)
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._connection.set_trace_callback(None)
            self._connection.set_progress_handler(None, 0)

    def _step(self) -> int:
        self.steps += 10
        return 0

    def plans(self) -> list[str]:
        """Give the steps of the plans of all queries that read."""
        reading = [text for text in self.texts if text.lstrip().startswith(("SELECT", "WITH"))]
        return [row[3] for text in reading for row in self._connection.execute(f"EXPLAIN QUERY PLAN {text}")]


LOOK_UPS = {
    "the newest page": lambda cache: cache.page(EntryQuery()),
    "a page by node": lambda cache: cache.page(EntryQuery(sort="node")),
    "a page by type": lambda cache: cache.page(EntryQuery(sort="type", descending=False)),
    "a page of a type": lambda cache: cache.page(EntryQuery(type="mul")),
    "types": lambda cache: cache.types(),
    "forget a node": lambda cache: cache.forget(node="node_77"),
    "would forget a key": lambda cache: cache.affected(keys=[key_of(42), key_of(43)]),
    "rows of keys": lambda cache: cache.rows_of([key_of(42), key_of(43)]),
    "of a picture": lambda cache: cache.rows_naming(["0" * 32]),
    "explain a node": lambda cache: cache.entries(node="node_12"),
    "a result": lambda cache: cache.peek(key_of(13)),
    "status": lambda cache: cache.status(),
}
NARROW = {
    "a page by size": lambda cache: cache.page(EntryQuery(sort="bytes")),
    "a page by uses": lambda cache: cache.page(EntryQuery(sort="hits")),
    "a page by resources": lambda cache: cache.page(EntryQuery(sort="resources")),
    "a page by time": lambda cache: cache.page(EntryQuery(sort="seconds")),
    "a search": lambda cache: cache.page(EntryQuery("node_55")),
}


def filled_folder(folder: Path, count: int) -> InvocationServices:
    """Make a folder with so many results, a tenth of which came of the one before."""
    services = InvocationServices.sqlite(folder)
    made = [
        entry(number, type="mul" if number % 50 == 0 else "add", sources=[number - 1] * (number % 10 == 3))
        for number in range(count)
    ]
    services.invocation_cache._put({each.key: each for each in made})
    services.flush()
    assert services.invocation_cache.status().size == count
    services.close()
    return InvocationServices.sqlite(folder)


@pytest.fixture(scope="module")
def sizes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[InvocationServices]]:
    """A small folder, and one ten times as large."""
    folder = tmp_path_factory.mktemp("sizes")
    made = [filled_folder(folder / str(count), count) for count in (600, 6000)]
    yield made
    for services in made:
        services.close()


def asked(services: InvocationServices, look_up) -> Queries:
    assert services.database is not None
    services.invocation_cache.peek(key_of(1))  # the keys are known, as in a kernel that has run something
    with Queries(services.database) as queries:
        look_up(services.invocation_cache)
    assert queries.texts
    return queries


@pytest.mark.parametrize("name", LOOK_UPS)
def test_a_look_up_in_a_large_cache_uses_an_index_and_reads_no_more_rows(sizes, name):
    small, large = (asked(services, LOOK_UPS[name]) for services in sizes)
    scans = [step for step in large.plans() if step.startswith("SCAN cache_") and "INDEX" not in step]
    assert [step for step in scans if step not in ("SCAN cache_totals", "SCAN cache_heads")] in (
        [],
        ["SCAN cache_entries"] * (name == "the newest page"),  # by number, from the end, as many as are shown
    )
    counted = 20 * 6000 // 50 if name == "a page of a type" else 0  # the rows of a type are counted, in their index
    assert large.steps <= small.steps * 1.5 + 200 + counted


@pytest.mark.parametrize("name", NARROW)
def test_what_has_no_index_reads_each_row_once_and_no_more(sizes, name):
    queries = asked(sizes[1], NARROW[name])
    assert sum(step.startswith("SCAN cache_entries") for step in queries.plans()) == 1
    assert queries.steps < 40 * 6000


def test_the_sources_of_a_dropped_entry_mean_nothing_and_many_of_them_wait_for_upkeep(tmp_path):
    services = InvocationServices.sqlite(tmp_path / "studio")
    cache, database = services.invocation_cache, services.database
    assert database is not None
    made = [entry(number) for number in range(5)] + [entry(5, sources=[0]), entry(6, sources=list(range(2000)))]
    cache._put({each.key: each for each in made})
    services.flush()
    assert cache.forget(keys=[key_of(5), key_of(6)]) == 2
    assert database.rows("SELECT count(*) FROM cache_sources") == [(2000,)]
    assert cache.affected(keys=[key_of(0)]) == [key_of(0)]
    cache._put({made[6].key: made[6]})
    services.flush()
    assert cache.affected(keys=[key_of(0)]) == [key_of(0), key_of(6)]
    cache.tidy()
    assert database.rows("SELECT count(*) FROM cache_sources") == [(2000,)]
    assert cache.affected(keys=[key_of(0)]) == [key_of(0), key_of(6)]
    cache.clear()
    cache.tidy()
    assert database.rows("SELECT count(*) FROM cache_sources") == [(0,)]
    services.close()


@pytest.mark.parametrize("act", [lambda cache: cache.clear(), lambda cache: cache.forget(node="n0")])
def test_what_was_forgotten_is_computed_again_without_a_query_for_each_result(folder, act):
    total = Add(id="n0", a=1, b=1)
    for number in range(1, 40):
        total = Add(id=f"n{number}", a=total, b=1)
    with Studio(folder) as studio:
        studio.run(total, progress=False)
        act(studio.services.invocation_cache)
        with Queries(studio.services.database) as queries:
            run = studio.run(total, progress=False)
        assert not run.stats.cached.any()
    assert [text for text in queries.texts if "FROM cache_entries WHERE key" in text] == []
