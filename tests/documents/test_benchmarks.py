"""The benchmarks' own helpers: every figure has a bound, and two trees are compared round by round."""

import ast
from pathlib import Path

import pytest
from benchmarks import compare
from benchmarks.measures import BOUNDS, MEASURES

FILES = ("picture_measures.py", "plain_call.py", "measures.py")
SOURCE = "".join((compare.HERE / name).read_text() for name in FILES)


def test_each_measure_can_be_compared():
    assert list(MEASURES) == list(compare.NAMES)


def test_each_bound_belongs_to_a_figure():
    texts = {node.value for node in ast.walk(ast.parse(SOURCE)) if isinstance(node, ast.Constant)}
    made = {f"{name}, {how}" for name in ("chain", "fan-out with a collect", "map") for how in ("new", "cached")}
    made |= {f"growth of {name}" for name in ("building", "planning", "a run")}
    made |= {f"cache table, by {sort}" for sort in ("node", "bytes", "hits", "seconds", "resources")}
    assert made <= BOUNDS.keys()
    assert {name for name in BOUNDS.keys() - made if name not in texts} == set()


def test_trees_are_measured_in_turn_and_the_first_changes(monkeypatch: pytest.MonkeyPatch):
    asked: list[Path] = []

    def measured(tree: Path, name: str) -> dict[str, float]:
        asked.append(tree)
        return {name: 2.0 if tree == compare.ROOT else 1.0, "only here" if tree == compare.ROOT else "only there": 1.0}

    monkeypatch.setattr(compare, "measured", measured)
    base = Path("base")
    found = compare.compared(base, ["runs"], 2)
    assert asked == [compare.ROOT, base, base, compare.ROOT]
    assert found == {"runs": [(1.0, 2.0)] * 2}
    (_, line) = compare.table(found)
    assert line.split() == ["runs", "1", "2", "2.00", "2.00", "to", "2.00"]
