"""Which nodes became slower, summaries by type and model, and memory over a run."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy.stats import permutation_test

import nbgraph as nb
from nbgraph.errors import ChoiceError, NbgraphError
from nbgraph.experiments.executions import Execution
from nbgraph.experiments.regressions import DAY, FEWEST, permutation_p, regressions
from nbgraph.invocations import Add, BlankImage, BlurImage
from nbgraph.plots import plot_memory_over_time

NOW = 1_000 * DAY


def executions(seconds, days_ago, type="denoise", model="emoji", work=4.0, **more):
    given = {"device": "cpu", "pixels": 1.0, "ram": (0, 0), "vram": None, "has_loaded": False, **more}
    return [
        Execution(type=type, model=model, work=work, seconds=each, started=NOW - days_ago * DAY, **given)
        for each in seconds
    ]


def noisy(middle, count, seed):
    return middle * np.random.default_rng(seed).lognormal(0, 0.03, count)


def test_a_node_that_became_slower_is_named_with_by_how_much():
    found = regressions([*executions(noisy(1.0, 20, 1), 3), *executions(noisy(1.18, 12, 2), 0.2)], NOW)
    assert len(found.slower) == 1
    assert found.slower[0].change == pytest.approx(0.18, abs=0.03)
    percent = round(100 * found.slower[0].change)
    assert found.sentences[0].startswith(
        f"denoise (emoji) is {percent} % slower than the median before: 1.0 s -> 1.2 s"
    )
    assert found.frame.verdict.tolist() == ["slower"]
    assert "slower" in found._repr_html_()


def test_other_sizes_are_compared_by_their_work():
    before = [*executions(noisy(1.0, 10, 1), 3, work=4.0), *executions(noisy(2.0, 10, 2), 3, work=8.0)]
    assert regressions([*before, *executions(noisy(4.0, 10, 3), 0.1, work=16.0)], NOW).slower == []
    assert regressions([*before, *executions(noisy(6.0, 10, 3), 0.1, work=16.0)], NOW).slower[0].change > 0.4


def test_where_nothing_changed_alarms_come_at_the_stated_rate():
    alarms = sum(
        bool(regressions([*executions(noisy(1, 8, 2 * n), 3), *executions(noisy(1, 8, 2 * n + 1), 0.1)], NOW).slower)
        for n in range(60)
    )
    # at most 5 % in either direction; a binomial of 60 is above 7 once in some hundred times
    assert alarms <= 7


@pytest.mark.parametrize(("recent", "before"), [(FEWEST - 1, 20), (20, FEWEST - 1), (1, 0)])
def test_too_few_executions_are_said_to_be_too_few(recent, before):
    found = regressions([*executions([1.0] * before, 3), *executions([9.0] * recent, 0.1)], NOW)
    assert found.slower == []
    assert repr(found) == "too few to tell of denoise: at least 5 executions are needed on each side"


def test_what_loaded_a_model_what_is_older_and_what_is_quick_does_not_count():
    loading = executions([9.0] * 8, 0.1, has_loaded=True)
    old, quick = executions([0.1] * 9, 30), executions([0.0001] * 9, 0.1, type="add")
    assert regressions([*loading, *old, *quick], NOW).changes == []
    assert "no node ran in the last day, so" in repr(regressions([], NOW))


def test_batches_are_compared_with_batches():
    single, together = executions([1.0] * 8, 3), executions([0.4] * 8, 0.1, batch=8)
    assert regressions([*single, *together], NOW).frame.verdict.str.startswith("too few").all()


def test_the_p_value_is_that_of_scipy():
    first, second = np.log(noisy(1.0, 9, 1)), np.log(noisy(1.04, 7, 2))
    expected = permutation_test(
        (first, second), lambda a, b, axis: a.mean(axis=axis) - b.mean(axis=axis), vectorized=True, n_resamples=20_000
    ).pvalue
    assert permutation_p(first, second) == pytest.approx(expected, abs=0.02)


def test_a_studio_compares_its_own_runs_and_refuses_no_time(studio):
    studio.run(BlurImage(id="blur", image=BlankImage(id="page", width=512, height=512), radius=9), progress=False)
    assert "too few to tell of" in repr(studio.regressions()) or "nothing to compare" in repr(studio.regressions())
    with pytest.raises(NbgraphError, match="longer than 0"):
        studio.regressions(0)


def test_stats_are_summed_up_by_type_and_by_model(studio):
    for number in (1, 2):
        studio.run(Add(id="sum", a=Add(id="first", a=1, b=2), b=number), progress=False)
    rows = studio.summary().set_index("type")
    assert (rows.executed["add"], rows.cached["add"], rows.failed["add"]) == (3, 1, 0)
    assert rows.share.sum() == pytest.approx(1)
    assert studio.summary("model").model.tolist() == ["(no model)"]
    with pytest.raises(ChoiceError, match="by cannot be 'day'"):
        studio.summary("day")
    with nb.Studio() as empty:
        assert empty.summary().empty


def test_memory_over_a_run_names_its_peak_the_models_and_their_budget(studio):
    stats = studio.run(Add(id="$sum$", a=1, b=2), progress=False).stats
    peak = stats.ram_peak_mb.max()
    ax = plot_memory_over_time(stats, models_mb=peak / 2, budget_mb=peak)
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == [
        "RAM of the process",
        f"models in memory now: {peak / 2:,.0f} MB",
        f"budget of models: {peak:,.0f} MB",
    ]
    assert f"peak {peak:,.0f} MB: $sum$" in ax.texts[0].get_text()
    far = plot_memory_over_time(stats, budget_mb=100 * peak)
    assert "above the scale" in far.get_legend().get_texts()[1].get_text()
    assert far.get_ylim()[1] < 2 * peak
    plt.close("all")


def test_memory_over_a_run_with_a_gpu_is_that_of_the_gpu(studio):
    stats = studio.run(Add(id="sum", a=1, b=2), progress=False).stats.wide.assign(vram_peak_mb=512.0)
    ax = plot_memory_over_time(stats)
    assert ax.get_ylabel() == "VRAM (MB)"
    assert "peak 512 MB: sum" in ax.texts[0].get_text()
    plt.close("all")
