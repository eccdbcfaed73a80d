"""What a run will cost, from what the studio has measured."""

import numpy as np
import pytest

import nbgraph as nb
from nbgraph.errors import GraphError
from nbgraph.experiments.estimate import Estimate, Free, NodeCost, _memory, estimate_sessions, sampled
from nbgraph.experiments.executions import predicted
from nbgraph.invocations import Add, BlankImage, BlurImage, Multiply
from nbgraph.services.invocation_processor.node_batches import BatchLimits
from nbgraph.services.shared.graph.execution_state import GraphExecutionState
from nbgraph.services.shared.graph.graph import Graph


def test_a_line_with_a_fixed_part_is_found_again():
    works = [1, 2, 4, 8, 8]
    seconds = [0.5 + 0.2 * work for work in works]
    assert predicted(works, seconds, 16) == pytest.approx((3.7, 3.7, 3.7))


def test_one_slow_execution_does_not_move_the_estimate_and_widens_the_interval():
    works, seconds = [4.0] * 9 + [8.0] * 9, [1.0] * 8 + [9.0] + [2.0] * 9
    middle, low, high = predicted(works, seconds, 4.0)
    assert middle == pytest.approx(1.0)
    assert low <= middle <= high
    assert predicted([4.0] * 3, [1.0, 1.0, 9.0], 4.0)[2] > 5


def test_work_of_one_size_is_scaled_in_proportion():
    assert predicted([2.0], [1.0], 6.0)[0] == pytest.approx(3.0)


@pytest.mark.parametrize("noise", [0.05, 0.2])
def test_held_out_executions_are_met_within_their_noise(noise):
    rng = np.random.default_rng(5)
    works = rng.choice([1, 2, 4, 8], 10).astype(float)
    seconds = (0.1 + 0.3 * works) * rng.lognormal(0, noise, 10)
    errors = [abs(predicted(works, seconds, work)[0] / (0.1 + 0.3 * work) - 1) for work in (3, 5, 6, 10)]
    assert np.median(errors) < 0.3


def test_what_is_cached_costs_nothing_and_is_counted(studio):
    total = Add(id="total", a=Add(id="first", a=1, b=2), b=3)
    studio.run(total, progress=False)
    found = studio.estimate(total)
    assert found.seconds == 0
    assert found.cached == 2
    assert list(found.frame.state) == ["cached", "cached"]
    changed = studio.estimate(total, {"total.b": 4})
    assert list(changed.frame.state) == ["cached", "runs"]
    assert changed.seconds > 0
    assert "1 of them cached" in repr(changed)


def test_what_never_ran_here_is_not_guessed(studio):
    studio.run(Add(id="sum", a=1, b=2), progress=False)
    found = studio.estimate(Multiply(id="product", a=Add(id="sum", a=2, b=3), b=2))
    assert found.seconds is None
    assert found.interval is None
    assert found.unknown == ["mul"]
    assert "too little is known, as mul never ran here" in repr(found)
    assert "never ran here" in found._repr_html_()
    assert found.frame.seconds.isna().tolist() == [False, True]


def test_few_executions_are_said_to_be_few(studio):
    studio.run(Add(id="sum", a=1, b=2), progress=False)
    assert "add ran fewer than 3 times" in repr(studio.estimate(Add(id="sum", a=2, b=2)))
    for number in range(3):
        studio.run(Add(id="sum", a=3 + number, b=2), progress=False)
    assert "fewer" not in repr(studio.estimate(Add(id="sum", a=9, b=2)))


def test_a_larger_image_is_estimated_to_take_longer(studio):
    def blurred(width):
        return BlurImage(id="blur", image=BlankImage(id="page", width=width, height=512), radius=20)

    for width in (256, 512, 768):
        studio.run(blurred(width), progress=False)
    small, large = (studio.estimate(blurred(width)).frame.set_index("node").seconds["blur"] for width in (300, 2048))
    assert large > small


def test_a_sweep_counts_what_its_cells_share_once_and_runs_nothing(studio):
    studio.run(Add(id="total", a=Add(id="first", a=1, b=2), b=3), progress=False)
    total = Add(id="total", a=Add(id="first", a=5, b=2), b=3)
    before = len(studio.queue.frame)
    found = studio.estimate(total, {"total.b": range(4)}, sweep=True)
    assert found.runs == 4
    assert found.frame.query("node == 'first'").state.tolist() == ["runs", "cached", "cached", "cached"]
    assert len(studio.queue.frame) == before


def test_an_estimate_of_what_cannot_run_is_refused(studio):
    with pytest.raises(GraphError):
        studio.estimate(Add(id="sum", a=1), {"sum.c": 3})
    with pytest.raises(GraphError, match="empty list"):
        studio.estimate(Add(id="sum", a=1), {"sum.b": []}, sweep=True)


def test_an_estimate_is_learnt_from_earlier_kernels_of_a_folder(tmp_path):
    with nb.Studio(tmp_path / "studio") as studio:
        studio.run(Add(id="sum", a=1, b=2), progress=False)
    with nb.Studio(tmp_path / "studio") as studio:
        assert studio.estimate(Add(id="sum", a=2, b=2)).seconds > 0


def test_memory_grows_with_the_pixels_of_a_call_and_keeps_what_does_not_grow():
    seen = [(pixels, (100, 100 + 50 + 10 * pixels)) for pixels in (1, 2, 4)]
    assert _memory(seen, 8) == (130, 230)
    # three of one size say nothing about a far larger image
    assert _memory([(1.0, (0, 50))] * 3, 4) == (200, 200)
    assert _memory([(1.0, (0, 50))] * 3, 5) == (None, 250)
    assert _memory([(1.0, (0, 50))] * 2, 1)[0] is None


def test_what_will_not_fit_is_named_with_what_is_free():
    costs = [NodeCost("noise", "noise", "runs", 1.0, ram=10), NodeCost("image", "l2i", "runs", 1.0, vram=3 * 2**20)]
    assert Estimate(costs, 1, Free(2**20, 4 * 2**20)).memory_problem == ""
    problem = Estimate(costs, 1, Free(2**20, 2**20)).memory_problem
    assert "it will not fit: image is expected to take 3 MB of VRAM, and 1 MB are free" in problem
    assert problem in repr(Estimate(costs, 1, Free(2**20, 2**20)))
    assert Estimate(costs, 1, Free(2**20)).memory_problem == ""


def test_a_summary_says_time_and_what_is_cached_in_a_few_words(studio):
    total = Add(id="total", a=Add(id="first", a=1, b=2), b=3)
    assert studio.estimate(total).summary == "add never ran here, so its time is not known"
    studio.run(total, progress=False)
    assert studio.estimate(total).summary == "everything is cached"
    assert studio.estimate(total, {"total.b": 4}).summary.endswith("1 node cached")


def test_a_sample_of_cells_stands_for_all_of_them(studio):
    def session(b):
        return GraphExecutionState(Graph.of(Add(id="total", a=Add(id="first", a=1, b=7), b=b)))

    studio.run(Add(id="sum", a=1, b=2), progress=False)
    assert sampled(3) == [0, 1, 2]
    places = sampled(1000)
    assert (places[0], places[-1], len(places)) == (0, 999, 16)
    part = estimate_sessions([session(place) for place in places], studio.services, BatchLimits(), 1000)
    assert (part.runs, len(part.costs)) == (1000, 2000)
    # what all of them share is computed once
    assert [cost.state for cost in part.costs if cost.node == "first"].count("runs") == 1


def test_an_estimate_reads_well_for_one_node_and_for_what_is_cached(studio):
    total = Add(id="sum", a=1, b=2)
    assert repr(studio.estimate(total)) == "1 node, 0 of them cached: too little is known, as add never ran here"
    studio.run(total, progress=False)
    assert repr(studio.estimate(total)) == "1 node, 1 of them cached: it takes no time"
