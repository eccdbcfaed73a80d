"""An agent's client of the package mcp lists, checks, runs and looks, and a notebook on the same folder sees it."""

import os
import sys
from base64 import b64decode
from collections.abc import Awaitable, Callable
from io import BytesIO
from typing import Any

import anyio
import pytest
from anyio import to_thread
from mcp import Client, StdioServerParameters
from PIL import Image as PillowImage

import nbgraph as nb
from nbgraph import mcp_server
from nbgraph.errors import NbgraphError
from nbgraph.mcp_server import make_server, serve
from nbgraph.widgets.gallery import Gallery, ListPictures
from nbgraph.widgets.queue_table import ListRuns, QueueTable
from tests.services.test_folder_watch import SECONDS, open_page

SUM = {"nodes": {"sum": {"id": "sum", "type": "add", "a": 1, "b": 2}}, "edges": []}


def asked(server: Any, ask: Callable[[Client], Awaitable[Any]]) -> Any:
    """What a client gets that is connected to a server."""

    async def ask_all() -> Any:
        async with Client(server, read_timeout_seconds=300) as client:
            return await ask(client)

    return anyio.run(ask_all)


def result_of(called: Any) -> Any:
    assert not called.is_error, called.content[0].text
    values = called.structured_content
    return values["result"] if set(values) == {"result"} else values


def calls(server: Any, *wanted: tuple[str, dict[str, Any]]) -> list[Any]:
    async def ask(client: Client) -> list[Any]:
        return [await client.call_tool(name, arguments) for name, arguments in wanted]

    return asked(server, ask)


@pytest.fixture
def server(studio):
    return make_server(studio)


def test_an_agent_draws_over_stdio_and_the_panels_of_a_notebook_show_it_while_the_agent_is_there(tmp_path):
    async def draw(client: Client) -> tuple[str, Any, Any]:
        tools = {tool.name for tool in (await client.list_tools()).tools}
        assert {"list_nodes", "validate", "explain", "run", "look", "read_stats"} <= tools
        graphs = result_of(await client.call_tool("list_graphs", {}))
        drawing = next(each for each in graphs if each["name"] == "text to image")
        wanted = {"prompt": "a red apple", "steps": 2, "seed": 7}
        values = {drawing["inputs"][name]: value for name, value in wanted.items()}
        arguments = {"graph": drawing["graph"], "values": values}
        assert result_of(await client.call_tool("validate", arguments)) == {"valid": True, "problems": []}
        ran = result_of(await client.call_tool("run", arguments))
        assert ran["status"] == "completed"
        (image,) = ran["images"]["image"]
        for heard in pages:
            assert await to_thread.run_sync(heard.wait, SECONDS)
        listed, _ = gallery._answer(ListPictures(type="list"), [])
        assert image in {row["name"] for row in listed["pictures"]}
        shown, _ = queue._answer(ListRuns(type="list"), [])
        assert [(row["session"], row["status"]) for row in shown["runs"]] == [(ran["run"], "completed")]
        return image, await client.call_tool("look", {"image": image}), ran["run"]

    program = "import sys; from nbgraph.cli.app import main; sys.argv[0] = 'nbgraph'; main()"
    command = StdioServerParameters(
        command=sys.executable, args=["-c", program, "mcp", "--studio", str(tmp_path / "studio")], env=environment()
    )
    with nb.Studio(tmp_path / "studio", settings=nb.Settings(device="cpu")) as notebook:
        gallery, queue = Gallery(notebook.services), QueueTable(notebook.services)
        pages = [open_page(gallery), open_page(queue)]
        image, shown, run = asked(command, draw)
        seen = PillowImage.open(BytesIO(b64decode(shown.content[0].data)))
        assert notebook.images.get(image).size == seen.size
        assert [(row.session, row.status) for row in notebook.queue.frame.itertuples()] == [(run, "completed")]
        assert set(notebook.stats.type) >= {"denoise_latents", "l2i"}


def environment() -> dict[str, str]:
    kept = ("PATH", "PYTHONPATH", "HOME", "OMP_NUM_THREADS", "OMP_WAIT_POLICY", "XDG_CACHE_HOME")
    return {**{name: os.environ[name] for name in kept if name in os.environ}, "NBGRAPH_DEVICE": "cpu"}


def test_nodes_are_listed_by_schema(server):
    listed, described = map(
        result_of, calls(server, ("list_nodes", {"search": "noise"}), ("describe_node", {"type": "noise"}))
    )
    assert "noise" in {row["type"] for row in listed}
    assert len(listed) < 60
    seed = next(each for each in described["inputs"] if each["name"] == "seed")
    assert seed["default"] is None
    assert not seed["required"]
    assert set(described["outputs"]) == {"noise", "width", "height", "seed"}


def test_all_problems_come_at_once(server):
    graph = {
        "nodes": {
            "sum": {"id": "sum", "type": "add", "a": "x"},
            "gone": {"id": "gone", "type": "__import__", "name": "os"},
            "file": {"id": "file", "type": "load_image"},
        },
        "edges": [],
    }
    (found,) = map(result_of, calls(server, ("validate", {"graph": graph})))
    assert found["valid"] is False
    assert {problem["node"] for problem in found["problems"]} == {"sum", "gone"}
    del graph["nodes"]["gone"], graph["nodes"]["sum"]
    (found,) = map(result_of, calls(server, ("validate", {"graph": graph})))
    assert [(problem["node"], problem["field"]) for problem in found["problems"]] == [("file", "path")]


def test_a_run_gives_outputs_reasons_and_stats(server, studio):
    explained, run = ("explain", {"graph": SUM}), ("run", {"graph": SUM, "values": {"sum.b": 5}})
    before, ran, after = map(result_of, calls(server, explained, run, explained))
    assert [row["runs"] for row in before] == [True]
    assert ran["outputs"]["sum"][0]["value"] == 6
    assert "5 -> 2" in after[0]["because"]
    (stats,) = map(result_of, calls(server, ("read_stats", {"run": ran["run"]})))
    assert [(row["node"], row["status"]) for row in stats] == [("sum", "completed")]
    (runs,) = map(result_of, calls(server, ("list_runs", {})))
    assert [row["run"] for row in runs] == [ran["run"]]


def test_a_run_that_is_refused_or_fails_says_why(server):
    bad = {"nodes": {"sum": {"id": "sum", "type": "add", "a": "x"}}, "edges": []}
    failing = {"nodes": {"div": {"id": "div", "type": "div", "a": 1, "b": 0}}, "edges": []}
    refused, failed = map(result_of, calls(server, ("run", {"graph": bad}), ("run", {"graph": failing})))
    assert (refused["status"], refused["problems"][0]["node"]) == ("refused", "sum")
    assert failed["status"] != "completed"
    assert "b" in str(failed.get("problems") or failed.get("errors"))


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("describe_node", {"type": "nothing"}, "no node type 'nothing'"),
        ("look", {"image": "nothing"}, "nothing"),
        ("cancel", {"run": "nothing"}, "nothing"),
    ],
)
def test_what_is_not_there_is_an_error_for_the_agent(server, tool, arguments, said):
    (answer,) = calls(server, (tool, arguments))
    assert answer.is_error
    assert said in answer.content[0].text


def test_images_are_listed_and_shown_small(server, studio):
    record = studio.images.add(PillowImage.new("RGB", (800, 400), "teal"))
    look = ("look", {"image": record.image_name, "largest_side": 64})
    listed, shown = calls(server, ("list_images", {}), look)
    assert [row["name"] for row in result_of(listed)] == [record.image_name]
    assert PillowImage.open(BytesIO(b64decode(shown.content[0].data))).size == (64, 32)


def test_without_the_package_the_line_that_installs_it_is_given(monkeypatch, tmp_path):
    monkeypatch.setattr(mcp_server, "find_spec", lambda name: None)
    with pytest.raises(NbgraphError, match=r"pip install 'nbgraph\[mcp\]'"):
        serve(tmp_path / "studio")
    assert not (tmp_path / "studio").exists()


def test_a_port_is_one_of_this_machine_alone(monkeypatch, studio):
    served: dict[str, Any] = {}
    server = make_server(studio)
    monkeypatch.setattr(mcp_server, "make_server", lambda studio: server)
    monkeypatch.setattr(type(server), "run", lambda self, transport, **options: served.update(options))
    serve(None, port=8123)
    assert served == {"host": "127.0.0.1", "port": 8123}
