"""Labels and descriptions of inputs: every node has them, the shell and the editor show them, keys ignore them."""

import inspect

import pytest
from pydantic import Field

from nbgraph.cli.node_reference import built_in_nodes
from nbgraph.grammar.catalogue import describe_node
from nbgraph.invocations import DenoiseLatents, StepEasing
from nbgraph.invocations.base import BaseInvocation, InvocationContext, invocation
from nbgraph.invocations.outputs import IntegerOutput
from nbgraph.services.invocation_cache.code_hash import code_of
from nbgraph.services.shared.graph.graph import Graph
from nbgraph.services.shared.graph.library import Exposed, LibraryGraph
from nbgraph.widgets.schema import node_type

NODES = built_in_nodes()


@pytest.mark.parametrize("name", sorted(NODES))
def test_every_node_and_every_input_is_described_in_one_plain_line(name):
    assert inspect.getdoc(NODES[name])
    for field, info in NODES[name].model_fields.items():
        assert info.description, f"{name}.{field} needs Field(description=...)"
    for spec in NODES[name].inputs().values():
        text = spec.info.description or ""
        assert 8 <= len(text) <= 100, f"{name}.{spec.name} needs Field(description=...) of one line"
        assert text[0].isupper(), f"{name}.{spec.name}: {text}"
        assert not text.endswith("."), f"{name}.{spec.name}: {text}"
        assert spec.label[0].isupper()


def test_an_input_has_its_title_or_its_name_in_words_as_its_label():
    labels = {name: spec.label for name, spec in DenoiseLatents.inputs().items()}
    assert (labels["cfg_scale"], labels["denoise_mask"], labels["steps"]) == ("Guidance", "Mask", "Steps")


def test_the_schema_of_the_editor_and_the_json_schema_have_labels_and_descriptions():
    shown = {each["name"]: each for each in node_type(StepEasing)["inputs"]}
    written = StepEasing.model_json_schema()["properties"]
    for name, spec in StepEasing.inputs().items():
        assert shown[name]["description"] == written[name]["description"] == spec.info.description
        assert shown[name].get("label", spec.label) == spec.label
    assert shown["start_step_percent"]["label"] == written["start_step_percent"]["title"] == "Start"


def test_the_help_of_a_node_describes_its_inputs_in_eighty_columns():
    text = describe_node(DenoiseLatents, "denoise_latents")
    assert (
        "    --cfg_scale: float | None (default null, >= 0)\n        Guidance. How strongly the image follows" in text
    )
    assert max(map(len, text.splitlines())) <= 80


def test_a_library_graph_describes_its_inputs_as_the_nodes_inside_do():
    graph = Graph([DenoiseLatents(id="denoise")])
    library = LibraryGraph("draw", graph, [Exposed("cfg", "denoise", "cfg_scale")], [])
    assert library.node_class().inputs()["cfg"].about == DenoiseLatents.inputs()["cfg_scale"].about


def test_words_about_an_input_do_not_change_the_key_of_a_result():
    def made(**words: str) -> type[BaseInvocation]:
        @invocation("described", category="test")
        class Described(BaseInvocation):
            number: int = Field(3, ge=0, **words)

            def invoke(self, context: InvocationContext) -> IntegerOutput:
                return IntegerOutput(value=self.number)

        return Described

    plain, described = made(), made(title="Number", description="How many of them")
    assert code_of(plain).digest == code_of(described).digest
