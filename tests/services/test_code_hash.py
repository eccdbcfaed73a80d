"""The code part of keys: what cannot be hashed is not cached, and said; what is unchanged is not hashed again."""

import sys
import threading
from functools import cache, partial
from itertools import count
from types import ModuleType
from typing import Any

import PIL
import pytest

import nbgraph as nb
from nbgraph.invocations import Add, BlurImage, Collect, Iterate
from nbgraph.services.invocation_cache import code_hash
from nbgraph.services.invocation_cache.code_facts import facts_of
from nbgraph.services.invocation_cache.code_hash import code_of
from nbgraph.services.invocation_cache.code_packages import package_of

FACTOR = 2
TABLE = [1, 2]
COUNTER = count()
LOCK = threading.Lock()
ASSIGNED = 0
BIG = bytes(70 * 2**20)
GENERATOR = (number for number in range(3))
DEEP: list[Any] = []
for _ in range(5000):
    DEEP = [DEEP]


def scale(value: int) -> int:
    return value * FACTOR


@nb.node(type="test_scaled")
def scaled(value: int = 5) -> int:
    return scale(value) + len(TABLE)


def factory(held: Any):
    @nb.node(type="test_holds_in_closure")
    def holds(value: int = 1) -> str:
        return str(held)

    return holds


def ran(studio: nb.Studio, node: Any) -> bool:
    """Whether a node ran, or came from the cache."""
    return not studio.run(node, progress=False).stats.cached.iloc[-1]


def because(studio: nb.Studio, node: Any) -> str:
    """What `explain` says of the only node."""
    return studio.explain(node).because.iloc[-1]


def test_explain_names_what_changed(studio, monkeypatch):
    studio.run(scaled(id="scaled"), progress=False)
    monkeypatch.setattr(sys.modules[__name__], "FACTOR", 3)
    assert because(studio, scaled(id="scaled")) == "scaled.code changed: FACTOR 2 -> 3"
    monkeypatch.setattr(sys.modules[__name__], "scale", lambda value: value)
    assert "scale" in because(studio, scaled(id="scaled"))


def test_two_nodes_of_one_function_with_other_enclosed_values_have_keys_of_their_own(studio):
    one, five = factory([1])(id="one"), factory([5])(id="five")
    run = studio.run([one, five], progress=False)
    assert (run[one].value, run[five].value) == ("[1]", "[5]")


@nb.node(type="test_locks")
def locks(value: int = 1) -> int:
    with LOCK:
        return value


@nb.node(type="test_assigns")
def assigns(value: int = 1) -> int:
    global ASSIGNED
    ASSIGNED += 1
    return ASSIGNED


@nb.node(type="test_evaluates")
def evaluates(value: str = "1") -> int:
    return eval(value)


@nb.node(type="test_reads_big")
def reads_big(value: int = 1) -> int:
    return BIG[value]


@nb.node(type="test_reads_deep")
def reads_deep(value: int = 1) -> int:
    return len(DEEP)


@nb.node(type="test_reads_generator")
def reads_generator(value: int = 1) -> int:
    return next(GENERATOR)


@pytest.mark.parametrize(
    ("node", "why"),
    [
        (locks, "LOCK holds _thread.lock"),
        (assigns, "assigns assigns ASSIGNED"),
        (evaluates, "what eval reaches is not known"),
        (reads_big, "BIG holds more than 64 MB"),
        (reads_deep, "DEEP is nested too deep"),
        (reads_generator, "GENERATOR holds generator"),
        (factory(open(__file__)), "factory.holds.held holds _io.TextIOWrapper"),  # noqa: SIM115
        (factory(threading.Event()), "factory.holds.held holds _thread.lock"),
    ],
    ids=["lock", "assigned", "eval", "big", "deep", "generator", "file", "event"],
)
def test_what_cannot_be_hashed_is_not_cached_and_it_is_said_with_the_remedy(studio, node, why):
    target = node(id="node")
    said = because(studio, target)
    assert said.startswith(f"it is not cached: {why}")
    assert "use_cache=True" in said
    assert "version=" in said
    for _ in range(2):
        assert ran(studio, target) or node is reads_generator
        assert because(studio, target) == said


def test_a_node_that_is_to_be_cached_in_any_case_is(studio):
    assert ran(studio, locks(use_cache=True))
    assert not ran(studio, locks(use_cache=True))
    assert ran(studio, locks())

    def held(value: int = 1) -> int:
        with LOCK:
            return value

    for version, runs in (("1.0.0", True), ("1.0.0", False), ("1.0.1", True)):
        trusted = nb.node(type="test_trusted", version=version, use_cache=True)(held)
        assert ran(studio, trusted()) == runs


def test_a_module_of_ones_own_that_only_the_node_imports_counts_once_it_is_imported(studio, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "imported_late.py").write_text("def f(value):\n    return value + 1\n")

    @nb.node(type="test_imports_late")
    def imports_late(value: int = 1) -> int:
        from imported_late import f  # type: ignore[import-not-found]

        return f(value)

    try:
        assert "imports imported_late when it runs" in because(studio, imports_late())
        assert [ran(studio, imports_late()) for _ in range(3)] == [True, True, False]
    finally:
        sys.modules.pop("imported_late", None)


def test_an_optional_package_that_is_not_there_keeps_nothing_from_being_cached(studio):
    @nb.node(type="test_tries_to_import")
    def tries(value: int = 1) -> str:
        try:
            import no_such_package  # type: ignore[import-not-found] # noqa: F401
        except ImportError:
            return "without"
        return "with"

    assert [ran(studio, tries()) for _ in range(2)] == [True, False]


@nb.node(type="test_counts")
def counts(value: int = 1) -> int:
    return next(COUNTER)


@nb.node(type="test_appends")
def appends(value: int = 1) -> int:
    TABLE.append(value)
    return len(TABLE)


@pytest.mark.parametrize("node", [counts, appends])
def test_a_node_that_changes_what_it_reads_is_never_cached_and_it_is_said(studio, node):
    assert [ran(studio, node(id="node")) for _ in range(3)] == [True, True, True]
    assert "while it ran, so its result was not kept" in because(studio, node(id="node"))
    assert "code changed" in because(studio, node(id="node"))


@pytest.mark.parametrize("kind", ["memory", "folder"])
def test_what_ran_while_its_code_was_changed_is_not_kept(kind, tmp_path, monkeypatch):
    module = sys.modules[__name__]
    began, go_on = threading.Event(), threading.Event()

    @nb.node(type="test_waits", use_cache=False)
    def waits(value: int = 1) -> int:
        began.set()
        go_on.wait(20)
        return value

    with nb.Studio(None if kind == "memory" else tmp_path) as studio:
        total = scaled(id="scaled", value=waits())
        run = studio.submit(total)
        assert began.wait(20)
        monkeypatch.setattr(module, "FACTOR", 100)
        go_on.set()
        run.wait(20)
        assert run[total].value == 100 + len(TABLE)
        monkeypatch.undo()
        assert studio.run(total, progress=False)[total].value == FACTOR + len(TABLE)


def test_what_is_unchanged_is_hashed_once(monkeypatch):
    first = code_of(scaled)
    monkeypatch.setattr(code_hash, "Walk", None)
    assert code_of(scaled) is first
    assert code_of(scaled) is first


def test_the_same_content_in_other_objects_is_the_same_code(monkeypatch):
    first = code_of(scaled)
    monkeypatch.setattr(sys.modules[__name__], "TABLE", [*TABLE])
    assert code_of(scaled) is first


def test_installed_packages_count_by_name_and_version():
    import numpy as np

    @nb.node(type="test_uses_numpy")
    def uses_numpy(value: int = 1) -> float:
        return float(np.sqrt(value))

    assert code_of(uses_numpy).packages["numpy"] == np.__version__
    assert "PIL" not in code_of(uses_numpy).packages
    assert [package_of(name) for name in ("numpy.linalg", "json", "nbgraph.errors", "__main__", __name__)] == [
        "numpy",
        "python",
        "nbgraph",
        None,
        None,
    ]


def test_of_nodes_that_are_installed_their_own_code_and_the_packages_they_use_count(monkeypatch):
    before = code_of(Add)
    assert before.packages == {"nbgraph": nb.__version__}
    assert code_of(BlurImage).packages == {"PIL": PIL.__version__, "nbgraph": nb.__version__}
    monkeypatch.setattr(Add, "invoke", lambda self, context: None)
    assert code_of(Add).parts != before.parts


def test_no_node_of_the_library_is_refused():
    from nbgraph.invocations import registry

    refused = {name: code_of(cls).refusal for name, cls in registry().items() if cls.__module__.startswith("nbgraph.")}
    assert {name: text for name, text in refused.items() if text} == {}


def test_facts_of_code_name_chains_of_attributes_imports_and_what_is_assigned():
    module = ModuleType("facts")
    exec(
        "def f(x):\n    global made\n    made = a.b.c(x)\n    from .p import q\n    return [k.l for k in u] + [v.w]\n",
        vars(module),
    )
    facts = facts_of(module.f.__code__)
    assert dict(facts.names) == {"a": {("b", "c")}, "u": {()}, "v": {("w",)}}
    assert facts.written == ("made",)
    assert (facts.imports[0].module, facts.imports[0].level, facts.imports[0].names) == ("p", 1, ("q",))


def test_nodes_under_an_iteration_share_the_code_that_was_hashed_when_the_run_began(studio):
    each = Iterate(id="each", collection=[1, 2, 3])
    target = Collect(id="all", item=scaled(id="scaled", value=each.output("item")))
    assert studio.run(target, progress=False)[target].collection == [value * FACTOR + len(TABLE) for value in (1, 2, 3)]


def test_a_partial_of_a_function_counts_by_the_function(studio):
    one, other = (factory(partial(scale, value)) for value in (1, 2))
    assert code_of(one).parts != code_of(other).parts
    assert code_of(one).packages == code_of(other).packages


@cache
def remembered() -> int:
    return 10 * FACTOR


@cache
def factorial(number: int) -> int:
    return number * factorial(number - 1) if number else 1


@nb.node(type="test_remembers")
def remembers(value: int = 1) -> int:
    return value + remembered() + factorial(3)


def test_what_a_cached_function_remembers_of_other_code_is_not_cached_until_it_is_cleared(studio, monkeypatch):
    remembered.cache_clear()
    assert [ran(studio, remembers(id="node")) for _ in range(3)] == [True, False, False]
    monkeypatch.setattr(sys.modules[__name__], "FACTOR", 5)
    assert "remembered remembers results of code that has changed" in because(studio, remembers(id="node"))
    assert [ran(studio, remembers(id="node")) for _ in range(2)] == [True, True]
    remembered.cache_clear()
    target = remembers(id="node")
    assert studio.run(target, progress=False)[target].value == 1 + 50 + 6
    assert not ran(studio, target)
    monkeypatch.undo()
    remembered.cache_clear()
    assert studio.run(target, progress=False)[target].value == 1 + 20 + 6
