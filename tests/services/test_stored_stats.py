"""Stats in a folder: what a kernel measured is shown by the next one, as soon as that knows the nodes."""

import subprocess
import sys

import pytest

from nbgraph import Studio
from nbgraph.invocations import Add

CELL = """
from nbgraph import BaseInvocation, invocation
from nbgraph.invocations.outputs import IntegerOutput

@invocation("test_twice", title="Twice", category="test")
class Twice(BaseInvocation):
    number: int

    def invoke(self, context) -> IntegerOutput:
        return IntegerOutput(value=2 * self.number)
"""
FIRST_KERNEL = f"""{CELL}
import sys
from nbgraph import Studio
with Studio(sys.argv[1]) as studio:
    assert studio.run(Twice(id="twice", number=21), progress=False)["twice"].value == 42
"""


def test_rows_of_nodes_made_in_a_cell_wait_unseen_until_the_cell_has_run(folder):
    subprocess.run([sys.executable, "-c", FIRST_KERNEL, str(folder)], check=True, timeout=120)
    with Studio(folder) as studio:
        studio.run(Add(id="sum", a=1, b=2), progress=False)
        for _ in range(2):
            assert studio.stats.type.tolist() == ["add"]
        exec(compile(CELL, "<cell>", "exec"), {"__name__": "__main__"})
        assert studio.stats.type.tolist() == ["test_twice", "add"]
        assert studio.stats.seconds.min() > 0


@pytest.mark.parametrize("damage", ["not json", '{"graph": 7}', '{"id": "x", "graph": {"nodes": [], "edges": []}}'])
def test_rows_of_a_session_that_is_damaged_go(folder, damage):
    with Studio(folder) as studio:
        studio.run(Add(id="one", a=1, b=2), progress=False)
        kept = studio.run(Add(id="other", a=1, b=3), progress=False)
        session = studio.stats.session[0]
    with Studio(folder) as studio:
        with studio.services.database.transaction() as connection:
            connection.execute("UPDATE sessions SET data = ? WHERE id = ?", (damage, session))
        assert studio.stats.session.tolist() == studio.services.performance_statistics.session_ids() == [kept.id]
