"""The same work asked for twice at once is done once in a kernel, and is never wrong between kernels."""

import subprocess
import sys
import threading
from collections import Counter

import pytest
from PIL import Image

from nbgraph import Studio
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.outputs import ImageOutput
from nbgraph.services.invoker import Invoker
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph

calls: list[int] = []


@invocation("test_slow_picture", title="Slow picture", category="test")
class SlowPicture(BaseInvocation):
    """A picture that takes its time, so that others ask for it meanwhile."""

    shade: int

    def invoke(self, context: InvocationContext) -> ImageOutput:
        calls.append(self.shade)
        threading.Event().wait(0.02)
        return context.images.output(Image.new("L", (8, 8), self.shade))


@pytest.fixture(autouse=True)
def counted_anew():
    calls.clear()


def test_threads_that_ask_for_the_same_at_once_have_it_computed_once(services):
    invoker, handles, shades = Invoker(services), [], [1, 2, 3]
    gate = threading.Barrier(6)

    def ask() -> None:
        gate.wait()
        for shade in shades:
            handles.append(invoker.invoke(GraphExecutionState(Graph.of(SlowPicture(shade=shade)))))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(handle.wait(20) for handle in handles)
    assert {handle.status for handle in handles} == {"completed"}
    assert sorted(calls) == shades
    assert services.images.list().total == len(shades)
    stats = services.performance_statistics.rows()
    assert Counter(row.cached for row in stats) == {False: 3, True: 15}


KERNEL = """
import sys
sys.path.insert(0, sys.argv[2])
from test_single_flight import SlowPicture
from nbgraph import Studio
with Studio(sys.argv[1]) as studio:
    print("ready", flush=True)
    sys.stdin.readline()
    for shade in range(12):
        run = studio.run(SlowPicture(id="picture", shade=shade), progress=False)
        assert run["picture"].image.getpixel((3, 3)) == shade
    print(int((~studio.run(SlowPicture(id="picture", shade=0), progress=False).stats.cached).sum()))
"""


def test_kernels_that_ask_for_the_same_at_once_have_the_same_pictures_and_one_result_each(folder):
    command, pipe = [sys.executable, "-c", KERNEL, str(folder), __file__.rpartition("/")[0]], subprocess.PIPE
    kernels = [subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) for _ in range(2)]
    assert [kernel.stdout.readline() for kernel in kernels] == ["ready\n"] * 2
    for kernel in kernels:
        kernel.stdin.write("go\n")
        kernel.stdin.flush()
    ends = [kernel.communicate(timeout=120) for kernel in kernels]
    assert [kernel.returncode for kernel in kernels] == [0, 0], ends
    assert [out for out, _ in ends] == ["0\n", "0\n"], "afterwards it is a hit in both"
    with Studio(folder) as studio:
        assert len(studio.cache) == 12
        assert 12 <= len(studio.images) <= 24
        for shade in range(12):
            run = studio.run(SlowPicture(id="picture", shade=shade), progress=False)
            assert run.stats.cached.all()
            assert run["picture"].image.getpixel((0, 0)) == shade
