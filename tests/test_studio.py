"""What a notebook does with a studio, on the shipped model."""

import gc
import re
import weakref

import pandas as pd
import pytest
from pictures import apple

import nbgraph as nb
from nbgraph.errors import ChoiceError, GraphError, NbgraphError, NodeError
from nbgraph.invocations import Add, BlankImage, Collect, DenoiseLatents, Float, Integer, Iterate, RangeOfSize


@nb.node(category="test")
def reciprocal(number: int) -> float:
    """One over a number."""
    return 1 / number


def cached_by_node(run: nb.Run) -> dict[str, bool]:
    return dict(zip(run.stats.node, run.stats.cached))


def test_changing_only_the_seed_runs_only_what_the_seed_touches(studio):
    studio.run(apple(), progress=False)
    again = studio.run(apple(), {"noise.seed": 8}, progress=False)
    assert cached_by_node(again) == {
        "model": True,
        "prompt": True,
        "negative": True,
        "noise": False,
        "denoise": False,
        "image": False,
    }


def test_explain_names_the_input_that_changed_and_what_follows_from_it(studio):
    studio.run(apple(), progress=False)
    reasons = studio.explain(apple(), {"noise.seed": 8}).set_index("node")
    assert reasons.because["noise"] == "noise.seed 7 -> 8"
    assert reasons.will_run.to_dict() == {
        "model": False,
        "prompt": False,
        "negative": False,
        "noise": True,
        "denoise": True,
        "image": True,
    }
    assert "noise" in reasons.because["denoise"]


def test_explain_says_how_often_a_cached_result_was_used(studio):
    total = Add(id="total", a=1, b=2)
    said = []
    for _ in range(3):
        studio.run(total, progress=False)
        said.append(studio.explain(total).because[0])
    assert said == ["cached", "cached, used 1 time", "cached, used 2 times"]


def test_the_card_of_a_studio_says_where_it_is_what_it_keeps_and_the_calls_that_show_it(tmp_path):
    with nb.Studio(tmp_path / "kept") as studio:
        studio.run(BlankImage(width=8, height=8), progress=False)
        studio.graphs.save(nb.Graph.of(Add(a=1, b=2)), "sum")
        card = re.sub(r"<[^>]*>", "|", studio._repr_html_())
        assert f"in the folder {tmp_path / 'kept'}" in card
        facts = re.findall(r"(Pictures|Runs|Drawings|Cached results|Loaded models)\|+([^|]+)\|+(studio\.\w+)", card)
        assert [" ".join(fact) for fact in facts] == [
            "Pictures 1 studio.images", "Runs 1 studio.queue", "Drawings 1 studio.graphs",
            "Cached results 1 studio.cache", "Loaded models none studio.loaded_models",
        ]  # fmt: skip
        for call in re.findall(r"studio\.(\w+)", card):
            assert hasattr(studio, call)


def test_what_explain_says_is_what_then_happens(studio):
    studio.run(apple(), progress=False)
    for change in ({"noise.seed": 8}, {"denoise.cfg_scale": 2.0}, {"prompt.text": "a pear"}, {}):
        said = studio.explain(apple(), change).set_index("node").will_run
        did = studio.run(apple(), change, progress=False).stats.set_index("node").cached
        assert {node: not cached for node, cached in did.items()} == said.to_dict()


def test_the_same_graph_twice_is_all_cached_and_gives_the_same_picture(studio):
    image = apple()
    first, second = studio.run(image, progress=False), studio.run(image, progress=False)
    assert second.stats.cached.all()
    assert first[image].image_name == second[image].image_name


def test_deleting_a_picture_drops_the_one_result_that_names_it(studio):
    run = studio.run(apple(), progress=False)
    before = set(studio.cache.frame.node)
    studio.images.delete(run["image"].image_name)
    assert before - set(studio.cache.frame.node) == {"image"}


def test_results_are_references_and_open_as_pictures_and_tensors(studio):
    image = apple()
    run = studio.run(image, progress=False)
    assert run[image].image.size == (128, 128)
    assert (run[image].width, run[image].height) == (128, 128)
    assert run["denoise"].latents.tensor().shape == (1, 8, 16, 16)
    assert [picture.size for picture in run.images] == [(128, 128)]


def test_a_seed_that_is_left_open_is_drawn_and_told(studio):
    image = apple(seed=None)
    one, two = studio.run(image, progress=False), studio.run(image, progress=False)
    seeds = [int(run.stats.set_index("node").seed["noise"]) for run in (one, two)]
    assert seeds[0] != seeds[1]
    assert seeds == [one["noise"].seed, two["noise"].seed]
    assert studio.run(image, {"noise.seed": seeds[0]}, progress=False)["image"].image_name == one["image"].image_name


@pytest.mark.parametrize(
    ("change", "where", "remedy"),
    [
        ({"noise.width": 65}, "noise.width", "nearest is 64"),
        ({"model.model": "emojo"}, "model.model", "did you mean 'emoji'"),
        ({"noise.sede": 1}, "noise.sede", "did you mean 'seed'"),
        ({"nose.seed": 1}, "graph", "did you mean 'noise'"),
        ({"denoise.scheduler": "eular"}, "denoise.scheduler", "'euler'"),
        ({"denoise.denoising_start": 1.0}, "denoise.denoising_end", "more than denoising_start"),
    ],
)
def test_bad_input_is_one_error_with_place_and_remedy_before_anything_runs(studio, change, where, remedy):
    with pytest.raises(GraphError) as raised:
        studio.run(apple(), change, progress=False)
    assert str(raised.value).startswith(f"{where}:")
    assert remedy in str(raised.value)
    assert studio.stats.empty


def test_all_inputs_that_are_missing_are_told_at_once(studio):
    with pytest.raises(GraphError) as raised:
        studio.run(DenoiseLatents(id="denoise"), progress=False)
    assert {problem.field for problem in raised.value.problems} == {"unet", "positive", None}


def test_a_node_that_raises_is_told_with_its_inputs_and_the_next_run_works(studio):
    bad = reciprocal(id="half", number=Integer(value=0))
    with pytest.raises(NodeError) as raised:
        studio.run(bad, progress=False)
    assert (raised.value.node, raised.value.type) == ("half", "reciprocal")
    assert raised.value.inputs == {"number": "0"}
    assert "ZeroDivisionError" in str(raised.value)
    assert studio.run(Add(a=1, b=2), progress=False)["add"].value == 3


def test_a_failed_run_pins_nothing_of_the_node_that_failed(studio):
    kept = []

    class Heavy:
        pass

    @nb.invocation("fails_heavily", category="test")
    class Fails(nb.BaseInvocation):
        def invoke(self, context) -> nb.BaseInvocationOutput:
            heavy = Heavy()
            kept.append(weakref.ref(heavy))
            raise MemoryError("too much")

    with pytest.raises(NodeError):
        studio.run(Fails(), progress=False)
    gc.collect()
    assert kept[0]() is None


def test_cancelling_keeps_what_has_finished_and_the_stats_say_so(studio):
    image = apple(steps=500)
    run = studio.submit(image)
    while run.progress.step < 2 and not run.is_done:
        run.wait(0.01)
    run.cancel()
    run.wait(60)
    status = run.stats.set_index("node").status
    assert run.status == "cancelled"
    assert status["denoise"] == "cancelled"
    assert status["noise"] == "completed"
    assert "image" not in status.index


def test_frames_keep_their_columns_and_types_when_they_are_empty(studio):
    empty, full = studio.stats, studio.run(Add(a=1), progress=False).stats
    assert empty.empty
    assert list(empty.columns) == list(full.columns)
    assert {name: str(kind) for name, kind in empty.dtypes.items()} == {n: str(k) for n, k in full.dtypes.items()}
    assert full.vram_peak_mb.isna().all()
    assert isinstance(full.started.dtype, pd.DatetimeTZDtype)
    for frame in (studio.cache.frame, studio.images.frame, studio.models.frame, studio.queue.frame):
        assert isinstance(frame, pd.DataFrame)


def test_a_node_that_ran_several_times_is_asked_for_by_outputs_and_path(studio):
    body = Add(id="body", a=Iterate(collection=[1, 2, 3]), b=10)
    run = studio.run(Collect(id="all", item=body), progress=False)
    assert run["all"].collection == [11, 12, 13]
    assert [each.value for each in run.outputs(body)] == [11, 12, 13]
    assert run.outputs("body", path=(1,)).value == 12
    with pytest.raises(nb.NbgraphError, match=r"run.outputs\('body'\)"):
        run["body"]
    with pytest.raises(nb.NbgraphError, match="path"):
        run.outputs("body", path=(7,))


def test_an_output_of_a_node_is_asked_for_its_value(studio):
    total = Add(id="total", a=1, b=2)
    body = Add(id="body", a=Iterate(collection=[1, 2, 3]), b=total)
    run = studio.run(body, progress=False)
    assert run[total.output("value")] == 3
    assert run.outputs(body.output("value")) == [4, 5, 6]
    assert run.outputs(body.output("value"), path=(1,)) == 5
    with pytest.raises(nb.NbgraphError, match=r"run.outputs\('body'\)"):
        run[body.output("value")]


def test_a_result_whose_picture_was_deleted_shows_a_sentence_in_its_place(studio):
    page = BlankImage(id="page", width=8, height=8)
    run = studio.run(page, progress=False)
    assert run[page]._repr_mimebundle_()["image/png"]
    studio.images.delete(run[page].image_name)
    bundle = run[page]._repr_mimebundle_()
    assert "image/png" not in bundle
    assert f"there is no image {run[page].image_name!r}; it was deleted" in bundle["text/plain"]


@pytest.mark.parametrize("path", [[1], range(1, 2), 1])
def test_a_path_may_be_any_sequence_or_one_number(studio, path):
    body = Add(id="body", a=Iterate(collection=[1, 2, 3]), b=10)
    assert studio.run(body, progress=False).outputs(body, path=path).value == 12


def test_asking_for_a_node_that_is_not_there_names_the_nearest(studio):
    run = studio.run(Add(id="sum", a=1), progress=False)
    with pytest.raises(nb.NbgraphError, match="did you mean 'sum'"):
        run["summ"]
    with pytest.raises(AttributeError, match="value"):
        _ = run["sum"].vale


def test_the_cache_can_be_off_for_a_while(studio):
    studio.run(Add(id="sum", a=1), progress=False)
    with studio.cache.off():
        assert not studio.run(Add(id="sum", a=1), progress=False).stats.cached.any()
    assert studio.run(Add(id="sum", a=1), progress=False).stats.cached.all()


def test_forgetting_a_node_forgets_what_was_computed_from_it_and_nothing_else(studio):
    image = apple()
    studio.run(image, progress=False)
    studio.cache.forget("denoise")
    assert set(studio.cache.frame.node) == {"model", "prompt", "negative", "noise"}


def test_errors_on_one_branch_leave_the_others_when_asked_to_go_on(studio):
    good, bad = Add(id="good", a=1), reciprocal(id="bad", number=0)
    run = studio.run([good, bad, Float(id="after", value=bad)], on_error="continue", progress=False)
    assert run["good"].value == 1
    assert [error.node for error in run.errors] == ["bad"]
    assert "bad" in run.session.skipped["after"]
    assert run.status == "failed"


def test_who_changes_the_graph_of_a_run_does_not_change_the_run(studio):
    run = studio.run(Add(id="sum", a=1), progress=False)
    run.graph.update_node("sum", a=5)
    assert run.graph["sum"].a == 1


def test_who_assigns_to_a_node_does_not_change_the_runs_that_were_submitted(studio):
    node, runs = Add(id="sum", a=1), []
    for number in range(5):
        node.b = number
        runs.append(studio.submit(node))
    node.b = 100
    assert [run.wait()[node].value for run in runs] == [1, 2, 3, 4, 5]
    assert [run.graph["sum"].b for run in runs] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("ask", ["run", "explain", "why"])
def test_a_list_to_iterate_over_that_is_still_open_is_told_before_anything_runs(studio, ask):
    asked = {"run": studio.run, "explain": studio.explain, "why": studio.cache.why}[ask]
    with pytest.raises(GraphError, match="'iterate' needs collection"):
        asked(Iterate())


def test_too_many_iterations_are_told_once_and_without_a_traceback(studio, caplog):
    first, second = Iterate(collection=RangeOfSize(size=10_000)), Iterate(collection=RangeOfSize(size=10_000))
    with pytest.raises(NbgraphError) as told:
        studio.run(Add(id="sum", a=first, b=second), progress=False)
    assert str(told.value).startswith("sum: would run 100,000,000 times")
    assert str(told.value).count("would run") == 1
    assert caplog.records == []


@pytest.mark.parametrize("is_in_folder", [False, True])
def test_a_run_is_resumed_given_itself_or_its_id(tmp_path, is_in_folder):
    with nb.Studio(tmp_path if is_in_folder else None) as studio:
        run = studio.run(Add(id="sum", a=1, b=2), progress=False)
        for given in (run, run.id):
            assert studio.resume(given).wait()["sum"].value == 3
        for take in (studio.resume, studio.queue.cancel, studio.queue.prepend):
            with pytest.raises(ChoiceError, match=r"a run cannot be None \(possible: a Run, the id of a run"):
                take(None)  # pyright: ignore[reportArgumentType]
