"""Which entries the cache in memory has room for, compared with a list that is kept in order."""

from hypothesis import given, strategies

from nbgraph.config import Settings
from nbgraph.services.invocation_services import InvocationServices
from nbgraph.services.invoker import Invoker
from tests.services.test_invocation_cache import keep

NUMBERS = strategies.integers(0, 7)
STEPS = strategies.tuples(strategies.sampled_from(["keep", "keep", "get", "forget"]), NUMBERS)


def in_order(steps: list[tuple[str, int]], limit: int) -> list[int]:
    """What should be there in the end, the least recently used first."""
    there: list[int] = []
    for step, number in steps:
        if step == "forget" and number in there:
            there.remove(number)
        elif step == "get" and number in there:
            there.append(there.pop(there.index(number)))
        elif step == "keep" and number not in there:
            there = [*there, number][-limit:]
    return there


@given(strategies.lists(STEPS, min_size=20, max_size=60), strategies.integers(2, 4))
def test_the_least_recently_used_go_one_by_one_in_any_history(steps, limit):
    keys: dict[int, bytes] = {}
    with Invoker(InvocationServices.memory(Settings(cache_entries=limit))) as invoker:
        cache = invoker.services.invocation_cache
        for step, number in steps:
            if step == "keep":
                keys[number] = keep(cache, number)
            elif number in keys and step == "get":
                cache.get(keys[number])
            elif number in keys:
                cache.forget(key=keys[number])
        assert [row.node for row in cache.entries()] == [f"add_{number}" for number in in_order(steps, limit)]
