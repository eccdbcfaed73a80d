"""Functions that cannot become nodes, and results of another type than promised: what is refused, and the remedy."""

from typing import Any

import pytest
from PIL import Image as PillowImage

import nbgraph as nb
from nbgraph.errors import NbgraphError, NodeError
from nbgraph.invocations import Image, Integer
from nbgraph.invocations.outputs import ImageOutput


def test_another_functions_type_is_not_taken_over():
    with pytest.raises(NbgraphError, match="'add' is taken by nbgraph.invocations.math.Add"):

        @nb.node
        def add(a: int) -> int:
            return a


def unannotated(value) -> int:
    return value


def no_return(value: int):
    return value


def nothing(value: int) -> None:
    return


def path_like(value: bytes) -> int:
    return 1


def module_for_picture(image: PillowImage) -> int:
    return 1


def node_for_picture(image: Image) -> int:
    return 1


def bare_tuple() -> tuple[int, int]:
    return 1, 2


def many(*values: int) -> int:
    return 1


def reserved(version: str) -> str:
    return version


def common(id: str) -> str:
    return id


def wrong_default(by: int = None) -> int:
    return by


def not_defined(value: "Nowhere") -> int:  # noqa: F821
    return 1


async def waits(value: int) -> int:
    return value


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (unannotated, r"parameter 'value' has no type; write 'value: float'"),
        (no_return, r"no_return does not say what it returns"),
        (nothing, r"returns? nothing; a node has a result"),
        (path_like, r"parameter 'value' is annotated bytes, .*; use nb.Image, int"),
        (module_for_picture, r"module PIL.Image \(for a picture, write nb.Image\)"),
        (node_for_picture, r"the node Image \(for a picture, write nb.Image\)"),
        (bare_tuple, r"return a typing.NamedTuple"),
        (many, r"any number of values"),
        (reserved, r"nodes have a 'version' of their own; rename it, for example version_"),
        (common, r"nodes have a 'id' of their own"),
        (wrong_default, r"has the default None: Input should be a valid integer"),
        (not_defined, r"annotated with 'Nowhere', which is not known"),
        (waits, r"async or yields"),
        (lambda: 1, r"has no name"),
        (Integer, r"is a class; .*@nb.invocation"),
        (3, r"made of a function written with def"),
    ],
)
def test_a_function_that_cannot_be_a_node_is_refused_with_the_remedy(function: Any, text: str):
    with pytest.raises(NbgraphError, match=text):
        nb.node(function)


def test_a_result_of_another_type_is_an_error_that_names_both(result):
    @nb.node
    def wrong(value: int) -> nb.Image:
        return value

    with pytest.raises(NodeError, match=r"wrong returned 3 \(int\), and is annotated to return Image"):
        result(wrong(3))
    assert wrong.output_class is ImageOutput
