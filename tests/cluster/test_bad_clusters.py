"""Clusters that cannot be used: one error each, before anything is queued."""

import builtins
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
from distributed import Client, LocalCluster

import nbgraph as nb
from nbgraph import Studio
from nbgraph.errors import ChoiceError, ClusterError, ModelError
from nbgraph.services.invocation_processor import cluster_connection, cluster_session
from nbgraph.services.model_manager.model_manager_default import ModelManagerDefault


def test_without_dask_the_error_has_the_install_line(monkeypatch: pytest.MonkeyPatch):
    importing = builtins.__import__

    def refuse(name: str, *rest: Any) -> ModuleType:
        if name == "distributed":
            raise ImportError(name)
        return importing(name, *rest)

    monkeypatch.setattr("nbgraph.services.invocation_services.import_module", refuse)
    with pytest.raises(ClusterError, match=r"pip install 'nbgraph\[dask\]'"):
        Studio(cluster="local")


def test_a_scheduler_that_cannot_be_reached_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cluster_connection, "CONNECT_SECONDS", 0.2)
    with pytest.raises(ClusterError, match=r"'tcp://127.0.0.1:9' cannot be reached .*dask scheduler"):
        Studio(cluster="tcp://127.0.0.1:9")


@pytest.mark.parametrize("given", [7, ["local"], object()])
def test_what_is_no_cluster_is_refused_with_what_is_possible(given: object):
    with pytest.raises(ChoiceError, match=r"cluster cannot be .*'local'"):
        Studio(cluster=given)


def test_a_worker_with_other_versions_is_named(cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch):
    versions = {"nbgraph": "9.9.9", "torch": cluster_connection.installed_versions()["torch"], "diffusers": "0.1"}
    monkeypatch.setattr(cluster_connection, "installed_versions", lambda: versions)
    with pytest.raises(ClusterError, match=r"worker '0' has nbgraph .* \(here: 9.9.9\), diffusers .*; worker '1' has"):
        Studio(cluster=cluster)


def test_a_closed_client_is_refused(cluster: LocalCluster):
    client = Client(cluster, set_as_default=False)
    client.close()
    with pytest.raises(ClusterError, match="the Client that was given is closed"):
        Studio(cluster=client)


def test_a_client_and_an_address_are_clusters(cluster: LocalCluster):
    with Client(cluster, set_as_default=False) as client:
        for given in (client, cluster.scheduler_address):
            with Studio(cluster=given) as studio:
                assert studio.run(nb.invocations.Add(id="sum", a=1, b=2), progress=False)["sum"].value == 3
        assert client.submit(sum, [1, 2]).result() == 3


@pytest.fixture
def of_a_cell() -> Iterator[Callable[[str], dict[str, Any]]]:
    """Define nodes as a cell of a notebook does."""

    def define(source: str) -> dict[str, Any]:
        names: dict[str, Any] = {"__name__": "__main__", "nb": nb}
        exec(source, names)
        return names

    yield define
    for name in [name for name, cls in nb.registry().items() if cls.__module__ == "__main__"]:
        del nb.registry()._classes[name]


def test_nodes_of_cells_travel_and_count_by_their_code(far: Studio, of_a_cell: Callable[[str], dict[str, Any]]):
    source = "FACTOR = {}\n@nb.node\ndef test_cell_times(a: int = 2) -> int:\n    return a * FACTOR\n"
    for factor in (3, 5):
        times = of_a_cell(source.format(factor))["test_cell_times"]
        node = times(id="times", a=2)
        assert far.run(node, progress=False)["times"].value == 2 * factor
        assert far.run(node, progress=False).stats.cached.all()
        assert not far.explain(node).will_run.any()


def test_a_node_of_a_script_is_found_where_the_process_of_a_worker_has_imported_the_script(
    of_a_cell: Callable[[str], dict[str, Any]],
):
    source = "@nb.node\ndef test_cell_script(a: int = 1) -> int:\n    return a\n"
    sent = cluster_session.pickled_classes([of_a_cell(source)["test_cell_script"]])
    nb.registry()["test_cell_script"].__module__ = "__mp_main__"
    cluster_session.define_classes(sent)
    assert nb.registry()["test_cell_script"].__module__ == "__main__"


CLASS = """
from nbgraph.invocations.base import BaseInvocation, invocation
from nbgraph.invocations.outputs import IntegerOutput
@invocation("test_cell_class")
class Twice(BaseInvocation):
    a: int = 1
    def invoke(self, context) -> IntegerOutput:
        return IntegerOutput(value=2 * self.a)
"""


def test_node_classes_of_cells_travel_too(far: Studio, of_a_cell: Callable[[str], dict[str, Any]]):
    assert far.run(of_a_cell(CLASS)["Twice"](id="twice", a=4), progress=False)["twice"].value == 8


def test_a_node_of_a_cell_that_cannot_travel_is_refused(far: Studio, of_a_cell: Callable[[str], dict[str, Any]]):
    source = (
        "import threading\nLOCK = threading.Lock()\n@nb.node\ndef test_cell_lock() -> bool:\n    return LOCK.locked()\n"
    )
    with pytest.raises(ClusterError, match="node 'test_cell_lock' is defined in this notebook .* put it into a module"):
        far.run(of_a_cell(source)["test_cell_lock"](id="lock"), progress=False)
    assert far.queue.frame.empty


def test_a_module_that_workers_cannot_import_is_named(far: Studio, monkeypatch: pytest.MonkeyPatch):
    @nb.node(type="test_cluster_elsewhere")
    def elsewhere(a: int = 1) -> int:
        return a

    monkeypatch.setattr(elsewhere, "__module__", "test_cluster_only_here")
    with pytest.raises(ClusterError, match=r"test_cluster_only_here \(workers 0, 1\); put them into a package"):
        far.run(elsewhere(id="elsewhere"), progress=False)
    assert far.queue.frame.empty
    del nb.registry()._classes["test_cluster_elsewhere"]


def test_a_model_that_a_worker_has_not_or_has_otherwise_is_named():
    models = ModelManagerDefault([])
    with pytest.raises(ModelError, match="worker 'gpu-1' has no model 'nowhere'"):
        cluster_session.compare_models({"nowhere": "0"}, models, "gpu-1")
    with pytest.raises(ModelError, match="worker 'gpu-1' has another model of the name 'emoji'"):
        cluster_session.compare_models({"emoji": "0"}, models, "gpu-1")
    emoji = models.resolve("emoji")
    there = emoji.model_dump(mode="json") | {"path": "/elsewhere/emoji"}
    assert cluster_session.with_local_paths([{"model": there}], models, "gpu-1") == [
        {"model": emoji.model_dump(mode="json")}
    ]
