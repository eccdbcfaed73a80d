"""Workers learn the keys of the head's cache: the new ones only, and all of them where they missed some."""

import random

from nbgraph.services.invocation_processor.cluster_keys import KeySeries, KnownKeys, LearntKeys


def test_a_worker_gets_the_keys_that_were_added_since_its_last_session():
    series = KeySeries()
    assert series.next([b"a", b"b"], "one") == KnownKeys(0, 0, [b"a", b"b"])
    assert series.next([b"a", b"b", b"c"], "one") == KnownKeys(0, 2, [b"c"])
    assert series.next([b"a", b"b", b"c"], "two") == KnownKeys(0, 0, [b"a", b"b", b"c"])


def test_after_a_key_was_dropped_all_are_sent():
    series = KeySeries()
    series.next([b"a", b"b"], "one")
    assert series.next([b"b", b"c"], "one") == KnownKeys(1, 0, [b"b", b"c"])
    assert series.next([], "one") == KnownKeys(2, 0, [])


def test_a_worker_knows_what_the_head_has_whatever_happened():
    rng = random.Random(7)
    series, keys = KeySeries(), list[bytes]()
    workers = {name: (LearntKeys(), list[bytes]()) for name in ("one", "two")}
    for number in range(300):
        keys = keys + [b"%d" % number] if rng.random() < 0.8 else keys[rng.randrange(2) :]
        name = rng.choice(["one", "two"])
        known = series.next(keys, name)
        # some tasks are run by another worker than the one that they were meant for
        name = name if rng.random() < 0.8 else "two"
        learnt, there = workers[name]
        if not learnt.fits(known):
            series.forget(name)
            known = series.next(keys, name)
        added, base = learnt.learn(known)
        there[:] = [*there[:base], *added]
        assert there == keys
