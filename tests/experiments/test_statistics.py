"""Statistics of sweeps against scipy, and against what is planted in random data."""

from math import isnan, nan

import numpy as np
import pytest
from scipy import stats

from nbgraph.errors import ChoiceError, NbgraphError
from nbgraph.experiments.comparison import compare_levels, find_axis, unit_of
from nbgraph.experiments.statistics import bootstrap_interval, holm, paired, seeds_needed, sign_flip_p

BEFORE = [3.1, 2.7, 4.0, 3.3, 2.9, 3.8, 3.0, 3.6]
AFTER = [3.9, 2.6, 4.9, 3.9, 3.1, 4.1, 4.4, 3.9]


def test_the_interval_is_that_of_scipys_bootstrap():
    values = np.array([0.8, -0.1, 0.9, 0.6, 0.2, 0.3, 1.4, 0.3, 2.9, 0.1])
    ours = bootstrap_interval(values, resamples=40_000)
    theirs = stats.bootstrap((values,), np.mean, method="BCa", n_resamples=40_000, random_state=1).confidence_interval
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.02)


@pytest.mark.parametrize("seeds", [2, 5, 8])
def test_the_p_of_few_seeds_is_that_of_scipys_permutation_test(seeds):
    before, after = np.array(BEFORE[:seeds]), np.array(AFTER[:seeds])
    theirs = stats.permutation_test(
        (after, before), lambda a, b: np.mean(a - b), permutation_type="samples", n_resamples=10_000
    )
    assert sign_flip_p(after - before) == pytest.approx(theirs.pvalue)


def test_the_p_of_many_seeds_is_near_that_of_a_t_test():
    values = np.random.default_rng(3).normal(0.25, 1, 60)
    assert sign_flip_p(values) == pytest.approx(stats.ttest_1samp(values, 0).pvalue, abs=0.02)


def test_effect_size_and_agreement_are_those_of_the_differences():
    found = paired(BEFORE, AFTER)
    differences = np.subtract(AFTER, BEFORE)
    assert found.seeds == 8
    assert found.difference == pytest.approx(differences.mean())
    assert found.effect_size == pytest.approx(stats.ttest_1samp(differences, 0).statistic / np.sqrt(8))
    assert found.agree == 7 / 8
    assert found.low < found.difference < found.high


def test_seeds_without_a_number_are_left_out_and_none_at_all_is_nothing():
    assert paired([1, 2, nan, 4], [2, nan, 3, 6]).seeds == 2
    nothing = paired([nan], [1.0])
    assert nothing.seeds == 0
    assert isnan(nothing.p)


def test_holms_correction_is_that_of_its_definition():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, nan, 0.9]) == pytest.approx([1.0, nan, 1.0], nan_ok=True)


def test_the_seeds_that_are_needed_are_the_fewest_that_can_reach_the_level():
    for comparisons in (1, 2, 5):
        needed = seeds_needed(comparisons)
        assert comparisons * sign_flip_p(np.ones(needed)) <= 0.05
        assert comparisons * sign_flip_p(np.ones(needed - 1)) > 0.05


def cells_of(effect: float, rng: np.random.Generator, seeds: int = 10) -> tuple[list[dict], list[float]]:
    """A sweep of three guidances over seeds, whose differences among seeds are far larger than the effect."""
    pictures = rng.normal(0, 10, seeds)
    cells = [{"d.cfg_scale": scale, "n.seed": seed} for scale in (2, 4, 8) for seed in range(seeds)]
    shift = {2: 0.0, 4: 0.0, 8: effect}
    return cells, [pictures[cell["n.seed"]] + shift[cell["d.cfg_scale"]] + rng.normal(0, 1) for cell in cells]


def verdicts(effect: float, trials: int) -> list[list[str]]:
    rng = np.random.default_rng(11)
    found = []
    for _ in range(trials):
        comparison = compare_levels(*cells_of(effect, rng), ("d.cfg_scale",), ("n.seed",), "sharpness")
        found.append([each.verdict for each in comparison.differences])
    return found


def test_a_planted_effect_is_found_though_seeds_differ_far_more():
    found = verdicts(effect=3.0, trials=60)
    assert np.mean([large == "higher" for _, large in found]) > 0.9


def test_where_nothing_is_planted_false_alarms_keep_to_the_stated_rate():
    # three standard errors above 5 %, for the whole table of two comparisons
    trials = 200
    alarms = sum(any(verdict in ("higher", "lower") for verdict in found) for found in verdicts(0.0, trials))
    assert alarms / trials <= 0.05 + 3 * (0.05 * 0.95 / trials) ** 0.5


def test_too_few_seeds_are_named_with_the_number_that_is_needed():
    cells, values = cells_of(50.0, np.random.default_rng(2), seeds=4)
    comparison = compare_levels(cells, values, ("d.cfg_scale",), ("n.seed",), "sharpness")
    assert [each.verdict for each in comparison.differences] == ["too few to tell: 4, and at least 7 are needed"] * 2
    assert "d.cfg_scale 2 -> 8: sharpness +49 (95 % interval 4" in comparison.sentences[1]
    assert "4 of 4 pairs (by n.seed) agree: too few to tell" in repr(comparison)


def test_cells_of_one_seed_count_once_however_many_other_axes_there_are():
    cells = [{"d.s": s, "p.text": t, "n.seed": n} for s in (1, 2) for t in "abcd" for n in range(3)]
    values = [cell["d.s"] + cell["n.seed"] for cell in cells]
    comparison = compare_levels(cells, values, ("d.s",), ("n.seed",), "m")
    assert list(comparison.frame.seeds) == [3]


def test_a_comparison_is_a_frame_of_one_row_for_each_value_beside_the_first():
    cells, values = cells_of(3.0, np.random.default_rng(1))
    frame = compare_levels(cells, values, ("d.cfg_scale",), ("n.seed",), "sharpness").frame
    assert list(frame.a) == [2, 2]
    assert list(frame.b) == [4, 8]
    assert (frame.low <= frame.difference).all()
    assert "<table" in compare_levels(cells, values, ("d.cfg_scale",), ("n.seed",), "<b>")._repr_html_()
    assert "&lt;b&gt;" in compare_levels(cells, values, ("d.cfg_scale",), ("n.seed",), "<b>")._repr_html_()


def test_an_axis_is_found_by_its_address_its_last_part_or_its_tuple():
    axes = ["d.cfg_scale", ("p.text", "n.seed")]
    assert find_axis(axes, "d.cfg_scale") == find_axis(axes, "cfg_scale") == ("d.cfg_scale",)
    assert find_axis(axes, "text") == find_axis(axes, ("p.text", "n.seed")) == ("p.text", "n.seed")
    with pytest.raises(ChoiceError, match="did you mean 'd.cfg_scale'"):
        find_axis(axes, "d.cfg_scal")
    with pytest.raises(ChoiceError):
        find_axis(["a.seed", "b.seed"], "seed")


def test_pairs_are_of_the_seeds_that_vary_else_of_all_other_axes():
    assert unit_of(["d.s", "n.seed", "p.text"], ("d.s",)) == ("n.seed",)
    assert unit_of(["d.s", "p.text", "d.k"], ("d.s",)) == ("p.text", "d.k")
    assert unit_of(["d.s", "n.seed", "p.text"], ("d.s",), "text") == ("p.text",)
    with pytest.raises(NbgraphError, match="is what is compared"):
        unit_of(["d.s", "n.seed"], ("d.s",), "d.s")


def test_one_value_or_an_impossible_level_is_refused():
    with pytest.raises(NbgraphError, match="has one value, 3; a comparison needs two"):
        compare_levels([{"a.x": 3}], [1.0], ("a.x",), (), "m")
    for level in (5, "a"):
        with pytest.raises(NbgraphError, match="between 0 and 1"):
            compare_levels([{"a.x": 3}, {"a.x": 4}], [1.0, 2.0], ("a.x",), (), "m", level=level)


def test_what_does_not_differ_at_all_is_no_difference_on_which_seeds_agree():
    found = paired([2.0] * 8, [2.0] * 8)
    assert (found.difference, found.agree, found.p, found.low, found.high) == (0, 0, 1, 0, 0)
