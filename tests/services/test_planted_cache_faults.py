"""Faults planted in the cache, one at a time: driving it at random must find each of them, and name it."""

import pytest
from test_cache_against_recomputation import drive

from nbgraph.invocations import node_type
from nbgraph.invocations.node_registry import registry
from nbgraph.services.invocation_cache.invocation_cache_base import InvocationCacheBase
from nbgraph.services.invocation_cache.invocation_cache_memory import InvocationCacheMemory
from nbgraph.services.invocation_cache.invocation_cache_sqlite import InvocationCacheSqlite
from nbgraph.services.invocation_cache.local_index import LocalIndex

STALE = {"a stale hit", "a stale picture"}
IMPLEMENTATIONS = (InvocationCacheMemory, InvocationCacheSqlite)

SHORT_WAY = 6
"""One of few ways in which every fault is found within a dozen examples; they would be found in others, too."""


def key_without(name: str):
    """Keys that leave an input out."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        whole = node_type._picker
        for cls in registry().values():
            patch.setattr(cls, "_node_type", None)
        patch.setattr(node_type, "_picker", lambda names: whole([each for each in names if each != name]))

    return plant


def by_substring(patch: pytest.MonkeyPatch) -> None:
    """A deleted picture drops what has its name anywhere in its text."""

    def naming(self, resource: str) -> list[bytes]:
        return [row.key for row in self.entries() if resource in row.text]

    for cls in IMPLEMENTATIONS:
        patch.setattr(cls, "_naming", naming)


def hits_unchecked(patch: pytest.MonkeyPatch) -> None:
    """A hit is given whatever became of the pictures it names."""
    patch.setattr(InvocationCacheBase, "_is_good", lambda self, entry: True)


def deletions_unheard(patch: pytest.MonkeyPatch) -> None:
    """Deleting a picture drops nothing."""
    patch.setattr(InvocationCacheBase, "forget_resource", lambda self, name: 0)


def reverse_index_lost(patch: pytest.MonkeyPatch) -> None:
    """No entry is known to name a picture."""
    for cls in IMPLEMENTATIONS:
        whole = cls._naming
        patch.setattr(cls, "_naming", lambda self, resource, whole=whole: whole(self, resource)[:0])


def memory_kept(patch: pytest.MonkeyPatch) -> None:
    """What is forgotten goes from the database and stays in memory."""
    patch.setattr(LocalIndex, "evicted", lambda self, keys: None)


FAULTS = {
    "without an edge": (key_without("image"), "memory", STALE),
    "without an edge, stored": (key_without("image"), "sqlite", STALE),
    "without a value": (key_without("by"), "memory", STALE),
    "without another value": (key_without("shade"), "sqlite", STALE),
    "by substring": (by_substring, "memory", {"what names no deleted picture went"}),
    "by substring, stored": (by_substring, "sqlite", {"what names no deleted picture went"}),
    "unchecked": (hits_unchecked, "sqlite", {"a hit names a damaged picture", "a run failed"}),
    "unheard": (deletions_unheard, "memory", {"what names a deleted picture stayed"}),
    "unheard, stored": (deletions_unheard, "sqlite", {"what names a deleted picture stayed"}),
    "no reverse index": (reverse_index_lost, "sqlite", {"what names a deleted picture stayed"}),
    "memory kept": (memory_kept, "sqlite", {"what was forgotten is a hit"}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found_and_named(fault, monkeypatch):
    plant, kind, expected = FAULTS[fault]
    plant(monkeypatch)
    findings = drive(kind, 150, steps=40, way=SHORT_WAY)
    assert findings
    assert findings[0].partition(":")[0] in expected
